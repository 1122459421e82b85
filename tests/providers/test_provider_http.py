"""One request: bounded, never redirected, never repeated, and read to its end."""

from __future__ import annotations

import email.utils
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

from tokenkeep.backends.waiting import NoThread
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


@pytest.fixture
def resolve(monkeypatch):
    """Let something answer for ``localhost``, in its words or with the addresses it returns."""
    real = socket.getaddrinfo

    def _resolve(answer):
        def found(host, *args, **kwargs):
            names = answer() if host == "localhost" else [host]
            return [entry for name in names for entry in real(name, *args, **kwargs)]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return _resolve


@pytest.mark.parametrize("end", ["at its deadline", "interrupted"])
def test_slow_name_resolution(serve, resolve, end):
    """Name resolution is inside the bound, and nothing is sent when it ends too late."""
    server, answered = serve(response(b"{}")), threading.Event()
    kind, timeout = ProviderUnavailable, 0.5
    if end == "interrupted":
        kind, timeout = KeyboardInterrupt, 60

    def slowly():
        if end == "interrupted":
            interrupt()
        answered.wait(60)
        return ["127.0.0.1"]

    resolve(slowly)
    begin = time.monotonic()
    with pytest.raises(kind):
        post(server.url.replace("127.0.0.1", "localhost"), timeout)
    assert time.monotonic() - begin < LATE

    answered.set()
    # Past the deadline it does not even connect; before it, it may, and leaves.
    for _ in range(1000 if end == "interrupted" else 30):
        if not server.connections:
            time.sleep(0.01)

    server.expect_left(LATE)
    assert [b""] * (end == "interrupted") == server.requests


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
        raise NoThread

    monkeypatch.setattr("tokenkeep.providers.http.begin", refuse)

    with pytest.raises(ProviderUnavailable, match="no thread"):
        post(server.url)


@pytest.mark.parametrize(
    ("thing", "deed"), [(http.client.HTTPResponse, "close"), (socket.socket, "shutdown")]
)
def test_tidying_up(serve, monkeypatch, thing, deed):
    """What goes wrong in tidying up takes no outcome's place, whatever that is."""
    good, bad = serve(response(b"{}")), serve(OK + b"Content-Length: 99\r\n\r\n")
    real = getattr(thing, deed)

    def fail(self, *args):
        real(self, *args)
        if threading.current_thread().name in ("MainThread", "tokenkeep-waiting"):
            raise RuntimeError

    monkeypatch.setattr(thing, deed, fail)

    assert post(good.url, timeout=20).body == b"{}"
    with pytest.raises(ProviderUnavailable, match="in the middle of its answer"):
        post(bad.url, timeout=20)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        # Of itself: to follow it would be a second request.
        (response(b"", "302 Found", "Location: /"), r"redirect .*not followed"),
        (response(b"", "304 N"), r"redirect .*not followed"),
        (b"", "closed the connection without an answer"),
        (OK + b"Content-Length: 99\r\n\r\n", "in the middle of its answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (OK + b"X: y\r\n" * 500 + b"\r\n", "not HTTP"),
    ],
)
def test_broken_answer(serve, raw, what):
    """What breaks off, is not HTTP, or is a redirect is no answer, and is asked for once."""
    server = serve(raw)

    with pytest.raises(ProviderUnavailable, match=what) as caught:
        post(server.url, timeout=20)

    assert_error_is_clean(caught.value)
    assert server.connections == 1


DOCUMENT = b'{"access_token": "a.s3cret"}'


