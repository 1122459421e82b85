"""How an answer is read, and what it means, in the forms that real providers give it."""

from __future__ import annotations

import json
import math
import time
import urllib.parse
from email.utils import formatdate

import pytest
from provider_server import NEW, NOW, SECRETS, as_json, assert_error_is_clean, response

from tokenkeep.errors import (
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
)
from tokenkeep.providers import Profile, Provider, Reply
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.providers.zoho import Zoho

FIELDS = {**NEW, "expires_in": 1800, "scope": "a b"}
TEXT = urllib.parse.urlencode(FIELDS).encode()


# Forms of an answer

WHOLE = json.dumps(FIELDS).encode()
TAKEN = {
    "form": response(TEXT, "200 OK", "Content-Type: application/x-www-form-urlencoded"),
    "odd form": response(b"token-kind=b c&x=%C3%A9&y&=&" + TEXT + b"\r\n"),
    "JSON as a form": response(WHOLE, "200 OK", "Content-Type: application/x-www-form-urlencoded"),
    "latin-1": response(
        json.dumps({**FIELDS, "by": "Jos\xe9"}, ensure_ascii=False).encode("latin-1")
    ),
    "byte order mark": response(json.dumps(FIELDS).encode("utf-8-sig")),
    "all but the end": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + WHOLE,
    # A minted token is not thrown away, the old one may be dead; no ``error`` is none.
    "500": as_json({**FIELDS, "expires_in": "1800"}, "500 Oops"),
    "all is well": as_json(FIELDS | {"status": 200, "error": False, "errors": []}),
    "none": as_json(FIELDS | {"error": "0", "code": "OK"}),
    "others": as_json(FIELDS | {"error": "", "error_code": "invalid_grant", "errors": ["x"]}),
}


@pytest.mark.parametrize("answer", TAKEN.values(), ids=TAKEN)
def test_taken(renew, answer):
    """Whatever has a token and no error in it is an answer."""
    answer = renew(answer)

    assert NEW == {"access_token": answer.access_token, "refresh_token": answer.refresh_token}
    assert (1800.0, "a b") == (answer.expires_in, answer.scope)


NOTHING, NEITHER = "answered nothing", "answered neither JSON nor a form"
NO_OBJECT, NO_TOKEN = "answered JSON that is not an object", "answered no usable access_token"
SENSELESS = [
    # What it is called, whether there may be a token in it, and bodies.
    (NOTHING, False, "", "  \r\n"),
    ("answered HTML", False, " <!doctype html><p>s3cret"),
    (NO_OBJECT, False, "null", "[]"),
    (NO_TOKEN, False, "{}"),
    (NEITHER, True, "[" * 100_000, '{"access_token": "s3cret', "<p>access_token=s3cret</p>"),
    (NO_OBJECT, True, '["s3cret"]'),
    (NO_TOKEN, True, "access_token=s3cret\n<hr>", {"data": NEW, "errcode": 0, "errors": []}),
    (NO_TOKEN, True, {"access_token": [NEW]}, {"access_token": "s3cret\r\nX-Evil: 1"}),
]


