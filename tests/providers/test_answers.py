"""How an answer is read, and what it means, in the forms that real providers give it."""

from __future__ import annotations

import json
import time
import urllib.parse
from email.utils import formatdate

import pytest
from provider_server import as_json, assert_error_is_clean, response

from tokenkeep.errors import (
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
)
from tokenkeep.providers import Provider, Reply
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.providers.zoho import Zoho

NOW = 1_700_000_000.0
NEW = {"access_token": "new.access.s3cret", "refresh_token": "new.refresh.s3cret"}
FORM = "Content-Type: application/x-www-form-urlencoded"
TEXT = urllib.parse.urlencode({**NEW, "expires_in": 1800, "scope": "a b"}).encode()


@pytest.fixture
def acme():
    return OAuth2("acme", clock=lambda: NOW)


@pytest.fixture
def far_east(monkeypatch):
    """A machine that does not keep UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (TEXT, [FORM]),
        (TEXT, [f"{FORM}; charset=utf-8"]),
        (TEXT, ["CONTENT-TYPE: Application/X-WWW-Form-URLEncoded"]),
        (TEXT + b"\r\n", [FORM]),
        (b"x=%C3%A9&y&" + TEXT, [FORM]),
        (b"token-kind=b c&" + TEXT, [f"{FORM}; charset=utf-8"]),
        (b"token-kind=%22&" + TEXT, [FORM.upper()]),
        (b"=&" + TEXT, [f"{FORM} ;charset=utf-8"]),
        (TEXT, ["Content-Type: text/plain"]),
        (TEXT, ["Content-Type: text/html; charset=utf-8"]),
        (TEXT, []),
        (json.dumps({**NEW, "expires_in": "1800", "scope": ["a", "b"]}).encode(), [FORM]),
        (json.dumps({**NEW, "expires_in": 1800, "scope": "a b"}).encode("utf-16"), []),
        (json.dumps({**NEW, "expires_in": 1800, "scope": "a b", "é": "é"},
                    ensure_ascii=False).encode("latin-1"), []),
    ],
)  # fmt: skip
def test_forms(*, serve, acme, token, body, headers):
    """A form is read where it says it is one, and where it can be nothing else; so is odd JSON."""
    server = serve(response(body, "200 OK", *headers))

    answer = acme.refresh(token(server.url))

    assert NEW == {"access_token": answer.access_token, "refresh_token": answer.refresh_token}
    assert (1800.0, "a b") == (answer.expires_in, answer.scope)


@pytest.mark.parametrize(
    "body",
    [
        b"<p>access_token=s3cret</p>",
        b'{"access_token=s3cret&x=1',
        b"access_token=s3cret\n<hr>",
        b"Sorry, access_token=s3cret",
        b"token=s3cret",
        b"access_token=",
    ],
)
def test_no_form(serve, acme, token, body):
    """What only looks like one is not read as one, and is not shown."""
    server = serve(response(body))

    with pytest.raises(ProviderUnavailable) as caught:
        acme.refresh(token(server.url))

    assert_error_is_clean(caught.value, "s3cret")


@pytest.mark.parametrize("code", ["invalid_grant", "INVALID_GRANT", "login_required"])
def test_error_in_a_form(serve, acme, token, code):
    """So is an error."""
    server = serve(response(f"error={code}&error_description=s3cret".encode()))

    with pytest.raises(GrantRejected, match=code) as caught:
        acme.refresh(token(server.url))

    assert_error_is_clean(caught.value, "s3cret")


class Nesting(OAuth2):
    """A provider that nests its answers, and numbers its errors, as several do."""

    def read_answer(self, reply):
        """Take out what is inside."""
        fields = super().read_answer(reply)
        return fields.get("data", fields)


def test_nested(serve, token):
    """A provider that nests overrides one method; what it does not nest is read all the same."""
    nested = serve({"code": 0, "data": {**NEW, "expires_in": 60, "tenant": "t"}})
    plain = serve({"error": "invalid_grant"})

    answer = Nesting("hub").refresh(token(nested.url))
    with pytest.raises(GrantRejected):
        Nesting("hub").refresh(token(plain.url))

    assert (NEW["access_token"], 60.0) == (answer.access_token, answer.expires_in)
    assert {"tenant": "t"} == answer.extra


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
def test_a_reader_that_is_wrong(serve, token, read):
    """What a read_answer makes of an answer costs no token, and its error's text is not shown."""
    wrong = type("Wrong", (OAuth2,), {
        "read_answer": lambda self, reply: read(OAuth2.read_answer(self, reply)),
    })  # fmt: skip
    server = serve(NEW)

    with pytest.raises(
        ProviderUnavailable, match=r"hub answered what Wrong can't read: .*Error"
    ) as caught:
        wrong("hub").refresh(token(server.url))

    assert OAuth2("hub").answer_in(caught.value.unread).access_token == NEW["access_token"]
    assert_error_is_clean(caught.value, *NEW.values())


