"""A browser: sent to the login without others reading where, and waited for (RFC 8252)."""

from __future__ import annotations

import errno
import os
import queue
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from html import escape
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_START = "import sys, webbrowser; webbrowser.open(sys.argv[1])"

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">{head}<title>{title} - tokenkeep</title></head>
<body style="font:1rem/1.5 system-ui;max-width:34rem;margin:15vh auto;padding:0 1rem">
<main><h1>{title}</h1><p>{text}</p></main></body>
</html>
"""
_LEADING = """<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={url}">"""


@contextmanager
def leading_to(url: str) -> Iterator[None]:
    """
    Start a browser that goes to an address; inside, it may still be on its way.

    Everybody can read the process list. So the browser is given a private page, which leads on
    to *url* and is removed in the end; and it is given none of our environment variables.

    Silent where there is no browser, or no place for the page.
    """
    environ = {name: text for name, text in os.environ.items() if name[:10] != "TOKENKEEP_"}
    with ExitStack() as stack:
        # Browsers that are confined, as Ubuntu's, see neither /tmp nor what begins with a dot.
        for place in (os.path.expanduser("~"), None):  # noqa: PTH111 - Path's fails where there is no home
            with suppress(OSError):
                made = tempfile.TemporaryDirectory(
                    prefix="tokenkeep-login-", dir=place, ignore_cleanup_errors=True
                )
                page = Path(stack.enter_context(made)).absolute() / "login.html"
                # In a folder that is ours alone; and so it stays if somebody opens that.
                page.touch(mode=0o600, exist_ok=False)
                head = _LEADING.format(url=escape(url))
                link = f'<a href="{escape(url)}">Go on to the login</a>'
                page.write_text(_PAGE.format(head=head, title="Login", text=link))
                # In a process of its own: a browser inherits the environment of the one that
                # starts it, and some block until they are closed. Isolated, so that nothing of
                # the current folder runs; its output is none of ours.
                words = [sys.executable, "-I", "-c", _START, page.as_uri()]
                started = subprocess.Popen(words, env=environ, stdout=2)  # noqa: S603 - our path
                threading.Thread(target=started.wait, daemon=True).start()
                break
        yield


Page = tuple[int, str, str]
"""An HTTP status, a title and a text."""

ADDRESSES: dict[str, tuple[str, ...]] = {
    "127.0.0.1": ("127.0.0.1",),
    "[::1]": ("::1",),
    # A browser goes to either: whoever had the other one would get the code.
    "localhost": ("127.0.0.1", "::1"),
}
"""What a redirect URI of this machine may name, and where that has to be listened to."""

_REDIRECT_URI = re.compile(
    rf"(http://({'|'.join(map(re.escape, ADDRESSES))}):)([0-9]{{1,5}})"
    r"((/[!$-;=@-\[\]-~]*)?(\?[!$-;=?-\[\]-~]*)?)",
    re.IGNORECASE | re.ASCII,
)
_LAST_PORT = 65535

_SLOW_CLIENT, _TURN = 2.0, 0.1
"""Seconds: to ask, as browsers open connections ahead and leave them idle; between two looks."""


def here(redirect_uri: str) -> tuple[str, ...] | None:
    """Return the parts of a redirect URI that leads to a port of this machine; else None."""
    asked = _REDIRECT_URI.fullmatch(redirect_uri)
    return asked.groups("") if asked and int(asked[3]) <= _LAST_PORT else None


def not_here(redirect_uri: str) -> click.UsageError:
    """Return the error to raise for a redirect URI that is not of this machine."""
    return click.UsageError(
        f"Nobody can wait at the redirect URI {redirect_uri!r}. It has to be "
        "http://127.0.0.1:PORT/PATH, as it is registered for the client; localhost and [::1] do "
        "as well. Another one takes --no-browser: then you paste the address"
    )


class Loopback:
    """Where the provider sends the browser back to; its address has the port that is used."""

    def __init__(self, redirect_uri: str) -> None:
        asked = here(redirect_uri)
        if asked is None:
            raise not_here(redirect_uri)
        start, host, port, rest, path, _ = asked
        self.start: str = start
        self.rest: str = rest
        self.host: str = host
        self.port: int = int(port)
        self.path: str = path or "/"
        self.servers: list[_Server] = []
        self.asked: queue.SimpleQueue[tuple[str, queue.SimpleQueue[Page], threading.Thread]]
        self.asked = queue.SimpleQueue()

    @property
    def redirect_uri(self) -> str:
        """The address, letter for letter as it is registered; only a free port is filled in."""
        return f"{self.start}{self.port}{self.rest}"

    def visit(self, answer: Callable[[str], Page], timeout: float) -> bool:
        """Show the *answer* to one who brings a query. False if none came within the seconds."""
        end = time.monotonic() + timeout
        # In turns: a Ctrl-C that comes right before a wait begins is seen only after it.
        while (left := end - time.monotonic()) > 0:
            for server in select.select(self.servers, (), (), min(left, _TURN))[0]:
                server.handle_request()
            with suppress(queue.Empty):
                query, page, visitor = self.asked.get_nowait()
                page.put(answer(query))
                visitor.join(_SLOW_CLIENT)  # or the process could end before its page is sent
                return True
        return False


@contextmanager
def listening(redirect_uri: str) -> Iterator[Loopback]:
    """Listen while the block lasts where a redirect URI leads to; port 0 takes a free one."""
    back = Loopback(redirect_uri)
    with ExitStack() as stack:
        for address in ADDRESSES[back.host.lower()]:
            try:
                back.servers.append(stack.enter_context(_Server(back, address)))
            except OSError as exc:
                # A machine without IPv6: then nobody else can listen there either.
                if back.servers and exc.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    continue
                raise ConfigurationError(
                    f"Port {back.port} of this machine can't be used: {exc.strerror} ({address})",
                    hint="End the program that uses it; or name another redirect URI that is "
                    "registered for the client (--redirect-uri); or use --no-browser",
                ) from exc
            back.port = back.servers[0].server_address[1]
        yield back


class _Server(ThreadingTCPServer):
    """One of the addresses of a `Loopback`: a thread for each visitor, so that none waits."""

    # On Windows it would let two programs listen to one port.
    allow_reuse_address: bool = os.name != "nt"
    daemon_threads = True
    timeout = 0

    def __init__(self, here: Loopback, address: str) -> None:
        self.here = here
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, here.port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a visitor that hangs up is no news, and a traceback could hold a code."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SLOW_CLIENT  # also while the page is sent
    server_version = "tokenkeep"
    sys_version = ""

    def do_GET(self) -> None:
        # A page elsewhere can make a browser come here under its own name (DNS rebinding).
        here, names = self.server.here, self.headers.get_all("Host") or []
        path, _, query = self.path.partition("?")
        if len(names) != 1 or names[0] not in {f"{name}:{here.port}" for name in ADDRESSES}:
            self._show(403, "Not for you", "This address answers to its own name only.")
        elif path != here.path:
            self._show(404, "Nothing here", "There is nothing at this address.")
        else:
            page: queue.SimpleQueue[Page] = queue.SimpleQueue()
            here.asked.put((query, page, threading.current_thread()))
            self._show(*page.get())

    def send_error(self, code: int, *_: Any) -> None:
        self._show(int(code), "This can't be answered", "Only GET is, at one address.")

    def log_message(self, *_: Any) -> None:
        """Keep requests out of all logs: there is a code in them."""

    def _show(self, status: int, title: str, text: str) -> None:
        body = _PAGE.format(head="", title=escape(title), text=escape(text)).encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}