def raw_deflate(plain):
    """Return deflate without zlib's header, as some servers write it."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush()


def coded(body, coding):
    return response(body, "200 OK", f"Content-Encoding: {coding}")


def chunked(body, coding="identity"):
    head = OK + f"Transfer-Encoding: chunked\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


BROKEN_OFF = "closed the connection in the middle of its answer"
TOO_LONG = "answered more than 1,000,000 bytes"
UNKNOWN = "answered in a content coding that is not known, or in several"
NO_GZIP = "answered no gzip, though it said so"
WRONG_SUM = gzip.compress(DOCUMENT)[:-8] + bytes(8)
MEMBER = gzip.compress(DOCUMENT[9:])
READ = {
    "gzip": (coded(gzip.compress(DOCUMENT), "X-GZip"), None, DOCUMENT),
    "deflate": (chunked(zlib.compress(DOCUMENT), "deflate"), None, DOCUMENT),
    "raw deflate": (coded(raw_deflate(DOCUMENT), "deflate"), None, DOCUMENT),
    "and identity": (coded(gzip.compress(DOCUMENT), "identity, gzip"), None, DOCUMENT),
    "nothing named": (coded(DOCUMENT, ""), None, DOCUMENT),
    "the longest": (response(b"a" * MAX_BODY), None, b"a" * MAX_BODY),
    # What came before it broke off, or can't be unpacked, is there: it may be the only one.
    "longer": (response(b"a" * 5 * MAX_BODY), TOO_LONG, b"a" * MAX_BODY),
    "half": (OK + b"Content-Length: 99\r\n\r\n{", BROKEN_OFF, b"{"),
    "half in chunks": (CHUNKED + b"1\r\n{\r\n9\r\n", BROKEN_OFF, b"{"),
    "unknown": (coded(b"\x0b", SECRETS["refresh_token"]), UNKNOWN, b"\x0b"),
    "several": (coded(b"\x0b", "gzip, gzip"), UNKNOWN, b"\x0b"),
    "plain": (coded(DOCUMENT, "gzip"), NO_GZIP, DOCUMENT),
    "wrong sum": (coded(WRONG_SUM, "gzip"), NO_GZIP, WRONG_SUM),
    "members": (coded(gzip.compress(DOCUMENT[:9]) + MEMBER, "gzip"), None, DOCUMENT),
    "half a member": (coded(MEMBER + MEMBER[:-1], "gzip"), NO_GZIP, MEMBER + MEMBER[:-1]),
    "and more": (coded(MEMBER + b"x", "gzip"), NO_GZIP, MEMBER + b"x"),
    "cut": (coded(b"\x03", "deflate"), "answered no deflate, though it said so", b"\x03"),
}


@pytest.mark.parametrize(("raw", "fault", "body"), READ.values(), ids=READ)
def test_what_is_read(serve, raw, fault, body):
    """A body is put together and unpacked; what is wrong with it is named."""
    reply = post(serve(raw).url, timeout=20)

    assert (fault, body) == (reply.fault, reply.body)


def in_members(plain):
    return gzip.compress(plain[:MAX_BODY]) * (len(plain) // MAX_BODY)


@pytest.mark.parametrize(
    ("pack", "coding"),
    [(gzip.compress, "gzip"), (in_members, "gzip"), (raw_deflate, "deflate")],
)
def test_bomb(serve, pack, coding):
    """What is longer than the longest answer is not unpacked to its end."""
    bomb = serve(coded(pack(bytes(100 * MAX_BODY)), coding))

    tracemalloc.start()
    reply = post(bomb.url, timeout=20)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert TOO_LONG == reply.fault
    assert most < 10 * MAX_BODY


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


@pytest.mark.parametrize(
    ("dead", "said"),
    [
        ("swallows refuses", None),
        ("swallows swallows", None),
        ("refuses refuses swallows", None),
        ("swallows", "within|in time"),
        ("swallows refuses", "no connection$"),
    ],
)
def test_dead_addresses(*, serve, swallow, resolve, dead, said):
    """However they are dead, the one that lives is asked, once; or the fault is named in time."""
    server = serve(response(b"{}"))
    there = dict(zip(DEAD, dead.split(), strict=False))
    for address, how in there.items():
        if how == "swallows":
            swallow(address, server.port)
    resolve(lambda: [*there, *([] if said else ["127.0.0.1"])])

    if said is None:
        assert b"{}" == post(f"http://localhost:{server.port}/", timeout=3.0).body
    else:
        with pytest.raises(ProviderUnavailable, match=said):
            post(f"http://localhost:{server.port}/", timeout=0.6)
    assert (said is None) == server.connections


@pytest.mark.parametrize("dead", [DEAD[:1], DEAD[:2]])
def test_last_address(swallow, resolve, dead):
    """The last address, a single one too, has all the time that is left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for address in dead:
        swallow(address, port)
    resolve(lambda: dead)

    begin = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        post(f"http://localhost:{port}/", timeout=0.6)

    assert time.monotonic() - begin > 0.55