@pytest.mark.parametrize(
    ("body", "status", "is_kept"),
    [
        (b"<?xml version='1.0'?><token>s3cret</token>", "200 OK", True),
        (json.dumps({"data": NEW}).encode(), "200 OK", True),
        (json.dumps({"data": NEW, "status": "ok", "error": None}).encode(), "201 Created", True),
        (json.dumps({"data": NEW, "errcode": 0, "errors": []}).encode(), "200 OK", True),
        (json.dumps({"data": NEW, "error": "0", "error_code": "0"}).encode(), "200 OK", True),
        (json.dumps({"data": NEW}).encode()[:-9], "200 OK", True),
        *((nothing, "200 OK", False) for nothing in (b"", b" ", b"[]", b"{}", b"null", b'""')),
        (b"<!DOCTYPE html><html>Maintenance</html>", "200 OK", False),
        (json.dumps({"data": NEW}).encode(), "502 Bad", False),
        (b'{"error": "something_new"}', "200 OK", False),
        (b'{"errors": [{"code": "something_new"}]}', "200 OK", False),
        (b'{"error_code": 7}', "200 OK", False),
        (b'{"status": "server_error"}', "200 OK", False),
    ],
)
def test_unread(*, serve, acme, token, body, status, is_kept):
    """A success without a token that is seen, and no error, may hold the only one: it is kept."""
    server = serve(response(body, status, "Content-Type: x/y"))

    with pytest.raises(ProviderUnavailable) as caught:
        acme.refresh(token(server.url))

    unread = caught.value.unread
    assert is_kept is (unread is not None)
    if is_kept:
        assert (body, "x/y", int(status[:3])) == (unread.body, unread.content_type, unread.status)
        assert acme.answer_in(unread) is None
    assert_error_is_clean(caught.value, "s3cret")


def test_read_again():
    """What could not be read is read again with the options of another day; never by a base."""
    reply = Reply(status=200, body=json.dumps({"data": NEW}).encode())

    assert OAuth2("hub").answer_in(reply) is None
    assert NEW["access_token"] == Nesting("hub").answer_in(reply).access_token
    assert "s3cret" not in repr(reply)
    assert Provider.answer_in(OAuth2("hub"), reply) is None


REJECTED = [
    {"success": False, "errors": [{"errorType": "invalid_grant", "message": "Token invalid"}]},
    {"errors": [{"code": "invalid_grant"}]},
    {"errors": ["invalid_grant"]},
    {"errors": {"error": "invalid_grant"}},
    {"error": {"code": 400, "message": "s3cret", "status": "INVALID_GRANT"}},
    {"error": ["invalid_grant"]},
    {"error": " invalid_grant\n"},
    {"code": "slow_down", "message": "server_error", "error": "invalid_grant"},
    {"error": "something_new", "error_code": "invalid_grant"},
    {"code": "invalid_grant", "message": "s3cret"},
    {"status": "invalid_grant"},
    {"errorCode": "invalid_grant"},
    {"__type": "invalid_grant"},
    {"fault": {"detail": {"errorcode": "invalid_grant"}}},
    {"data": None, "result": {"err_type": "invalid_grant"}},
]


