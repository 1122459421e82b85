"""One request: bounded, never redirected, never repeated, and read to its end."""

from __future__ import annotations

import email.utils
import gzip
import http.client
import logging
import math
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import ExitStack

import pytest
from provider_server import SECRETS, assert_error_is_clean, drip, response

from tokenkeep.backends.waiting import NoThread
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.http import MAX_BODY, Form, send

SHORT = 0.5
# Far more than that and its margin, far less than what any of the servers
# below would take: they drip or hang for a minute and longer.
LATE = 10.0
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN_OFF = "closed the connection in the middle of its answer"


def post(url, timeout=20.0, **options):
    return send("POST", url, Form(**SECRETS), timeout, **options)


def interrupt():
    """Be a Ctrl-C for who waits in the main thread, once it does."""
    time.sleep(0.3)  # a signal that comes just before it blocks does not wake it up
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def hang(connection):
    """Keep the connection until the other side ends it."""
    connection.settimeout(60)
    while connection.recv(1024):
        pass


# What comes at once, and what then comes byte by byte.
SLOW = {
    "nothing": (b"", b""),
    "status line": (b"", b"HTTP/1.1 200 " + b"O" * 5000),
    "headers": (b"", OK + b"X-Slow: " + b"a" * 5000),
    "body": (OK + b"Content-Length: 5000\r\n\r\n", b"a" * 5000),
    "body up to the end": (OK + b"Connection: close\r\n\r\n", b"a" * 5000),
    "chunk size": (CHUNKED, b"0" * 5000),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
    "TLS": (b"", b"\x16\x03\x03\x40\x00" + b"a" * 5000),
}


@pytest.mark.parametrize("kind", [*SLOW, "interrupted"])
def test_slow_server(serve, kind):
    """However slowly it answers, the caller is free in time, or at Ctrl-C, and the thread ends."""

    def play(connection, _request):
        if kind == "interrupted":
            interrupt()
        begin, rest = SLOW.get(kind, (b"", b""))
        connection.sendall(begin)
        drip(connection, rest)
        hang(connection)

    server = serve(play, read=kind != "TLS")
    end, timeout = (
        (KeyboardInterrupt, 60) if kind == "interrupted" else (ProviderUnavailable, SHORT)
    )
    begin = time.monotonic()

    with pytest.raises(end) as caught:
        post(f"https://{server.netloc}/" if kind == "TLS" else server.url, timeout)

    assert time.monotonic() - begin < LATE
    assert ("did not answer within 0.5" in str(caught.value)) == (kind != "interrupted")
    assert_error_is_clean(caught.value)
    server.expect_left(LATE)


@pytest.fixture
def resolve(monkeypatch):
    """Let something answer for ``localhost`` with the addresses it returns."""
    real = socket.getaddrinfo

    def _resolve(answer):
        def found(host, *args, **kwargs):
            names = answer() if host == "localhost" else [host]
            return [entry for name in names for entry in real(name, *args, **kwargs)]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return _resolve


@pytest.mark.parametrize("end", [ProviderUnavailable, KeyboardInterrupt])
def test_slow_name_resolution(serve, resolve, end):
    """Name resolution is inside the bound, and nothing is sent when it ends too late."""
    server, answered = serve(response(b"{}")), threading.Event()

    def slowly():
        if end is KeyboardInterrupt:
            interrupt()
        answered.wait(60)
        return ["127.0.0.1"]

    resolve(slowly)
    with pytest.raises(end):
        post(f"http://localhost:{server.port}", SHORT if end is ProviderUnavailable else 60)
    answered.set()
    # Past the deadline it does not even connect; before it, it may, and leaves.
    for _ in range(1000 if end is KeyboardInterrupt else 30):
        if not server.connections:
            time.sleep(0.01)

    server.expect_left(LATE)
    assert [b""] * (end is KeyboardInterrupt) == server.requests


def test_no_thread_to_be_had(monkeypatch):
    """Where no thread can be started, at exit for one, the error is the usual one."""

    def refuse(_work):
        raise NoThread

    monkeypatch.setattr("tokenkeep.providers.http.begin", refuse)

    with pytest.raises(ProviderUnavailable, match="no thread"):
        post("http://127.0.0.1:9/")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        # Of itself: to follow it would be a second request.
        (response(b"", "302 Found", "Location: /"), r"redirect .*not followed"),
        (response(b"", "304 N"), r"redirect .*not followed"),
        (b"", "closed the connection without an answer"),
        (OK + b"Content-Length: 99\r\n\r\n", BROKEN_OFF),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (OK + b"X: y\r\n" * 500 + b"\r\n", "not HTTP"),
    ],
)
def test_broken_answer(serve, raw, what):
    """What breaks off, is not HTTP, or is a redirect is no answer, and is asked for once."""
    server = serve(raw)

    with pytest.raises(ProviderUnavailable, match=what) as caught:
        post(server.url)

    assert_error_is_clean(caught.value)
    assert server.connections == 1