@pytest.mark.parametrize(
    ("said", "is_kept", "body"),
    [(said, is_kept, body) for said, is_kept, *bodies in SENSELESS for body in bodies],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("status", ["201 Created", "400 Bad"])
def test_senseless_answer(*, refused, acme, said, is_kept, body, status):
    """
    What is not an answer is named by its kind, never quoted, and leads to another try.

    A success without a token that is seen, and no error, may hold the only one: it is kept.
    """
    answer = as_json(body, status, "Content-Type: x/y")
    error = refused(answer)

    assert ProviderUnavailable is type(error)
    assert f"{said} (status {status[:3]})" in str(error)
    assert ("tk-1", "ana@example.com:6000123") == (error.token_id, error.user)
    assert (is_kept and status.startswith("2")) is (error.unread is not None)
    if error.unread is not None:
        assert ("x/y", 201) == (error.unread.content_type, error.unread.status)
        assert answer.endswith(b"\r\n\r\n" + error.unread.body)
        assert acme.answer_in(error.unread) is None


def test_half_a_form(refused):
    """It is none: it may end within a token."""
    error = refused(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\naccess_token=new.acc")

    assert "in the middle of its answer" in str(error)
    assert b"access_token=new.acc" == error.unread.body


# What it means

CODES = {
    GrantRejected: "invalid_grant interaction_required login_required consent_required "
    "account_selection_required",
    ProviderRefused: "invalid_client invalid_request invalid_scope unauthorized_client "
    "unsupported_grant_type",
    ProviderUnavailable: "server_error temporarily_unavailable",
    CoolingDown: "slow_down",
}


@pytest.mark.parametrize(
    ("kind", "code"), [(kind, code) for kind, codes in CODES.items() for code in codes.split()]
)
@pytest.mark.parametrize(("status", "written"), [("200 OK", str.upper), ("500 Oops", str.lower)])
def test_error(*, refused, kind, code, status, written):
    """The error names what happened, whatever the HTTP status, and wins over a token."""
    fields = {"error": written(code), "error_description": "1000.s3cret", **NEW}
    error = refused(as_json(fields, status))

    assert kind is type(error)
    assert f'"{written(code)}"' in str(error)
    assert written(code) == getattr(error, "error", written(code))


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        ("error=invalid_grant&error_description=s3cret", {}),
        ({"success": False, "errors": [{"errorType": "invalid_grant", "message": "No"}]}, {}),
        ({"error": {"code": 400, "message": "s3cret", "status": "INVALID_GRANT"}}, {}),
        ({"error": " invalid_grant\n"}, {}),
        ({"code": "slow_down", "message": "server_error", "error": "invalid_grant"}, {}),
        ({"__type": "invalid_grant"}, {}),
        ({"fault": {"detail": {"errorcode": "invalid_grant"}}}, {}),
        # Codes of the options are found, and before the standard's.
        ({"error": {"code": 190, "type": "OAuthException"}}, {"190": "GrantRejected"}),
        ({"status": "BAD_REFRESH_TOKEN"}, {"bad_refresh_token": GrantRejected}),
        ({"error": "invalid_request", "error_codes": [700082]}, {700082: GrantRejected}),
        # What is no code, or not where one is, does not end a login.
        ({"message": "invalid grant", "supported": ["invalid_grant"]}, None),
        ({"code": True, "status": None, "errors": [None, 1.5]}, None),
    ],
    ids=repr,
)
def test_dead_login(refused, answer, errors):
    """A rejected refresh token is recognised, wherever the answer says so."""
    error = refused(as_json(answer), OAuth2("acme", errors=errors, clock=lambda: NOW))

    if errors is None:
        assert ProviderUnavailable is type(error)
        return
    assert GrantRejected is type(error)
    assert "Log the user in again" in str(error)
    assert error.error.lower() in {"invalid_grant", *map(str, errors)}


def test_own_meaning(refused):
    """The hook's word counts, also where nothing can be read; of the rest it is as usual."""

    class Gone(OAuth2):
        def meaning(self, status, fields):
            if status == 410:
                return GrantRejected
            return ProviderRefused if "no" in fields else super().meaning(status, fields)

    for answer, kind in (
        (response(b"<html>", "410 Gone"), GrantRejected),
        (as_json({"no": "s3cret"}, "400 Bad"), ProviderRefused),
        (as_json({"detail": "s3cret"}, "400 Bad"), ProviderUnavailable),
    ):
        assert kind is type(refused(answer, Gone("hub")))


def test_own_table(refused):
    """A class's own table counts as its options do."""
    own = {**OAuth2.errors, "BAD_TOKEN": GrantRejected, 190: GrantRejected}
    tabled = type("Tabled", (OAuth2,), {"errors": own})("hub")

    for fields in ({"code": "Bad_Token"}, {"error": {"code": 190}}):
        assert GrantRejected is type(refused(as_json(fields, "400 Bad Request"), tabled))


@pytest.mark.parametrize(
    "error",
    ["something_new", {"message": "s3cret"}, ["s3cret"], True,
     f"bad token {SECRETS['refresh_token']}"],
)  # fmt: skip
@pytest.mark.parametrize(("name", "status"), [("error", "200 OK"), ("errors", "400 Bad Request")])
def test_error_that_is_not_shown(*, refused, name, error, status):
    """Only a code that the table knows is shown: another text may repeat what was sent."""
    found = refused(as_json({name: error}, status))

    assert ProviderUnavailable is type(found)
    expected = f"acme answered an error that tokenkeep does not know (status {status[:3]})"
    assert (expected, None) == (found.what, found.unread)
    assert_error_is_clean(found, "something_new")