@pytest.mark.parametrize("fields", REJECTED)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
def test_dead_login(*, serve, acme, token, fields, status):
    """A rejected refresh token is recognised, wherever the answer says so."""
    server = serve(as_json(fields, status))

    with pytest.raises(GrantRejected, match="Log the user in again") as caught:
        acme.refresh(token(server.url))

    assert "invalid_grant" == caught.value.error.lower()
    assert_error_is_clean(caught.value, "s3cret")


@pytest.mark.parametrize(
    ("errors", "fields"),
    [
        ({"190": "GrantRejected"}, {"error": {"code": 190, "type": "OAuthException"}}),
        ({190: "GrantRejected"}, {"error": {"code": "190"}}),
        ({"20037": "GrantRejected"}, {"code": 20037, "msg": "s3cret"}),
        ({"bad_refresh_token": "GrantRejected"}, {"status": "BAD_REFRESH_TOKEN"}),
        ({"40030": GrantRejected}, {"errcode": 40030, "errmsg": "s3cret"}),
        ({"KOE322": "GrantRejected"}, {"error": "invalid_request", "error_code": "KOE322"}),
        ({"700082": "GrantRejected"}, {"error": "invalid_request", "error_codes": [700082]}),
    ],
)
def test_own_codes(serve, token, errors, fields):
    """Codes of the options are found there, too, numbers as well, and before the standard's."""
    server = serve(as_json(fields, "400 Bad Request"))

    with pytest.raises(GrantRejected) as caught:
        OAuth2("hub", errors=errors).refresh(token(server.url))

    assert caught.value.error.lower() in {str(code).lower() for code in errors}
    assert_error_is_clean(caught.value, "s3cret")


class Tabled(OAuth2):
    """A provider with a table of its own."""

    errors = {**OAuth2.errors, "BAD_TOKEN": GrantRejected, 190: GrantRejected}  # noqa: RUF012


@pytest.mark.parametrize(
    "fields", [{"error": "invalid_request", "code": "Bad_Token"}, {"error": {"code": 190}}]
)
def test_own_table(serve, token, fields):
    """So are those of a class of one's own."""
    server = serve(as_json(fields, "400 Bad Request"))

    with pytest.raises(GrantRejected):
        Tabled("hub").refresh(token(server.url))


@pytest.mark.parametrize(
    "fields",
    [
        {"message": "invalid grant"},
        {"error_description": "invalid_grant"},
        {"supported": ["invalid_grant"]},
        {"error": {"a": {"b": {"c": {"d": {"e": {"code": "invalid_grant"}}}}}}},
        {"code": True, "status": None, "errors": [None, 1.5]},
    ],
)
def test_no_code(serve, acme, token, fields):
    """What is no code, or not where one is, does not end a login."""
    server = serve(as_json(fields, "400 Bad Request"))

    with pytest.raises(ProviderUnavailable):
        acme.refresh(token(server.url))


@pytest.mark.parametrize("deep", [b'{"error":' * 900 + b"1" + b"}" * 900, b'{"x":[' + b"[" * 900])
def test_deep(serve, acme, token, deep):
    """An answer that nests without end ends no program."""
    server = serve(response(deep, "400 Bad Request"))

    with pytest.raises(ProviderUnavailable):
        acme.refresh(token(server.url))


@pytest.mark.parametrize(
    "beside",
    [
        {"status": "success"},
        {"status": 200, "code": 200},
        {"code": "OK", "success": True},
        {"code": 0, "errcode": 0, "error": None},
        {"errors": [], "error": {}},
        {"error": "0", "code": "0"},
        {"status": "invalid_grant"},
        {"error_code": "invalid_grant", "errors": ["invalid_grant"]},
    ],
)
def test_well(serve, acme, token, beside):
    """A token without an ``error`` is a success, whatever else is said beside it."""
    server = serve({**NEW, **beside})

    assert NEW["access_token"] == acme.refresh(token(server.url)).access_token