def test_a_clock_that_fails(serve):
    """Nor has any other error, raised after all was sent, a frame with what was."""

    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        post(serve(response(b"{}")).url, clock=fail)

    assert_error_is_clean(caught.value)


def coded(body, coding):
    return response(body, "200 OK", f"Content-Encoding: {coding}")


DOCUMENT = b'{"access_token": "a.s3cret"}'
TOO_LONG = "answered more than 1,000,000 bytes"
UNKNOWN = "answered in a content coding other than gzip, or in several"
NOT_SO = "answered no gzip, though it said so"
MEMBER, TWO = gzip.compress(DOCUMENT), gzip.compress(DOCUMENT[:9]) + gzip.compress(DOCUMENT[9:])
WRONG_SUM = MEMBER[:-8] + bytes(8)
IN_CHUNKS = CHUNKED.replace(b"Conn", b"Content-Encoding: gzip\r\nConn")
READ = {
    "identity": (coded(DOCUMENT, "Identity"), None, DOCUMENT),
    "nothing named": (coded(DOCUMENT, ""), None, DOCUMENT),
    "gzip": (coded(MEMBER, "X-GZip"), None, DOCUMENT),
    "members": (coded(TWO, "gzip"), None, DOCUMENT),
    "chunks": (IN_CHUNKS + b"%x\r\n%b\r\n0\r\n\r\n" % (len(MEMBER), MEMBER), None, DOCUMENT),
    "the longest": (response(b"a" * MAX_BODY), None, b"a" * MAX_BODY),
    # What came before it broke off, or can't be unpacked, is there: it may be the only one.
    "longer": (response(b"a" * 5 * MAX_BODY), TOO_LONG, b"a" * MAX_BODY),
    "half": (OK + b"Content-Length: 99\r\n\r\n{", BROKEN_OFF, b"{"),
    "half in chunks": (CHUNKED + b"1\r\n{\r\n9\r\n", BROKEN_OFF, b"{"),
    "unknown": (coded(b"\x0b", SECRETS["refresh_token"]), UNKNOWN, b"\x0b"),
    "deflate": (coded(b"\x0b", "deflate"), UNKNOWN, b"\x0b"),
    "several": (coded(b"\x0b", "gzip, gzip"), UNKNOWN, b"\x0b"),
    "plain": (coded(DOCUMENT, "gzip"), NOT_SO, DOCUMENT),
    "wrong sum": (coded(WRONG_SUM, "gzip"), NOT_SO, WRONG_SUM),
    "half a member": (coded(TWO[:-1], "gzip"), NOT_SO, TWO[:-1]),
    "and more": (coded(MEMBER + b"x", "gzip"), NOT_SO, MEMBER + b"x"),
}


@pytest.mark.parametrize(("raw", "fault", "body"), READ.values(), ids=READ)
def test_what_is_read(serve, raw, fault, body):
    """A body is put together and unpacked; what is wrong with it is named."""
    reply = post(serve(raw).url)

    assert (fault, body) == (reply.fault, reply.body)


@pytest.mark.parametrize(
    "pack",
    [
        lambda: gzip.compress(bytes(100 * MAX_BODY)),
        lambda: gzip.compress(bytes(MAX_BODY)) * 100,
    ],
)
def test_bomb(serve, pack):
    """What is longer than the longest answer is not unpacked to its end."""
    server = serve(coded(pack(), "gzip"))

    tracemalloc.start()
    reply = post(server.url)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert TOO_LONG == reply.fault
    assert most < 10 * MAX_BODY


DEAD = ("::1", "127.0.0.2", "127.0.0.3")


@pytest.fixture
def dead(resolve):
    """Let ``localhost`` have addresses that are dead, each in its way, and then others."""
    with ExitStack() as stack:

        def _dead(how, port, *others):
            there = DEAD[: len(how.split())]
            for address, each in zip(there, how.split(), strict=True):
                if each == "swallows":  # never takes a connection: of the third, SYNs are lost
                    family = socket.AF_INET6 if ":" in address else socket.AF_INET
                    listener = socket.create_server((address, port), family=family, backlog=0)
                    for _ in range(3):
                        client = stack.enter_context(socket.socket(family))
                        client.settimeout(0)
                        client.connect_ex(stack.enter_context(listener).getsockname())
            resolve(lambda: [*there, *others])
            return f"http://localhost:{port}/"

        yield _dead


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("swallows refuses", None),
        ("refuses refuses swallows", None),
        ("swallows swallows swallows", None),
        ("swallows", "within|in time"),
        ("swallows swallows", "within|in time"),
        ("swallows refuses", "localhost:{port} can't be reached: no connection. Try again later"),
    ],
)
def test_dead_addresses(serve, dead, how, said):
    """
    However many and however they are dead, the one that lives is asked, once.

    If there is none that is said in time; the last address, a single one too, has all of it.
    """
    server = serve(response(b"{}"))
    begin = time.monotonic()

    if said is None:
        assert b"{}" == post(dead(how, server.port, "127.0.0.1"), 3.0).body
        assert 1 == server.connections
        return
    with pytest.raises(ProviderUnavailable, match=said.format(port=server.port)):
        post(dead(how, server.port), SHORT)
    assert how.endswith("refuses") or time.monotonic() - begin > 0.9 * SHORT


