"""How an answer is read, and what it means, in the forms that real providers give it."""

from __future__ import annotations

import json
import time
import urllib.parse
from email.utils import formatdate

import pytest
from provider_server import NEW, NOW, SECRETS, as_json, assert_error_is_clean, response

from tokenkeep.errors import CoolingDown, GrantRejected, ProviderRefused, ProviderUnavailable
from tokenkeep.providers import Profile, Provider, Reply
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.providers.zoho import Zoho

FIELDS = {**NEW, "expires_in": 1800, "scope": "a b"}
FORM = "Content-Type: application/x-www-form-urlencoded"
TEXT = urllib.parse.urlencode(FIELDS).encode()


def reading(deed):
    """Return a provider that makes something of its own of the fields of an answer."""

    class Wrong(OAuth2):
        def read_answer(self, reply):
            return deed(super().read_answer(reply))

    return Wrong("hub")


# Forms of an answer


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (TEXT, [FORM]),
        (b"token-kind=b c&x=%C3%A9&y&=&" + TEXT + b"\r\n", [f"{FORM.upper()} ;charset=utf-8"]),
        (TEXT, ["Content-Type: text/html; charset=utf-8"]),
        (TEXT, []),
        (json.dumps({**FIELDS, "expires_in": "1800", "scope": ["a", "b"]}).encode(), [FORM]),
        (json.dumps(FIELDS).encode("utf-16"), []),
        (json.dumps(FIELDS).encode("utf-8-sig"), []),
        (json.dumps({**FIELDS, "é": "é"}, ensure_ascii=False).encode("latin-1"), []),
    ],
)
def test_forms(*, renew, body, headers):
    """A form is read where it says it is one, and where it can be nothing else; so is odd JSON."""
    answer = renew(response(body, "200 OK", *headers))

    assert NEW == {"access_token": answer.access_token, "refresh_token": answer.refresh_token}
    assert (1800.0, "a b") == (answer.expires_in, answer.scope)


NO_ANSWER = {
    "answered nothing": ["", "  \r\n"],
    "answered HTML": ["<!doctype html><p>s3cret"],
    "answered neither JSON nor a form": ["[" * 100_000],
    "answered JSON that is not an object": ["null", '""', "[]"],
    "answered no usable access_token": ["{}"],
}
MAYBE_ONE = {
    "answered neither JSON nor a form": [
        *("<?xml version='1.0'?><token>s3cret</token>", '{"access_token": "s3cret'),
        *("<p>access_token=s3cret</p>", '{"access_token=s3cret&x=1', "access_token=s3cret\n<hr>"),
        *("Sorry, access_token=s3cret", "token=s3cret"),
    ],
    "answered JSON that is not an object": ['["s3cret"]'],
    "answered no usable access_token": [
        *("access_token=", {"data": NEW, "status": "ok", "error": None}),
        *({"data": NEW, "errcode": 0, "errors": [], "error_code": "0"}, {"access_token": [NEW]}),
        {"access_token": "s3cret\r\nX-Evil: 1"},
    ],
}