class Hinting(OAuth2):
    """A provider whose status says what its body does not."""

    def meaning(self, status, fields):
        """Know one more."""
        if status == 410 or "revoked" in str(fields.get("detail")):
            return GrantRejected
        return super().meaning(status, fields)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (response(b"", "410 Gone"), GrantRejected),
        (response(b"<html>", "410 Gone"), GrantRejected),
        (as_json({"detail": "This s3cret was revoked"}, "400 Bad"), GrantRejected),
        (as_json({"error": "invalid_client"}, "401 No"), ProviderRefused),
        (response(b"", "429 Slow"), CoolingDown),
        (as_json({"detail": "s3cret"}, "400 Bad"), ProviderUnavailable),
    ],
)
def test_meaning(serve, token, answer, kind):
    """The hook is asked with status and fields, also where nothing can be read."""
    server = serve(answer)

    with pytest.raises((ProviderRefused, CoolingDown, ProviderUnavailable)) as caught:
        Hinting("hub").refresh(token(server.url))

    assert kind is type(caught.value)
    assert_error_is_clean(caught.value, "s3cret")


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"refresh_token_expires_in": 86_400}, 86_400.0),
        ({"refresh_expires_in": "1800"}, 1800.0),
        ({"x_refresh_token_expires_in": 8_726_400}, 8_726_400.0),
        ({"refresh_token_expires_at": NOW + 600}, 600.0),
        ({"refresh_token_expires_at": str(int(NOW + 600))}, 600.0),
        ({"refresh_expires_at": (NOW + 600) * 1000}, 600.0),
        ({"refresh_token_expires_at": "2023-11-14T23:13:20Z"}, 3600.0),
        ({"refresh_token_expires_at": "2023-11-15T00:13:20+01:00"}, 3600.0),
        ({"refresh_token_expires_at": "2023-11-14T23:13:20"}, 3600.0),
        ({"refresh_token_expires_in": 900, "authorization_expires_in": 300}, 300.0),
        *(
            ({"refresh_expires_in": nonsense}, None)
            for nonsense in [0, -1, None, "", "never", True]
        ),
        *(({"refresh_token_expires_at": nonsense}, None) for nonsense in [5, "soon", NOW - 1, []]),
        ({"refresh_token_expires_in": NOW + 600}, 600.0),
        ({"refresh_token_expires_at": "9999-12-31T23:59:59Z"}, None),
    ],
)
@pytest.mark.usefixtures("far_east")
def test_end_of_the_refresh_token(serve, acme, token, fields, seconds):
    """When the refresh token ends is read in all its spellings: a duration, a time or a date."""
    server = serve({**NEW, **fields})

    answer = acme.refresh(token(server.url))

    assert seconds == answer.refresh_expires_in
    assert {} == answer.extra


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"expires_at": "2023-11-14T23:13:20Z"}, 3600.0),
        ({"expires_at": NOW + 60}, 60.0),
        ({"expires_in": 30, "expires_at": NOW + 60}, 30.0),
        ({"expires_in": NOW + 60}, None),
        ({"expires_at": "tomorrow"}, None),
    ],
)
def test_end_of_the_access_token(serve, acme, token, fields, seconds):
    """Where there is a time instead of ``expires_in``, it is used."""
    server = serve({**NEW, **fields})

    assert seconds == acme.refresh(token(server.url)).expires_in


def test_much_besides(serve, acme, token):
    """A field that no store could hold is left out, and no other for it."""
    server = serve({**NEW, "id_token": "i" * 4000, "page": ["p" * 70] * 10_000, "realmId": "7"})

    assert {"id_token": "i" * 4000, "realmId": "7"} == acme.refresh(token(server.url)).extra