@pytest.mark.parametrize(
    ("said", "kind", "window", "seconds"),
    [
        ("30", OAuth2, 600.0, 30),
        (None, OAuth2, 600.0, None),
        # One absurd header shuts nobody out for years.
        ("999999999", OAuth2, 600.0, 3600),
        ("999999999", Zoho, 7200.0, 7200),
    ],
)
@pytest.mark.parametrize("body", [b"", b'{"error": "odd"}', b'{"error": "slow_down"}'])
def test_throttled(*, refused, body, said, kind, window, seconds):
    """Status 429 without a better word is throttling, until the time that is named."""
    options = {"profile": Profile(mint_window=window), "clock": lambda: NOW}
    provider = Zoho(**options) if kind is Zoho else OAuth2("acme", **options)
    headers = [] if said is None else [f"Retry-After: {said}"]
    error = refused(response(body, "429 Too Many Requests", *headers), provider)

    assert (CoolingDown, seconds and NOW + seconds) == (type(error), error.until)


@pytest.mark.parametrize(
    ("kind", "body", "status", "expected"),
    [
        (OAuth2, "<html>", "200 OK", True),
        (OAuth2, {"error": "invalid_token"}, "400 Bad", False),
        (OAuth2, "", "503 Later", ProviderUnavailable),
        (OAuth2, {"error": "invalid_client"}, "401 No", ProviderRefused),
        (OAuth2, {"error": "unsupported_token_type"}, "400 Bad", ProviderRefused),
        (OAuth2, {"error": "server_error"}, "200 OK", ProviderUnavailable),
        (OAuth2, "", "429 Slow", CoolingDown),
        (Zoho, {"status": "success"}, "200 OK", True),
        (Zoho, {"error": "invalid_code"}, "200 OK", False),
        (Zoho, {"status": "failure"}, "400 Bad", False),
        (Zoho, {"status": "failure"}, "200 OK", ProviderUnavailable),
        (Zoho, "", "400 Bad", ProviderUnavailable),
        (Zoho, {"error": "never_seen_before"}, "400 Bad", ProviderUnavailable),
        (Zoho, {"error": "x", "message": "too many requests"}, "400 Bad", CoolingDown),
    ],
)
def test_revocation_answer(*, serve, token, kind, body, status, expected):
    """Success is, and so is a token that nobody knows, which is told; all else is no answer."""
    server = serve(as_json(body, status))
    hub = kind() if kind is Zoho else kind("acme", revocation_endpoint=server.url)

    if isinstance(expected, bool):
        assert hub.revoke(token(server.url)) is expected
        return
    with pytest.raises(expected) as caught:
        hub.revoke(token(server.url))
    assert expected is type(caught.value)
    assert_error_is_clean(caught.value)


# What can't be read


def test_nested(renew, refused):
    """Who nests overrides one method; what is not nested, or was kept unread, is read as well."""

    class Nesting(OAuth2):
        def read_answer(self, reply):
            fields = super().read_answer(reply)
            return fields.get("data", fields)

    nesting = Nesting("hub")
    answer = renew({"code": 0, "data": {**NEW, "expires_in": 60, "tenant": "t"}}, nesting)
    kept = Reply(status=200, body=json.dumps({"data": NEW}).encode())

    assert (NEW["access_token"], 60.0) == (answer.access_token, answer.expires_in)
    assert {"tenant": "t"} == answer.extra
    assert GrantRejected is type(refused({"error": "invalid_grant"}, nesting))
    assert OAuth2("hub").answer_in(kept) is Provider.answer_in(OAuth2("hub"), kept) is None
    assert NEW["access_token"] == nesting.answer_in(kept).access_token
    assert "s3cret" not in repr(kept)


def failing(*_):
    return {"a": "s3cret"}["s3cret!"]


@pytest.mark.parametrize(
    ("hook", "deed", "answer", "is_kept"),
    [
        ("read_answer", failing, as_json(NEW), True),
        ("read_answer", lambda *_: {"odd": {"no JSON"}, **NEW}, as_json(NEW), True),
        ("lifetime", failing, as_json(NEW), True),
        ("meaning", failing, response(b"<html>", "400 Bad"), False),
        ("wait", failing, response(b"", "429 Slow"), False),
        ("confirms_revocation", failing, response(b"s3cret"), False),
    ],
)
def test_a_hook_that_is_wrong(*, serve, token, hook, deed, answer, is_kept):
    """What a method of one's own makes of an answer costs no token, and is an error of ours."""
    server = serve(answer)
    hub = type("Wrong", (OAuth2,), {hook: deed})("hub", revocation_endpoint=server.url)
    call = hub.revoke if hook == "confirms_revocation" else hub.refresh

    with pytest.raises(
        ProviderUnavailable, match="hub answered what Wrong can't read: "
    ) as caught:
        call(token(server.url))

    assert is_kept == (caught.value.unread is not None)
    assert_error_is_clean(caught.value, "s3cret!", *NEW.values())


