"""The page that the browser comes back to."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import person
import pytest
from click import UsageError

from tokenkeep.cli.browser import Loopback

REPLY = (200, "<b>T</b>", "it's <script>alert(1)</script> & more")


@contextmanager
def serving(uri="http://127.0.0.1:0/callback"):
    """Answer whoever comes in another thread; yield the place, and the queries that were seen."""
    seen, over = [], threading.Event()

    def serve():
        while not over.is_set():
            if visit := back.next_visit(time.monotonic() + 0.1):
                seen.append(visit.query)
                visit.show(*REPLY)

    with Loopback(uri) as back:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield back, seen
        finally:
            over.set()
            thread.join()


def drip(connection):
    """Ask letter by letter."""
    with suppress(OSError), connection:
        for _ in range(150):
            connection.send(b"G")
            time.sleep(0.1)


def test_a_page_is_plain_and_closed():
    """What is shown is escaped, not kept, and may load or run nothing."""
    with serving() as (back, seen):
        # Browsers open connections ahead and leave them idle; and somebody may be slow on purpose.
        slow, *ahead = (socket.create_connection(back.server_address) for _ in range(20))
        threading.Thread(target=drip, args=(slow,)).start()
        begun = time.monotonic()
        status, headers, page = person.visit(f"{back.redirect_uri}?code=c")
        assert time.monotonic() - begun < 10
        for each in ahead:
            each.close()

    assert (200, ["code=c"]) == (status, seen)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;" in page
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Python" not in headers["Server"]


def test_only_get_at_one_path():
    """All else is refused, and what it came with is not repeated."""
    with serving() as (back, seen):
        for method, path, status in (
            ("GET", "", 404),
            ("GET", "callback/", 404),
            ("POST", "callback", 501),
            ("HEAD", "callback", 501),
        ):
            url = f"{back.redirect_uri.removesuffix('callback')}{path}?code=c"
            got, _, page = person.visit(url, method=method)

            assert got == status
            assert "code=c" not in page
        assert [] == seen


@pytest.mark.parametrize("tail", ["", "/", "/a/b?tenant=1&x"])
def test_redirect_uri_is_kept_letter_for_letter(tail):
    """As it is registered; only a free port is filled in."""
    with serving(f"http://127.0.0.1:0{tail}") as (back, _):
        assert back.redirect_uri == f"http://127.0.0.1:{back.server_address[1]}{tail}"
        assert person.visit(back.redirect_uri)[0] == 200


@pytest.mark.parametrize(
    "uri",
    [
        *("http://localhost:8417/", "http://[::1]:8417/", "http://0.0.0.0:8417/"),
        *("https://127.0.0.1:8417/", "http://127.0.0.1/", "http://127.0.0.1:99999/"),
        *("http://127.0.0.1:8417\\@a.example/", "http://me@127.0.0.1:8417/"),
        *("http://127.0.0.1:8417/a b", "http://127.0.0.1:8417/ö", "http://127.0.0.1:\uff18/"),
        *("http://127.0.0.1:8417/#x", "http://127.0.0.1.example.com:80/"),
    ],
)
def test_what_is_not_here(uri):
    """Only plain http on loopback with a port can be listened to."""
    with pytest.raises(UsageError, match="It has to be"):
        Loopback(uri)