def test_every_address_has_its_turn(serve, swallow, resolve):
    """However many there are: the fourth is asked where three are dead."""
    server = serve(response(b"{}"))
    for address in DEAD:
        swallow(address, server.port)
    resolve(lambda: [*DEAD, "127.0.0.1"])

    assert b"{}" == post(f"http://localhost:{server.port}/", timeout=3.0).body


def test_what_is_sent(serve):
    """One form post with our name on it, on a connection of its own."""
    server = serve(response(b"{}"))

    form = Form(a="x y&z", b=None, c="é")
    post_form(server.url, form, timeout=20)

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
    assert "<Form a, c>" == repr(form)


@pytest.mark.parametrize(
    ("header", "offset", "retry_after"),
    [
        ("Date: Sun, 06 Nov 2022 08:49:37 GMT", 37.0, None),
        ("Date: Sun, 06 Nov 2022 08:48:00 -0000", -60.0, None),
        ("Date: Thu, 01 Jan 1970 00:00:00 GMT", None, None),
        ("Date: Sun, 99 Nov 2022 08:49:37 GMT", None, None),
        ("Retry-After: 120", None, 120.0),
        ("Retry-After: Sun, 06 Nov 2022 08:50:00 GMT", None, 60.0),
        ("Retry-After: Sun, 06 Nov 2022 08:00:00 GMT", None, 0.0),
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


def test_get_json(serve):
    """A document is fetched with the header that was given; an empty one is None."""
    server, plain, empty, html, half = (
        serve(raw)
        for raw in (
            response(b'{"users": []}'),
            READ["plain"][0],
            response(b""),
            response(b"<html>1000.access.s3cret"),
            READ["half"][0],
        )
    )
    form = Form({"Authorization": "Zoho-oauthtoken 1000.a"})

    assert (200, {"users": []}) == get_json(server.url, form, timeout=20)
    assert b"GET /oauth/v2/token HTTP/1.1\r\n" in server.requests[0]
    assert b"Authorization: Zoho-oauthtoken 1000.a\r\n" in server.requests[0]
    assert b"Content-" not in server.requests[0]
    assert (200, json.loads(DOCUMENT)) == get_json(plain.url, form, timeout=20)
    assert (200, None) == get_json(empty.url, form, timeout=20)
    for bad, said in ((html, "no JSON"), (half, BROKEN_OFF)):
        with pytest.raises(ProviderUnavailable, match=said) as caught:
            get_json(bad.url, form, timeout=20)
        assert_error_is_clean(caught.value)
    for value in ("Bearer a\r\nX-Evil: 1", "Bearer é"):
        with pytest.raises(ConfigurationError) as caught:
            get_json(server.url, Form({"Authorization": value}), timeout=20)
        assert value not in str(caught.value)
    assert 1 == server.connections


STOPPED_TIMEOUT = 1.0
BODY = b'{"access_token": "the only one"}'


def _slow_clock():
    time.sleep(0.3)
    return time.time()


def _ask(url, answers):
    try:
        answers.put(post(url, STOPPED_TIMEOUT, clock=_slow_clock).body.strip())
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


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (response(BODY.ljust(100_000)), BODY),
        (b"", "127.0.0.1 did not answer within 1 seconds"),
    ],
    ids=["a long one", "none"],
)
def test_an_answer_that_came_in_meanwhile_is_read(stopped, answer, outcome):
    """A whole answer in the socket's buffer counts, even if it takes a while to read it."""
    assert outcome == stopped(answer)
