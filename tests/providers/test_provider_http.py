"""One request: bounded, never redirected, never repeated, and read to its end."""

from __future__ import annotations

import email.utils
import errno
import gzip
import http.client
import json
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import tracemalloc
import zlib
from contextlib import ExitStack

import pytest
from provider_server import SECRETS, assert_error_is_clean, drip, response

from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.http import MAX_BODY, Form, get_json, post_form

# Far more than the bound of 0.5 s and its margin, far less than what any of
# the servers below would take: they drip or hang for a minute and longer.
LATE = 10.0


def post(url, timeout=0.5, **options):
    return post_form(url, Form(**SECRETS), timeout=timeout, **options)


def interrupt():
    """Be a Ctrl-C for who waits in the main thread, once it does."""
    time.sleep(0.3)  # a signal that comes just before it blocks does not wake it up
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
# What comes at once, and what then comes byte by byte.
SLOW = {
    "nothing": (b"", b""),
    "status line": (b"", b"HTTP/1.1 200 " + b"O" * 5000),
    "headers": (b"", OK + b"X-Slow: " + b"a" * 5000),
    "body": (OK + b"Content-Length: 5000\r\n\r\n", b"a" * 5000),
    "body up to the end": (OK + b"Connection: close\r\n\r\n", b"a" * 5000),
    "chunk size": (CHUNKED, b"0" * 5000),
    "trailers": (CHUNKED + b"0\r\n", b"X-Slow: " + b"a" * 5000),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
    "TLS": (b"", b"\x16\x03\x03\x40\x00" + b"a" * 5000),
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_server(serve, kind):
    """However slowly a server answers, the caller is free at its deadline and the thread ends."""

    def play(connection, _request):
        begin, rest = SLOW[kind]
        connection.sendall(begin)
        drip(connection, rest)
        hang(connection)

    server = serve(play, read=kind != "TLS")
    begin = time.monotonic()

    with pytest.raises(ProviderUnavailable, match="did not answer within 0") as caught:
        post(f"https://{server.netloc}/" if kind == "TLS" else server.url)

    assert time.monotonic() - begin < LATE
    assert_error_is_clean(caught.value)
    server.expect_left(LATE)


def hang(connection, _request=None):
    """Keep the connection until the other side ends it."""
    connection.settimeout(60)
    while connection.recv(1024):
        pass


@pytest.mark.parametrize("end", ["at its deadline", "interrupted"])
def test_slow_name_resolution(serve, monkeypatch, end):
    """Name resolution is inside the bound, and nothing is sent when it ends too late."""
    server = serve(response(b"{}"))
    resolve, answered = socket.getaddrinfo, threading.Event()

    def slowly(*args, **kwargs):
        if end == "interrupted":
            interrupt()
        answered.wait(60)
        return resolve(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    begin = time.monotonic()
    kind = KeyboardInterrupt if end == "interrupted" else ProviderUnavailable
    with pytest.raises(kind):
        post(
            server.url.replace("127.0.0.1", "localhost"),
            timeout=60 if end == "interrupted" else 0.5,
        )
    assert time.monotonic() - begin < LATE

    answered.set()
    for _ in range(1000):
        if not server.connections:
            time.sleep(0.01)

    server.expect_left(LATE)
    assert {b""} == set(server.requests)


def test_interrupted_caller_leaves_nothing_running(serve):
    """Ctrl-C while waiting ends the request too."""

    def play(connection, _request):
        interrupt()
        hang(connection)

    server = serve(play)
    with pytest.raises(KeyboardInterrupt):
        post(server.url, timeout=60)

    server.expect_left(LATE)


def test_no_thread_to_be_had(serve, monkeypatch):
    """Where no thread can be started, at exit for one, the error is the usual one."""
    server = serve(response(b"{}"))

    def refuse(_work):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("tokenkeep.providers.http.begin", refuse)

    with pytest.raises(ProviderUnavailable, match="no thread"):
        post(server.url)


@pytest.mark.parametrize(
    ("thing", "deed"), [(http.client.HTTPResponse, "close"), (socket.socket, "shutdown")]
)
@pytest.mark.parametrize("error", [OSError(errno.EBADF, "Bad file descriptor"), RuntimeError()])
def test_tidying_up(serve, monkeypatch, thing, deed, error):
    """What goes wrong in tidying up takes no outcome's place, whatever that is."""
    good, bad = serve(response(b"{}")), serve(OK + b"Content-Length: 99\r\n\r\n")
    real = getattr(thing, deed)

    def fail(self, *args):
        real(self, *args)
        if threading.current_thread().name in ("MainThread", "tokenkeep-waiting"):
            raise error

    monkeypatch.setattr(thing, deed, fail)

    assert post(good.url, timeout=20).body == b"{}"
    with pytest.raises(ProviderUnavailable, match="in the middle of its answer"):
        post(bad.url, timeout=20)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 T", "308 P", "304 N"])
def test_redirect(serve, status):
    """A redirect is an error, never a second request."""
    other = serve(response(b'{"access_token": "stolen"}'))
    server = serve(response(b"", status, f"Location: {other.url}"))

    with pytest.raises(ProviderUnavailable, match=r"redirect .*not followed"):
        post(server.url)

    assert (0, 1) == (other.connections, server.connections)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "in the middle of its answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", "not HTTP"),
    ],
)
def test_broken_answer(serve, raw, what):
    """An answer that breaks off or is not HTTP is no answer, and is asked for once."""
    server = serve(raw)

    with pytest.raises(ProviderUnavailable, match=what) as caught:
        post(server.url, timeout=20)

    assert_error_is_clean(caught.value)
    assert server.connections == 1


