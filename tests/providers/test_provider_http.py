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
import zlib
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


# What comes at once, and what then comes byte by byte.
SLOW = {
    "nothing": (b"", b""),
    "headers": (b"", OK + b"X-Slow: " + b"a" * 5000),
    "chunk size": (CHUNKED, b"0" * 5000),
    "TLS": (b"", b"\x16\x03\x03\x40\x00" + b"a" * 5000),
}


@pytest.mark.parametrize("kind", [*SLOW, "interrupted"])
def test_slow_server(serve, kind):
    """However slowly it answers, the caller is free in time, or at Ctrl-C, and nobody is left."""

    def play(connection, _request):
        if kind == "interrupted":
            time.sleep(0.3)  # a signal that comes just before who is to wait does not wake it up
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        begin, rest = SLOW.get(kind, (b"", b""))
        connection.sendall(begin)
        drip(connection, rest)
        connection.settimeout(60)
        while connection.recv(1024):
            pass

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
    if kind != "TLS":
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


def test_slow_name_resolution(serve, resolve):
    """Name resolution is inside the bound, and nothing is sent when it ends too late."""
    server, answered = serve(response(b"{}")), threading.Event()
    resolve(lambda: answered.wait(60) and ["127.0.0.1"])
    with pytest.raises(ProviderUnavailable, match="within"):
        post(f"http://localhost:{server.port}", SHORT)

    answered.set()
    while not server.connections:
        time.sleep(0.01)
    server.expect_left(LATE)
    assert not any(server.requests)


def no_thread(_seconds, _work):
    raise NoThread


def held_up(_seconds, work):
    work()
    time.sleep(SHORT)


@pytest.mark.parametrize(("wait", "said"), [(no_thread, "no thread"), (held_up, "within 0.5")])
def test_nothing_is_sent(serve, monkeypatch, wait, said):
    """Where no thread can be started, at exit for one; nor by who went on past the deadline."""
    server = serve(response(b"{}"))
    monkeypatch.setattr("tokenkeep.providers.http.within", wait)

    with pytest.raises(ProviderUnavailable, match=said):
        post(server.url, SHORT)

    server.expect_left(LATE)
    assert not any(server.requests)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        # Of itself: to follow it would be a second request.
        (response(b"", "302 Found", "Location: /"), r"redirect .*not followed"),
        (response(b"", "304 N"), r"redirect .*not followed"),
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
    ],
)
def test_broken_answer(serve, raw, what):
    """What breaks off, is not HTTP, or is a redirect is no answer, and is asked for once."""
    server = serve(raw)

    with pytest.raises(ProviderUnavailable, match=what) as caught:
        post(server.url)

    assert_error_is_clean(caught.value)
    assert server.connections == 1


