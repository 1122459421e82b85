"""The page that the browser comes back to."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import person
import pytest

from tokenkeep.cli.loopback import Visit, is_here, listening


@pytest.fixture
def here():
    with listening("http://127.0.0.1:0/callback") as waiting:
        yield waiting


@contextmanager
def replying(here, *reply):
    """Answer the next visit in another thread."""
    thread = threading.Thread(target=lambda: here.visit(20).reply(*reply))
    thread.start()
    yield
    thread.join()


def test_a_page_is_plain_and_closed(here):
    """What is shown is escaped, not kept, and may load or run nothing; on all names of here."""
    host = {"Host": f"localhost:{here.port}"}

    # Browsers open connections ahead and leave them idle.
    with (
        socket.create_connection(("127.0.0.1", here.port)),
        replying(here, 200, "<b>T</b>", "it's <script>alert(1)</script> & more"),
    ):
        status, headers, page = person.visit(f"{here.redirect_uri}?code=c", headers=host)

    assert status == 200
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;" in page
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Python" not in headers["Server"]
    assert "secret" not in repr(Visit("code=secret"))


HERE = "127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        # A page elsewhere that points its name here learns and does nothing.
        ("GET", "/callback", "evil.example", 403),
        ("GET", "/callback", "127.0.0.1", 403),
        ("GET", "/callback", "127.0.0.1:1", 403),
        ("GET", "/callback", "localhost.evil:{port}", 403),
        ("GET", "/", HERE, 404),
        ("GET", "/callback/", HERE, 404),
        ("POST", "/callback", HERE, 501),
        ("HEAD", "/callback", HERE, 501),
    ],
)
def test_only_get_at_one_path(here, method, path, host, status):
    """All else is refused with the same closed page."""
    url, headers = (
        f"http://127.0.0.1:{here.port}{path}?code=c",
        {"Host": host.format(**vars(here))},
    )

    got, headers, page = person.visit(url, method=method, headers=headers)

    assert got == status
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "code=c" not in page
    assert here.visit(0) is None


@pytest.mark.parametrize(
    ("uri", "answer"),
    [
        ("http://127.0.0.1:8417/callback", True),
        ("http://localhost:1/", True),
        ("HTTP://LocalHost:1/a/b?c=d&e", True),
        ("http://[::1]:8417", True),
        ("http://[::2]:8417/", False),
        ("http://127.0.0.1:8417\\@a.example/", False),
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
    assert is_here(uri) is answer


@pytest.mark.parametrize("tail", ["", "/", "/a/b?tenant=1&x"])
@pytest.mark.parametrize("host", ["127.0.0.1", "LocalHost", "[::1]"])
def test_redirect_uri_is_kept_letter_for_letter(host, tail):
    """As it is registered; only a free port is filled in."""
    with listening(f"http://{host}:0{tail}") as here, replying(here, 200, "T", "t"):
        assert here.redirect_uri == f"http://{host}:{here.port}{tail}"
        assert person.visit(here.redirect_uri)[0] == 200