@pytest.mark.parametrize("length", [50, 10**7])
def test_all_but_the_end(serve, acme, token, length):
    """A document that is whole is an answer, though more was announced."""
    body = json.dumps(NEW).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + length}\r\n\r\n"
    server = serve(head.encode() + body)

    assert acme.refresh(token(server.url)).access_token == NEW["access_token"]


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_end_by_another_clock(serve, acme, token, ahead):
    """The time is by the provider's clock, wherever ours is."""
    theirs = NOW + ahead
    body = json.dumps({**NEW, "expires_at": theirs + 600}).encode()
    server = serve(response(body, "200 OK", f"Date: {formatdate(theirs, usegmt=True)}"))

    assert acme.refresh(token(server.url)).expires_in == pytest.approx(600, abs=2)


@pytest.mark.parametrize("around", ["{}\n", "\r\n{}", " {}\t"])
def test_blanks_around(serve, acme, token, around):
    """Blanks around a token are no part of it: no header could carry some of them."""
    server = serve({name: around.format(value) for name, value in NEW.items()})

    answer = acme.refresh(token(server.url))

    assert NEW == {"access_token": answer.access_token, "refresh_token": answer.refresh_token}


def test_what_can_not_be_kept(serve, acme, token):
    """What nests without end is left out of the extra fields: the token is not lost for it."""
    deep = "[" * 500 + "]" * 500
    text = json.dumps({**NEW, "realmId": "7", "id_token": "i"})[:-1] + f', "deep": {deep}}}'
    server = serve(as_json(text))

    answer = acme.refresh(token(server.url))

    assert {"realmId": "7", "id_token": "i"} == answer.extra


@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("lifetime", NEW),
        ("meaning", response(b"<html>")),
        ("meaning", response(b"<html>", "400 Bad")),
        ("wait", response(b"", "429 Slow")),
        ("confirms_revocation", response(b"s3cret")),
    ],
)
def test_a_hook_that_is_wrong(serve, token, hook, answer):
    """What another method makes of an answer costs no token either, and is an error of ours."""
    wrong = type("Wrong", (OAuth2,), {hook: lambda *_: {"a": "s3cret"}["s3cret!"]})
    server = serve(as_json(answer) if isinstance(answer, dict) else answer)
    hub = wrong("hub", revocation_endpoint=server.url)
    call = hub.revoke if hook == "confirms_revocation" else hub.refresh

    with pytest.raises(
        ProviderUnavailable, match="hub answered what Wrong can't read: KeyError"
    ) as (caught):
        call(token(server.url))

    kept = hook in ("lifetime", "meaning") and (hook == "lifetime" or b"200 OK" in answer)
    assert (caught.value.unread is not None) == kept
    assert_error_is_clean(caught.value, "s3cret!", *NEW.values())


@pytest.mark.parametrize("odd", [b"bytes", {7: 1}, [{"a": b"bytes"}], {"set"}, NOW.hex])
def test_what_a_reader_adds(serve, token, odd):
    """So is what a read_answer adds that no store can write; what is plain stays."""
    adding = type("Adding", (OAuth2,), {
        "read_answer": lambda self, reply: {
            **OAuth2.read_answer(self, reply), "odd": odd, "plain": [{"a": 1.5}, None],
        },
    })  # fmt: skip
    wrong = serve({"error": "x"})

    answer = adding("hub").refresh(token(serve(NEW).url))
    with pytest.raises(ProviderUnavailable):
        adding("hub").refresh(token(wrong.url))

    assert {"plain": [{"a": 1.5}, None]} == answer.extra


def test_zoho_errors_elsewhere(serve, token):
    """Zoho's own codes are found there, too, and too many requests is throttling."""
    dead = serve({"errors": [{"code": "invalid_code"}]})
    fast = serve({"error": "something", "message": "Too many requests"})

    with pytest.raises(GrantRejected):
        Zoho().refresh(token(dead.url))
    with pytest.raises(CoolingDown):
        Zoho().refresh(token(fast.url))