def test_a_signal_while_it_is_sent(serve, monkeypatch):
    """What a handler raises then has no frame with what is sent."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(http.client.HTTPConnection, "send", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        post(serve(response(b"{}")).url)

    assert_error_is_clean(caught.value)


def coded(body, coding):
    return response(body, "200 OK", f"Content-Encoding: {coding}")


DOCUMENT = b'{"access_token": "a.s3cret"}'
TOO_LONG = "answered more than 1,000,000 bytes"
UNKNOWN = "answered in a content coding that can't be read"
MEMBER, TWO = gzip.compress(DOCUMENT), gzip.compress(DOCUMENT[:9]) + gzip.compress(DOCUMENT[9:])
IN_CHUNKS = CHUNKED.replace(b"Conn", b"Content-Encoding: gzip\r\nConn")
BOMB = gzip.compress(bytes(100 * MAX_BODY))
READ = {
    "identity": (coded(DOCUMENT, "Identity"), None, DOCUMENT),
    "gzip": (coded(MEMBER, "X-GZip"), None, DOCUMENT),
    "deflate": (coded(zlib.compress(DOCUMENT), "deflate"), None, DOCUMENT),
    "chunks": (IN_CHUNKS + b"%x\r\n%b\r\n0\r\n\r\n" % (len(MEMBER), MEMBER), None, DOCUMENT),
    "the longest": (response(b"a" * MAX_BODY), None, b"a" * MAX_BODY),
    # What came before it broke off, or can't be unpacked, is there: it may be the only one.
    "longer": (response(b"a" * 5 * MAX_BODY), TOO_LONG, b"a" * MAX_BODY),
    "half": (OK + b"Content-Length: 99\r\n\r\n{", BROKEN_OFF, b"{"),
    "half in chunks": (CHUNKED + b"1\r\n{\r\n9\r\n", BROKEN_OFF, b"{"),
    "nothing of it": (OK + b"Content-Length: 99\r\n\r\n", BROKEN_OFF, b""),
    "unknown": (coded(b"\x0b", SECRETS["refresh_token"]), UNKNOWN, b"\x0b"),
    "half a member": (coded(MEMBER[:-1], "gzip"), UNKNOWN, MEMBER[:-1]),
    "two members": (coded(TWO, "gzip"), UNKNOWN, TWO),
    "bomb": (coded(BOMB, "gzip"), UNKNOWN, BOMB),
}


@pytest.mark.parametrize(("raw", "fault", "body"), READ.values(), ids=READ)
def test_what_is_read(serve, raw, fault, body):
    """A body is put together and unpacked, within bounds; what is wrong with it is named."""
    server = serve(raw)

    tracemalloc.start()
    reply = post(server.url)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (fault, body) == (reply.fault, reply.body)
    assert most < 10 * MAX_BODY


def test_dead_address(serve, resolve):
    """The second address of a host is asked while there is time, once."""
    server = serve(response(b"{}"))
    with ExitStack() as stack:
        swallows = stack.enter_context(socket.create_server(("127.0.0.2", server.port), backlog=0))
        for _ in range(3):  # of the third the first packet is lost
            client = stack.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(swallows.getsockname())
        resolve(lambda: ["127.0.0.2", "127.0.0.1"])

        assert b"{}" == post(f"http://localhost:{server.port}/", 3.0).body
        assert 1 == server.connections


@pytest.mark.parametrize("name", ["localhost", "[::1]"])
def test_no_address(resolve, name):
    """A name that is not known, and nobody who listens, are told apart."""

    def unknown():
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    resolve(unknown)
    said = "its name does not resolve" if name == "localhost" else r"no connection\. Try"
    with pytest.raises(ProviderUnavailable, match=f"can't be .*: {said}"):
        post(f"http://{name}:9/")


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
    for value in ("Bearer a\r\nX-Evil: 1", "Bearer \u20ac"):
        with pytest.raises(ConfigurationError) as caught:
            send("GET", server.url, Form({"Authorization": value}), 20)
        assert_error_is_clean(caught.value, value)
    server.expect_left(LATE)
    assert not any(server.requests[2:])


@pytest.mark.parametrize(
    ("header", "offset", "retry_after"),
    [
        ("Date: Sun, 06 Nov 2022 08:49:37 GMT", 37.0, None),
        ("Date: Sun, 99 Nov 2022 08:49:37 GMT", None, None),
        ("Retry-After: 120", None, 120.0),
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


@pytest.mark.parametrize(
    "head", [OK + b"Content-Length: 5000", CHUNKED[:-4], OK + b"Connection: close"]
)
def test_an_answer_that_does_not_end(serve, head):
    """What came until nobody could wait any longer is told: there may be the only token in it."""
    body = DOCUMENT if CHUNKED[:-4] != head else b"%x\r\n%s\r\n" % (len(DOCUMENT), DOCUMENT)

    def play(connection, _request):
        connection.sendall(head + b"\r\n\r\n" + body)
        connection.recv(1)

    reply = post(serve(play).url, SHORT)

    assert DOCUMENT == reply.body
    assert "did not end its answer in time" == reply.fault


ASK = """
import sys
from tokenkeep import ProviderUnavailable
from tokenkeep.providers.http import Form, send

try:
    print(send("POST", sys.argv[1], Form(), 1.0).body.decode())
except ProviderUnavailable as exc:
    print(exc.what)
"""


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (response(DOCUMENT), DOCUMENT.decode()),
        (response(b"access_token=a&refresh_token=r"), "access_token=a&refresh_token=r"),
        (OK + b"\r\n", "127.0.0.1:PORT did not answer within 1 seconds"),
    ],
)
def test_stopped_past_the_deadline(serve, answer, outcome):
    """An answer that came whole meanwhile counts."""
    asked, release = threading.Event(), threading.Event()

    def play(connection, _request):
        asked.set()
        release.wait(60)
        connection.sendall(answer)
        connection.recv(1)

    server = serve(play)
    command = [sys.executable, "-c", ASK, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGSTOP)
        release.set()
        time.sleep(1.3)
        process.send_signal(signal.SIGCONT)

        outcome = outcome.replace("PORT", str(server.port))
        assert outcome == process.communicate(timeout=60)[0].strip()