@pytest.mark.parametrize(
    ("body", "kind", "is_kept"),
    [
        (body, kind, table is MAYBE_ONE)
        for table in (NO_ANSWER, MAYBE_ONE)
        for kind, bodies in table.items()
        for body in bodies
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("status", ["201 Created", "400 Bad"])
def test_senseless_answer(*, refused, acme, body, kind, is_kept, status):
    """
    What is not an answer is named by its kind, never quoted, and leads to another try.

    A success without a token that is seen, and no error, may hold the only one: it is kept.
    """
    answer = as_json(body, status, "Content-Type: x/y")
    error = refused(answer)

    assert ProviderUnavailable is type(error)
    assert f"{kind} (status {status[:3]})" in str(error)
    assert ("tk-1", "ana@example.com:6000123") == (error.token_id, error.user)
    assert (is_kept and status.startswith("2")) is (error.unread is not None)
    if error.unread is not None:
        assert ("x/y", 201) == (error.unread.content_type, error.unread.status)
        assert answer.endswith(b"\r\n\r\n" + error.unread.body)
        assert acme.answer_in(error.unread) is None


def test_all_but_the_end(renew, refused):
    """A document that is whole is an answer, though more was announced; half a form is none."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"

    assert NEW["access_token"] == renew(head + json.dumps(NEW).encode()).access_token
    error = refused(head + b"access_token=new.acc")
    assert "in the middle of its answer" in str(error)
    assert b"access_token=new.acc" == error.unread.body


# What it means


@pytest.mark.parametrize("status", ["201 Created", "500 Oops"])
@pytest.mark.parametrize(
    "beside",
    [
        {},
        {"status": 200, "code": 0, "errcode": 0, "success": True},
        {"errors": [], "error": {}},
        {"error": "0", "code": "OK"},
        {"error": False, "status": "invalid_grant"},
        {"error": "", "error_code": "invalid_grant", "errors": ["invalid_grant"]},
    ],
)
def test_token_counts(renew, status, beside):
    """A minted token is not thrown away, the old one may be dead; no ``error`` is none."""
    assert NEW["access_token"] == renew(as_json(NEW | beside, status)).access_token


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
    "answer",
    [
        "error=invalid_grant&error_description=s3cret",
        {"success": False, "errors": [{"errorType": "invalid_grant", "message": "Invalid"}]},
        {"errors": ["invalid_grant"]},
        {"error": {"code": 400, "message": "s3cret", "status": "INVALID_GRANT"}},
        {"error": " invalid_grant\n"},
        {"code": "slow_down", "message": "server_error", "error": "invalid_grant"},
        {"error": "something_new", "error_code": "invalid_grant"},
        {"code": "invalid_grant", "message": "s3cret"},
        {"__type": "invalid_grant"},
        {"fault": {"detail": {"errorcode": "invalid_grant"}}},
        {"data": None, "result": {"err_type": "invalid_grant"}},
    ],
    ids=repr,
)
def test_dead_login(refused, answer):
    """A rejected refresh token is recognised, wherever the answer says so."""
    error = refused(as_json(answer))

    assert GrantRejected is type(error)
    assert "Log the user in again" in str(error)
    assert "invalid_grant" == error.error.lower()


def test_rejected_code(serve, acme, token):
    """A rejected code asks for another code."""
    with pytest.raises(GrantRejected, match="get a new one"):
        acme.exchange(token(serve({"error": "invalid_grant"}).url))


class Tabled(OAuth2):
    """A provider with a table of its own."""

    errors = {**OAuth2.errors, "BAD_TOKEN": GrantRejected, 190: GrantRejected}  # noqa: RUF012


@pytest.mark.parametrize(
    ("errors", "fields"),
    [
        ({"190": "GrantRejected"}, {"error": {"code": 190, "type": "OAuthException"}}),
        ({190: GrantRejected}, {"error": {"code": "190"}}),
        ({"bad_refresh_token": "GrantRejected"}, {"status": "BAD_REFRESH_TOKEN"}),
        ({"40030": GrantRejected}, {"errcode": 40030, "errmsg": "s3cret"}),
        ({"700082": "GrantRejected"}, {"error": "invalid_request", "error_codes": [700082]}),
        (None, {"error": "invalid_request", "code": "Bad_Token"}),
        (None, {"error": {"code": 190}}),
    ],
)
def test_own_codes(refused, errors, fields):
    """Codes of the options, or a table of one's own, are found, and before the standard's."""
    hub = Tabled("hub") if errors is None else OAuth2("hub", errors=errors)
    error = refused(as_json(fields, "400 Bad Request"), hub)

    assert GrantRejected is type(error)
    assert error.error.lower() in {str(code).lower() for code in errors or Tabled.errors}


DEEP = {"a": {"b": {"c": {"d": {"e": {"code": "invalid_grant"}}}}}}
UNSHOWN = ["something_new", DEEP, {"message": "s3cret"}, ["s3cret"], 7, True, "s3cret\nX"]


@pytest.mark.parametrize("error", [*UNSHOWN, f"bad token {SECRETS['refresh_token']}"])
@pytest.mark.parametrize("name", ["error", "errors"])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
def test_error_that_is_not_shown(*, refused, name, error, status):
    """Only a code that the table knows is shown: another text may repeat what was sent."""
    found = refused(as_json({name: error}, status))

    assert ProviderUnavailable is type(found)
    expected = f"acme answered an error that tokenkeep does not know (status {status[:3]})"
    assert (expected, None) == (found.what, found.unread)
    assert_error_is_clean(found, "something_new")


@pytest.mark.parametrize(
    "fields",
    [
        {"message": "invalid grant", "supported": ["invalid_grant"]},
        {"error_description": "invalid_grant"},
        {"code": True, "status": None, "errors": [None, 1.5]},
    ],
)
def test_no_code(refused, fields):
    """What is no code, or not where one is, does not end a login."""
    assert ProviderUnavailable is type(refused(as_json(fields)))


@pytest.mark.parametrize(("headers", "until"), [(["Retry-After: 30"], NOW + 30), ([], None)])
@pytest.mark.parametrize("body", [b"", b'{"error": "odd"}', b'{"error": "slow_down"}'])
def test_throttled(*, refused, body, headers, until):
    """Status 429 without a better word is throttling, until the time that is named."""
    error = refused(response(body, "429 Too Many Requests", *headers))

    assert (CoolingDown, until) == (type(error), error.until)


@pytest.mark.parametrize("value", ["999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize(("window", "longest"), [(600.0, 3600.0), (7200.0, 7200.0)])
@pytest.mark.parametrize("kind", [OAuth2, Zoho])
def test_no_answer_shuts_anybody_out_for_years(*, refused, kind, value, window, longest):
    """An absurd Retry-After counts as an hour, or as the window of the limit if that is longer."""
    options = {"profile": Profile(mint_window=window), "clock": lambda: NOW}
    provider = Zoho(**options) if kind is Zoho else OAuth2("acme", **options)
    error = refused(response(b"", "429 Too Many Requests", f"Retry-After: {value}"), provider)

    assert (CoolingDown, NOW + longest) == (type(error), error.until)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("<html>", "200 OK", None),
        ({"error": "invalid_token"}, "400 Bad", None),
        ("", "503 Later", ProviderUnavailable),
        ("", "400 Bad", ProviderUnavailable),
        ({"error": "invalid_client"}, "401 No", ProviderRefused),
        ({"error": "unsupported_token_type"}, "400 Bad", ProviderRefused),
        ({"error": "server_error"}, "200 OK", ProviderUnavailable),
        ("", "429 Slow", CoolingDown),
    ],
)
def test_revocation_answer(revoked, body, status, error):
    """Success, or a token nobody knows, is revoked; anything else is not confirmed."""
    assert error == revoked(OAuth2, as_json(body, status))


# What can't be read


class Nesting(OAuth2):
    """A provider that nests its answers, as several do."""

    def read_answer(self, reply):
        """Take out what is inside."""
        fields = super().read_answer(reply)
        return fields.get("data", fields)


def test_nested(renew, refused):
    """Who nests overrides one method; what is not nested, or was kept unread, is read as well."""
    answer = renew({"code": 0, "data": {**NEW, "expires_in": 60, "tenant": "t"}}, Nesting("hub"))
    kept = Reply(status=200, body=json.dumps({"data": NEW}).encode())

    assert (NEW["access_token"], 60.0) == (answer.access_token, answer.expires_in)
    assert {"tenant": "t"} == answer.extra
    assert GrantRejected is type(refused({"error": "invalid_grant"}, Nesting("hub")))
    assert OAuth2("hub").answer_in(kept) is Provider.answer_in(OAuth2("hub"), kept) is None
    assert NEW["access_token"] == Nesting("hub").answer_in(kept).access_token
    assert "s3cret" not in repr(kept)


@pytest.mark.parametrize(
    "read",
    [
        lambda fields: fields["data"]["token"],
        lambda fields: int(fields["access_token"]),
        lambda fields: [fields],
        lambda fields: {7: 7, **fields},
        lambda _: None,
    ],
)
def test_a_reader_that_is_wrong(refused, read):
    """What a read_answer makes of an answer costs no token, and its error's text is not shown."""
    error = refused(NEW, reading(read))

    assert "hub answered what Wrong can't read: " in str(error)
    assert NEW["access_token"] == OAuth2("hub").answer_in(error.unread).access_token


@pytest.mark.parametrize(
    ("hook", "answer", "is_kept"),
    [
        ("lifetime", as_json(NEW), True),
        ("meaning", response(b"<html>"), True),
        ("meaning", response(b"<html>", "400 Bad"), False),
        ("wait", response(b"", "429 Slow"), False),
        ("confirms_revocation", response(b"s3cret"), False),
    ],
)
def test_a_hook_that_is_wrong(*, serve, token, hook, answer, is_kept):
    """What another method makes of an answer costs no token either, and is an error of ours."""
    wrong = type("Wrong", (OAuth2,), {hook: lambda *_: {"a": "s3cret"}["s3cret!"]})
    server = serve(answer)
    hub = wrong("hub", revocation_endpoint=server.url)
    call = hub.revoke if hook == "confirms_revocation" else hub.refresh

    with pytest.raises(ProviderUnavailable, match="Wrong can't read: KeyError") as caught:
        call(token(server.url))

    assert is_kept == (caught.value.unread is not None)
    assert_error_is_clean(caught.value, "s3cret!", *NEW.values())


# Fields


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0.5, 0.5),
        (" 3600.5 ", 3600.5),
        *((odd, None) for odd in [None, True, 0, -1, "-1", "soon", "1e3", float("nan"), [3600]]),
        *((absurd, None) for absurd in [NOW, 10**400]),
    ],
)
def test_expires_in(renew, value, seconds):
    """A life that makes no sense is the same as none said; then the configured one holds."""
    answer = {**NEW, "expires_in": value}

    assert seconds == renew(answer).expires_in
    assert (seconds or 7200.0) == renew(answer, OAuth2("acme", lifetime=7200.0)).expires_in


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
        ("expires_in", {"expires_at": "2023-11-14T23:13:20Z"}, 3600.0),
        ("expires_in", {"expires_in": 30, "expires_at": NOW + 60}, 30.0),
        ("expires_in", {"expires_at": "tomorrow"}, None),
        ("refresh_expires_in", {"refresh_token_expires_in": 86_400}, 86_400.0),
        ("refresh_expires_in", {"refresh_expires_in": "1800"}, 1800.0),
        ("refresh_expires_in", {"x_refresh_token_expires_in": 8_726_400}, 8_726_400.0),
        ("refresh_expires_in", {"refresh_token_expires_at": str(int(NOW + 600))}, 600.0),
        ("refresh_expires_in", {"refresh_expires_at": (NOW + 600) * 1000}, 600.0),
        ("refresh_expires_in", {"refresh_token_expires_at": "2023-11-15T00:13:20+01:00"}, 3600.0),
        ("refresh_expires_in", {"refresh_token_expires_at": "2023-11-14T23:13:20"}, 3600.0),
        ("refresh_expires_in", {"refresh_expires_in": 9, "authorization_expires_in": 3}, 3.0),
        ("refresh_expires_in", {"refresh_token_expires_in": NOW + 600}, 600.0),
        ("refresh_expires_in", {"refresh_expires_in": "never"}, None),
        *(
            ("refresh_expires_in", {"refresh_token_expires_at": odd}, None)
            for odd in [5, "soon", NOW - 1, "9999-12-31"]
        ),
        *(("refresh_token", {"refresh_token": no}, None) for no in [None, [], " \n", False]),
        ("refresh_token", {"refresh_token": "\r\n r2\t\n"}, "r2"),
        ("access_token", {"access_token": " a2 \n"}, "a2"),
        *(("scope", {"scope": odd}, None) for odd in ["", ["a", 1], "a\nb"]),
        ("api_domain", {"api_domain": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        *(
            ("api_domain", {"api_domain": url}, None)
            for url in ["http://www.zohoapis.eu", "javascript:alert(1)", "", 7]
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


@pytest.mark.parametrize("value", [7, "bad\nX", "r\u00e9", {"value": "r2"}])
def test_no_usable_refresh_token(renew, refused, value):
    """Where the old one may be spent, the new one is not dropped because it can't be read."""
    answer = {**NEW, "refresh_token": value}
    error = refused(answer)

    assert "no usable refresh_token" in str(error)
    assert value == json.loads(error.unread.body)["refresh_token"]
    assert renew(answer, OAuth2("hub", profile=Profile(rotates=False))).refresh_token is None


TOO_DEEP = f'{{"deep": {"[" * 500}{"]" * 500}, '


@pytest.mark.parametrize(
    "text",
    [TOO_DEEP + json.dumps(NEW)[1:-1], json.dumps({**NEW, "page": ["p" * 70] * 10_000})[:-1]],
    ids=["deep", "long"],
)
def test_what_can_not_be_kept(renew, text):
    """A field that no store could hold is left out, and no other for it, nor the token."""
    answer = renew(as_json(f'{text}, "realmId": "7", "id_token": "{"i" * 4000}"}}'))

    assert {"realmId": "7", "id_token": "i" * 4000} == answer.extra


@pytest.mark.parametrize("odd", [b"bytes", {7: 1}, [{"a": b"bytes"}], {"set"}])
def test_what_a_reader_adds(renew, odd):
    """So is what a read_answer adds that no store can write; what is plain stays."""
    more = {"odd": odd, "plain": [{"a": 1.5}, None]}
    adding = reading(lambda fields: {**fields, **more})

    assert {"plain": [{"a": 1.5}, None]} == renew(NEW, adding).extra