def test_what_is_sent(serve):
    """One form with our name on it, on a connection of its own; or headers, which can be sent."""
    server = serve(response(b"{}"))
    form = Form({"Authorization": "Bearer a"}, a="x y&z", b=None, c="é")
    for method in ("POST", "GET"):
        send(method, server.url, form, 20)

    (posted, _, body), (got, _, nothing) = (
        each.partition(b"\r\n\r\n") for each in server.requests
    )
    first, *lines = posted.decode().split("\r\n")
    assert "POST /oauth/v2/token HTTP/1.1" == first
    usual = {f"Host: {server.netloc}", "Connection: close", "Accept-Encoding: identity"}
    assert {*usual, "Content-Type: application/x-www-form-urlencoded"} <= set(lines)
    assert [line for line in lines if line.startswith("User-Agent: tokenkeep/")]
    assert (b"a=x+y%26z&c=%C3%A9", b"") == (body, nothing)
    assert b"GET /oauth/v2/token HTTP/1.1\r\n" in got
    assert b"Authorization: Bearer a" in got
    assert b"Content-" not in got
    assert "<Form a, c>" == repr(form)
    for value in ("Bearer a\r\nX-Evil: 1", "Bearer é"):
        with pytest.raises(ConfigurationError) as caught:
            send("GET", server.url, Form({"Authorization": value}), 20)
        assert value not in str(caught.value)
    assert 2 == server.connections


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
        (f"Retry-After: {'9' * 400}", None, math.inf),
        ("Retry-After: later", None, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_times(serve, header, offset, retry_after):
    """How far our clocks are apart, and how long to wait; what is senseless says nothing."""
    now = email.utils.parsedate_to_datetime("Sun, 06 Nov 2022 08:49:00 GMT").timestamp()

    reply = post(serve(response(b"{}", "200 OK", header)).url, clock=lambda: now)

    assert (offset, retry_after) == (reply.clock_offset, reply.retry_after)


def test_nothing_is_logged(serve, caplog, capfd, monkeypatch):
    """Not by who debugs HTTP, nor where a server repeats our secret where headers belong."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    secret = SECRETS["refresh_token"]
    server = serve(f"HTTP/1.1 200 OK\r\nA: b\r\nyour {secret}\r\n\r\n".encode())

    with caplog.at_level(logging.DEBUG):
        post(server.url)

    assert secret not in caplog.text + "".join(capfd.readouterr())


ASK = """
import sys, time
from tokenkeep import ProviderUnavailable
from tokenkeep.providers.http import Form, send

def slowly():
    time.sleep(0.3)
    return time.time()

try:
    print(send("POST", sys.argv[1], Form(), 1.0, clock=slowly).body.strip().decode())
except ProviderUnavailable as exc:
    print(exc.what)
"""


@pytest.mark.parametrize(
    ("answer", "after", "outcome"),
    [
        (response(DOCUMENT.ljust(100_000)), 0, DOCUMENT.decode()),
        (response(DOCUMENT), 0.2, DOCUMENT.decode()),
        (b"", 0, "127.0.0.1:PORT did not answer within 1 seconds"),
    ],
    ids=["a long one", "afterwards", "none"],
)
def test_stopped_past_the_deadline(*, serve, answer, after, outcome):
    """An answer that came in meanwhile, or comes right after, counts, and may take a while."""
    asked, release = threading.Event(), threading.Event()

    def play(connection, _request):
        asked.set()
        release.wait(60)
        time.sleep(after)
        connection.sendall(answer)
        if not answer:
            connection.recv(1)

    server = serve(play)
    command = [sys.executable, "-c", ASK, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGSTOP)
        if not after:
            release.set()
        time.sleep(1.3)
        process.send_signal(signal.SIGCONT)
        release.set()

        outcome = outcome.replace("PORT", str(server.port))
        assert outcome == process.communicate(timeout=60)[0].strip()
