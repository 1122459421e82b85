"""Answers that are compressed though nobody asked for that."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest
from provider_server import SECRETS, assert_error_is_clean, response

from tokenkeep.errors import GrantRejected, ProviderUnavailable
from tokenkeep.providers.http import MAX_BODY, Form, get_json, post_form
from tokenkeep.providers.oauth2 import OAuth2

DOCUMENT = json.dumps({"access_token": "new", "refresh_token": "r2", "expires_in": 3600}).encode()


def raw(plain):
    """Return deflate without zlib's header, as some servers write it."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush()


def chunked(body, coding):
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


CODED = {
    "gzip": response(gzip.compress(DOCUMENT), "200 OK", "Content-Encoding: gzip"),
    "x-gzip": response(gzip.compress(DOCUMENT), "200 OK", "Content-Encoding: X-GZip"),
    "deflate": response(zlib.compress(DOCUMENT), "200 OK", "Content-Encoding: deflate"),
    "raw deflate": response(raw(DOCUMENT), "200 OK", "Content-Encoding: deflate"),
    "identity": response(DOCUMENT, "200 OK", "Content-Encoding: identity"),
    "and identity": response(
        gzip.compress(DOCUMENT), "200 OK", "Content-Encoding: identity", "Content-Encoding: gzip"
    ),
    "nothing named": response(DOCUMENT, "200 OK", "Content-Encoding:"),
    "chunked": chunked(zlib.compress(DOCUMENT), "deflate"),
}


@pytest.mark.parametrize("kind", CODED)
def test_renewal(serve, token, kind):
    """A rotated refresh token arrives, whatever its answer is wrapped in."""
    server = serve(CODED[kind])

    answer = OAuth2("acme").refresh(token(server.url))

    assert (answer.access_token, answer.refresh_token) == ("new", "r2")
    assert b"Accept-Encoding: identity\r\n" in server.requests[0]


def test_what_is_refused_and_what_is_asked_for(serve, token):
    """Errors and documents are read likewise."""
    refusal = gzip.compress(b'{"error": "invalid_grant"}')
    refusing = serve(response(refusal, "400 Bad", "Content-Encoding: gzip"))
    telling = serve(response(raw(b"[1]"), "200 OK", "Content-Encoding: deflate"))

    with pytest.raises(GrantRejected):
        OAuth2("acme").refresh(token(refusing.url))
    assert get_json(telling.url, Form({"Authorization": "x"}), timeout=20) == (200, [1])


SECRET = SECRETS["refresh_token"]
SPOILED = {
    "unknown": (b"\x0b\x02\x80", "br", "content coding that is not known"),
    "several": (gzip.compress(gzip.compress(DOCUMENT)), "gzip, gzip", "or in several"),
    "a secret": (b"a page", SECRET, "content coding that is not known"),
    "plain": (b"a page", "gzip", "answered no gzip, though it said so"),
    "a form": (b"access_token=a", "gzip", "answered no gzip, though it said so"),
    "cut": (gzip.compress(DOCUMENT)[:-9], "gzip", "answered no gzip"),
    "wrong sum": (gzip.compress(DOCUMENT)[:-8] + bytes(8), "gzip", "answered no gzip"),
    "two members": (gzip.compress(DOCUMENT[:9]) * 2, "gzip", "answered no gzip"),
    "cut deflate": (zlib.compress(DOCUMENT)[:-2], "deflate", "answered no deflate"),
    "cut raw": (raw(DOCUMENT)[:-2], "deflate", "answered no deflate"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_undecodable(serve, token, kind):
    """What can't be decoded to its end is no answer, named, and is there as it came."""
    body, coding, said = SPOILED[kind]
    server = serve(response(body, "200 OK", f"Content-Encoding: {coding}"))

    with pytest.raises(ProviderUnavailable, match=said) as caught:
        OAuth2("acme").refresh(token(server.url))
    with pytest.raises(ProviderUnavailable, match=said):
        get_json(server.url, Form({"Authorization": "x"}), timeout=20)
    reply = post_form(server.url, Form(), timeout=20)

    assert_error_is_clean(caught.value)
    assert caught.value.answered
    assert reply.body == body


@pytest.mark.parametrize("coding", ["br", "UTF-8", "none", "application/json", "gzip", "deflate"])
def test_not_coded_at_all(serve, token, coding):
    """Whatever the header says: a document that can be read is read."""
    server = serve(response(DOCUMENT, "200 OK", f"Content-Encoding: {coding}"))

    assert OAuth2("acme").refresh(token(server.url)).access_token
    assert get_json(server.url, Form({"Authorization": "x"}), timeout=20)[0] == 200


@pytest.mark.parametrize(
    ("pack", "coding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (raw, "deflate")]
)
def test_bomb(serve, pack, coding):
    """What is longer than the longest answer is not unpacked to its end."""
    longest = serve(response(pack(bytes(MAX_BODY)), "200 OK", f"Content-Encoding: {coding}"))
    bomb = serve(response(pack(bytes(100 * MAX_BODY)), "200 OK", f"Content-Encoding: {coding}"))

    assert len(post_form(longest.url, Form(), timeout=20).body) == MAX_BODY
    tracemalloc.start()
    reply = post_form(bomb.url, Form(), timeout=20)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert reply.fault == "answered more than 1,000,000 bytes"
    assert len(reply.body) < MAX_BODY
    assert most < 10 * MAX_BODY