def test_too_long(serve):
    """A megabyte is read to its end; of more that much is there."""
    longest, longer = serve(response(b"a" * MAX_BODY)), serve(response(b"a" * 5 * MAX_BODY))

    assert MAX_BODY == len(post(longest.url, timeout=20).body)
    reply = post(longer.url, timeout=20)
    assert ("answered more than 1,000,000 bytes", MAX_BODY) == (reply.fault, len(reply.body))


def chunked(body, *headers):
    head = "\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers, "", ""])
    return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Length: 99\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n9\r\n",
    ],
)
def test_half_an_answer(serve, raw):
    """What came before it broke off is there: it may be the only one."""
    reply = post(serve(OK + raw).url, timeout=20)

    assert ("closed the connection in the middle of its answer", b"{") == (reply.fault, reply.body)


DOCUMENT = b'{"access_token": "a.s3cret"}'


def raw_deflate(plain):
    """Return deflate without zlib's header, as some servers write it."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush()


def coded(body, *codings):
    return response(body, "200 OK", *(f"Content-Encoding: {each}" for each in codings))


CODED = {
    "gzip": coded(gzip.compress(DOCUMENT), "gzip"),
    "x-gzip": coded(gzip.compress(DOCUMENT), "X-GZip"),
    "deflate": coded(zlib.compress(DOCUMENT), "deflate"),
    "raw deflate": coded(raw_deflate(DOCUMENT), "deflate"),
    "identity": coded(DOCUMENT, "identity"),
    "and identity": coded(gzip.compress(DOCUMENT), "identity", "gzip"),
    "nothing named": coded(DOCUMENT, ""),
    "chunked": chunked(zlib.compress(DOCUMENT), "Content-Encoding: deflate"),
    "plain chunks": chunked(DOCUMENT),
}


@pytest.mark.parametrize("kind", CODED)
def test_coded(serve, kind):
    """A body is put together and unpacked, whatever it is wrapped in."""
    reply = post(serve(CODED[kind]).url, timeout=20)

    assert (None, DOCUMENT) == (reply.fault, reply.body)


UNKNOWN = "answered in a content coding that is not known, or in several"
SPOILED = {
    "unknown": (b"\x0b\x02\x80", "br", UNKNOWN),
    "several": (gzip.compress(gzip.compress(DOCUMENT)), "gzip, gzip", UNKNOWN),
    "a secret": (b"a page", SECRETS["refresh_token"], UNKNOWN),
    "plain": (DOCUMENT, "gzip", "answered no gzip, though it said so"),
    "cut": (gzip.compress(DOCUMENT)[:-9], "gzip", "answered no gzip, though it said so"),
    "wrong sum": (
        gzip.compress(DOCUMENT)[:-8] + bytes(8),
        "gzip",
        "answered no gzip, though it said so",
    ),
    "two members": (gzip.compress(DOCUMENT) * 2, "gzip", "answered no gzip, though it said so"),
    "cut deflate": (
        zlib.compress(DOCUMENT)[:-2],
        "deflate",
        "answered no deflate, though it said so",
    ),
    "cut raw": (raw_deflate(DOCUMENT)[:-2], "deflate", "answered no deflate, though it said so"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_undecodable(serve, kind):
    """What can't be decoded to its end is named, and is there as it came."""
    body, coding, said = SPOILED[kind]
    server = serve(coded(body, coding))

    reply = post(server.url, timeout=20)

    assert (said, body) == (reply.fault, reply.body)
    if body == DOCUMENT:  # a document that can be read is read
        assert (200, json.loads(body)) == get_json(server.url, Form(), timeout=20)
        return
    with pytest.raises(ProviderUnavailable, match=said) as caught:
        get_json(server.url, Form(), timeout=20)
    assert_error_is_clean(caught.value)