@pytest.mark.parametrize("answer", [{"error": "invalid_grant"}, "s3cret"])
def test_code_that_is_not_taken(serve, acme, token, answer):
    """It asks for another code, and keeps nothing that could be shown."""
    with pytest.raises(RenewalError) as caught:
        acme.exchange(token(serve(as_json(answer)).url))

    assert ("get a new one" in str(caught.value)) == isinstance(caught.value, GrantRejected)
    assert getattr(caught.value, "unread", None) is None


# Fields


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_end_by_another_clock(renew, ahead):
    """The time is by the provider's clock, wherever ours is; how far apart they are is told."""
    theirs = NOW + ahead
    date = f"Date: {formatdate(theirs, usegmt=True)}"
    answer = renew(as_json({**NEW, "expires_at": theirs + 600}, "200 OK", date))

    assert pytest.approx(600, abs=2) == answer.expires_in
    assert ahead == answer.clock_offset


@pytest.fixture
def far_east(monkeypatch):
    """A machine that does not keep UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("expires_in", {"expires_in": 0.5}, 0.5),
        ("expires_in", {"expires_in": " 3600.5 "}, 3600.5),
        *(
            ("expires_in", {"expires_in": odd}, None)
            for odd in [None, 0, "-1", "soon", math.nan, [3600], NOW, 10**400]
        ),
        ("expires_in", {"expires_at": "2023-11-14T23:13:20Z"}, 3600.0),
        ("expires_in", {"expires_in": 30, "expires_at": NOW + 60}, 30.0),
        ("expires_in", {"expires_at": str(int(NOW + 600))}, 600.0),
        ("expires_in", {"expires_at": "2023-11-15T00:13:20+01:00"}, 3600.0),
        ("expires_in", {"expires_at": "2023-11-14T23:13:20"}, 3600.0),
        *(("expires_in", {"expires_at": odd}, None) for odd in [5, "soon", NOW - 1, "9999-12-31"]),
        ("refresh_expires_in", {"refresh_expires_in": "1800"}, 1800.0),
        ("refresh_expires_in", {"x_refresh_token_expires_in": 8_726_400}, 8_726_400.0),
        ("refresh_expires_in", {"refresh_expires_in": "never"}, None),
        *(("refresh_token", {"refresh_token": no}, None) for no in [None, [], False]),
        ("refresh_token", {"refresh_token": "\r\n r2\t\n"}, "r2"),
        *(("scope", {"scope": odd}, None) for odd in [["a"], "a\nb"]),
        ("api_domain", {"api_domain": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        *(
            ("api_domain", {"api_domain": url}, None)
            for url in ["http://www.zohoapis.eu", "javascript:alert(1)", 7]
        ),
    ],
)
@pytest.mark.usefixtures("far_east")
def test_fields(renew, name, said, expected):
    """
    What an answer says, in all its spellings; what makes no sense counts as not said.

    An end is a duration, a time or a date. Blanks around a token are no part of it. A place is
    only where a token may be sent.
    """
    answer = renew({**NEW, **said})

    assert expected == getattr(answer, name)
    assert answer.extra.keys() <= {"expires_at"}
    if name == "expires_in":  # then the configured one holds
        configured = OAuth2("acme", lifetime=7200.0, clock=lambda: NOW)
        assert (expected or 7200.0) == renew({**NEW, **said}, configured).expires_in


@pytest.mark.parametrize("value", [7, "bad\nX", {"value": "r2"}])
def test_no_usable_refresh_token(renew, refused, value):
    """Where the old one may be spent, the new one is not dropped because it can't be read."""
    answer = {**NEW, "refresh_token": value}
    error = refused(answer)

    assert "no usable refresh_token" in str(error)
    assert value == json.loads(error.unread.body)["refresh_token"]
    assert renew(answer, OAuth2("hub", profile=Profile(rotates=False))).refresh_token is None


@pytest.mark.parametrize("page", [1_000, 40_000])
def test_extra(renew, page):
    """What is said besides is kept; not more of it than a store can hold."""
    extra = {"realmId": "7", "page": "p" * page}

    assert (extra if page == 1_000 else {}) == renew(NEW | extra).extra
