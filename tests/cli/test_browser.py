"""The page that the browser comes back to."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import person
import pytest

from tokenkeep.cli.browser import here, listening

REPLY = (200, "<b>T</b>", "it's <script>alert(1)</script> & more")


@contextmanager
def serving(uri="http://127.0.0.1:0/callback"):
    """Answer whoever comes in another thread; yield the place, and the queries that were seen."""
    seen, over = [], threading.Event()

    def answer(query):
        seen.append(query)
        return REPLY

    def serve():
        while not over.is_set():
            back.visit(answer, 0.1)

    with listening(uri) as back:
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
    """What is shown is escaped, not kept, and may load or run nothing; on all names of here."""
    with serving() as (back, seen):
        # Browsers open connections ahead and leave them idle; and somebody may be slow on purpose.
        ahead, slow = (socket.create_connection(("127.0.0.1", back.port)) for _ in range(2))
        threading.Thread(target=drip, args=(slow,)).start()
        host, begun = {"Host": f"localhost:{back.port}"}, time.monotonic()
        status, headers, page = person.visit(f"{back.redirect_uri}?code=c", headers=host)
        ahead.close()
        assert time.monotonic() - begun < 10

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
    """All else is refused with the same closed page."""
    with serving() as (back, seen):
        own = f"127.0.0.1:{back.port}"
        for method, path, host, status in (
            # A page elsewhere that points its name here learns and does nothing.
            ("GET", "/callback", "evil.example", 403),
            ("GET", "/callback", "127.0.0.1", 403),
            ("GET", "/callback", "127.0.0.1:1", 403),
            ("GET", "/callback", f"localhost.evil:{back.port}", 403),
            ("GET", "/", own, 404),
            ("GET", "/callback/", own, 404),
            ("POST", "/callback", own, 501),
            ("HEAD", "/callback", own, 501),
        ):
            url = f"http://{own}{path}?code=c"
            got, headers, page = person.visit(url, method=method, headers={"Host": host})

            assert got == status
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
            assert "code=c" not in page
        assert [] == seen


@pytest.mark.parametrize(
    ("uri", "answer"),
    [
        ("http://127.0.0.1:8417/callback", True),
        ("http://localhost:1/", True),
        ("HTTP://LocalHost:1/a/b?c=d&e", True),
        ("http://[::1]:8417", True),
        ("http://[::2]:8417/", False),
        ("http://127.0.0.1:8417\\@a.example/", False),
        ("http://127.0.0.1:8417/a b", False),
        ("http://127.0.0.1:8417/ö", False),
        ("http://127.0.0.1:\uff18/", False),
        ("http://localhost/", False),
        ("https://127.0.0.1:8417/", False),
        ("http://0.0.0.0:8417/", False),
        ("http://me@127.0.0.1:8417/", False),
        ("http://127.0.0.1:8417/#x", False),
        ("http://192.0.2.1:80/", False),
        ("http://127.0.0.1.example.com:80/", False),
        ("http://127.0.0.1:99999/", False),
    ],
)
def test_which_redirects_are_here(uri, answer):
    """Only plain http on loopback with a port can be listened to."""
    assert (here(uri) is not None) is answer


@pytest.mark.parametrize("host", ["127.0.0.1", "LocalHost", "[::1]"])
def test_redirect_uri_is_kept_letter_for_letter(host):
    """As it is registered; only a free port is filled in."""
    for tail in ("", "/", "/a/b?tenant=1&x"):
        with serving(f"http://{host}:0{tail}") as (back, _):
            assert back.redirect_uri == f"http://{host}:{back.port}{tail}"
            assert person.visit(back.redirect_uri)[0] == 200