@pytest.mark.parametrize(
    ("pack", "coding"),
    [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (raw_deflate, "deflate")],
)
def test_bomb(serve, pack, coding):
    """What is longer than the longest answer is not unpacked to its end."""
    longest = serve(coded(pack(bytes(MAX_BODY)), coding))
    bomb = serve(coded(pack(bytes(100 * MAX_BODY)), coding))

    assert MAX_BODY == len(post(longest.url, timeout=20).body)
    tracemalloc.start()
    reply = post(bomb.url, timeout=20)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "answered more than 1,000,000 bytes" == reply.fault
    assert most < 10 * MAX_BODY


def test_no_such_host(monkeypatch):
    """A name that does not resolve is said to be that."""

    def unknown(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(ProviderUnavailable, match="does not resolve"):
        post("https://accounts.zoho.invalid/", timeout=20)


DEAD = ("::1", "127.0.0.2", "127.0.0.3")


@pytest.fixture
def swallow():
    """Listen at an address and never take a connection: from the third on, its SYNs are lost."""
    with ExitStack() as stack:

        def _swallow(address, port):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(
                socket.create_server((address, port), family=family, backlog=0)
            )
            for _ in range(3):
                each = stack.enter_context(socket.socket(family))
                each.settimeout(0)
                each.connect_ex(listener.getsockname())

        yield _swallow


@pytest.fixture
def resolve(monkeypatch):
    """Let ``localhost`` have these addresses, in this order."""
    real = socket.getaddrinfo

    def _resolve(*addresses):
        def found(host, *args, **kwargs):
            names = addresses if host == "localhost" else [host]
            return [entry for name in names for entry in real(name, *args, **kwargs)]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return _resolve


@pytest.mark.parametrize(
    "dead",
    [
        ["swallows", "refuses"],
        ["swallows", "swallows"],
        ["refuses", "refuses", "swallows"],
    ],
    ids="-".join,
)
def test_another_address_answers(serve, swallow, resolve, dead):
    """However the addresses before it are dead, the one that lives is asked, once."""
    server = serve(response(b"{}"))
    for address, how in zip(DEAD, dead, strict=False):
        if how == "swallows":
            swallow(address, server.port)
    resolve(*DEAD[: len(dead)], "127.0.0.1")

    reply = post(f"http://localhost:{server.port}/", timeout=3.0)

    assert (reply.body, server.connections) == (b"{}", 1)


@pytest.mark.parametrize(
    ("dead", "said"),
    [
        (["swallows"], "within|in time"),
        (["swallows", "refuses"], "no connection$"),
        (["refuses", "swallows"], "within|in time"),
    ],
)
def test_no_address_answers(serve, swallow, resolve, dead, said):
    """All of them dead: named within the bound."""
    port = serve(response(b"{}")).port
    for address, how in zip(DEAD, dead, strict=False):
        if how == "swallows":
            swallow(address, port)
    resolve(*DEAD[: len(dead)])

    with pytest.raises(ProviderUnavailable, match=said):
        post(f"http://localhost:{port}/", timeout=0.6)


def test_what_is_sent(serve):
    """One form post with our name on it, on a connection of its own."""
    server = serve(response(b"{}"))

    post_form(server.url, Form(a="x y&z", b=None, c="é"), timeout=20)

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /oauth/v2/token HTTP/1.1"
    assert body == b"a=x+y%26z&c=%C3%A9"
    assert {
        f"Host: {server.netloc}",
        "Content-Type: application/x-www-form-urlencoded",
        "Connection: close",
        "Accept-Encoding: identity",
    } <= set(lines)
    assert [line for line in lines if line.startswith("User-Agent: tokenkeep/")]


@pytest.mark.parametrize(
    ("header", "offset", "retry_after"),
    [
        ("Date: Sun, 06 Nov 2022 08:49:37 GMT", 37.0, None),
        ("Date: Sunday, 06-Nov-22 08:49:37 GMT", 37.0, None),
        ("Date: Sun, 06 Nov 2022 08:48:00 -0000", -60.0, None),
        ("Date: Thu, 01 Jan 1970 00:00:00 GMT", None, None),
        ("Date: Sun, 99 Nov 2022 08:49:37 GMT", None, None),
        ("Date: Sun, 06 Nov 99999 08:49:37 GMT", None, None),
        ("Date: soon", None, None),
        ("Date:", None, None),
        ("X: y", None, None),
        ("Retry-After: 120", None, 120.0),
        ("Retry-After: Sun, 06 Nov 2022 08:50:00 GMT", None, 60.0),
        ("Retry-After: Sun, 06 Nov 2022 08:00:00 GMT", None, 0.0),
        ("Retry-After: -5", None, None),
        (f"Retry-After: {'9' * 400}", None, None),
        ("Retry-After: later", None, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_times(serve, header, offset, retry_after):
    """How far our clocks are apart, and how long to wait; what is senseless says nothing."""
    now = email.utils.parsedate_to_datetime("Sun, 06 Nov 2022 08:49:00 GMT").timestamp()

    reply = post(serve(response(b"{}", "200 OK", header)).url, timeout=20, clock=lambda: now)

    assert (offset, retry_after) == (reply.clock_offset, reply.retry_after)


def test_nothing_is_logged(serve, caplog, capfd, monkeypatch):
    """Not by who debugs HTTP, nor where a server repeats our secret where headers belong."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    secret = SECRETS["refresh_token"]
    server = serve(f"HTTP/1.1 200 OK\r\nA: b\r\nyour {secret}\r\n\r\n".encode())

    with caplog.at_level(logging.DEBUG):
        post(server.url, timeout=20)

    assert secret not in caplog.text + "".join(capfd.readouterr())


def test_forked_child_asks_for_itself(serve):
    """A child forked after a call of its parent makes calls of its own."""
    server = serve(response(b"{}"))
    post(server.url, timeout=20)

    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=post, args=(server.url, 20))
    child.start()
    child.join(30)

    assert child.exitcode == 0
    assert post(server.url, timeout=20).status == 200
    assert server.connections == 3


def test_form_shows_no_value():
    """A form shows the names of its fields only."""
    shown = repr(Form(**SECRETS))

    assert shown == "<Form client_secret, refresh_token, grant_token, access_token>"


def test_get_json(serve):
    """A document is fetched with the header that was given; an empty one is None."""
    server, empty, html = (
        serve(response(body)) for body in (b'{"users": []}', b"", b"<html>1000.access.s3cret")
    )
    form = Form({"Authorization": "Zoho-oauthtoken 1000.a"})

    assert (200, {"users": []}) == get_json(server.url, form, timeout=20)
    assert b"GET /oauth/v2/token HTTP/1.1\r\n" in server.requests[0]
    assert b"Authorization: Zoho-oauthtoken 1000.a\r\n" in server.requests[0]
    assert b"Content-" not in server.requests[0]
    assert (200, None) == get_json(empty.url, form, timeout=20)
    with pytest.raises(ProviderUnavailable, match="no JSON") as caught:
        get_json(html.url, form, timeout=20)
    assert_error_is_clean(caught.value)


@pytest.mark.parametrize(
    "value", ["Bearer a\r\nX-Evil: 1", "Bearer a\nb", "Bearer é", "Bearer \0"]
)
def test_header_injection(serve, value):
    """A token with control characters in it is not sent, and not quoted."""
    server = serve(response(b"{}"))

    with pytest.raises(ConfigurationError) as caught:
        get_json(server.url, Form({"Authorization": value}), timeout=20)

    assert value not in str(caught.value)
    assert server.connections == 0


STOPPED_TIMEOUT = 1.0
BODY = b'{"access_token": "the only one"}'
MEANWHILE = {
    "with its length": response(BODY),
    "up to the end": OK + b"Connection: close\r\n\r\n" + BODY,
    "in chunks": CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    "long": response(BODY.ljust(100_000)),
}


def _ask(url, answers):
    try:
        answers.put(post(url, STOPPED_TIMEOUT).body.strip())
    except ProviderUnavailable as exc:
        answers.put(exc.what)


@pytest.fixture
def stopped(serve):
    """Ask in a process that is stopped from when the request is out until past its deadline."""

    def run(answer):
        asked, release = threading.Event(), threading.Event()

        def play(connection, _request):
            asked.set()
            release.wait(60)
            connection.sendall(answer)
            if not answer:
                connection.recv(1)

        url = serve(play).url
        context = multiprocessing.get_context("spawn")
        answers = context.SimpleQueue()
        process = context.Process(target=_ask, args=(url, answers))
        process.start()
        try:
            assert asked.wait(60)
            os.kill(process.pid, signal.SIGSTOP)
            release.set()
            time.sleep(STOPPED_TIMEOUT + 0.3)
            os.kill(process.pid, signal.SIGCONT)
            process.join(60)
            assert 0 == process.exitcode
        finally:
            process.kill()
        return answers.get()

    return run


@pytest.mark.parametrize("kind", MEANWHILE)
def test_an_answer_that_came_in_meanwhile_is_read(stopped, kind):
    """A whole answer in the socket's buffer counts, however late the process goes on."""
    assert BODY == stopped(MEANWHILE[kind])


def test_no_answer_came_in_meanwhile(stopped):
    """Without an answer the call ends once the process goes on, and its thread with it."""
    assert "did not answer within 1 seconds" in stopped(b"")
