"""Wait on this machine for the browser to come back (RFC 8252 section 7.3)."""

from __future__ import annotations

import errno
import os
import queue
import re
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES: dict[str, tuple[str, ...]] = {
    "127.0.0.1": ("127.0.0.1",),
    "[::1]": ("::1",),
    # A browser goes to either: whoever had the other one would get the code.
    "localhost": ("127.0.0.1", "::1"),
}
"""What a redirect URI of this machine may name, and where that has to be listened to."""

_REDIRECT_URI = re.compile(
    rf"(?P<start>http://(?P<host>{'|'.join(map(re.escape, ADDRESSES))}):)(?P<port>[0-9]{{1,5}})"
    r"(?P<rest>(?P<path>/[!$-;=@-\[\]-~]*)?(\?[!$-;=?-\[\]-~]*)?)",
    re.IGNORECASE | re.ASCII,
)
_LAST_PORT = 65535

_SLOW_CLIENT, _ANSWER_WITHIN, _SENT_WITHIN, _TURN = 10.0, 60.0, 2.0, 0.5
"""Seconds: to ask, for the login to end, for its page to be sent, between looks for a Ctrl-C."""


@dataclass
class Visit:
    """A browser that came back, and waits to be told how it went; in its *query* is a code."""

    query: str = field(repr=False)
    page: tuple[int, str, str] = (500, "The login was interrupted", "Start it again.")
    answered: threading.Event = field(default_factory=threading.Event)
    sent: threading.Event = field(default_factory=threading.Event)

    def reply(self, status: int, title: str, text: str) -> None:
        """Show a page with this HTTP status; when this returns, it is on its way."""
        self.page = (status, title, text)
        self.answered.set()
        self.sent.wait(_SENT_WITHIN)


@dataclass
class Loopback:
    """Where the provider sends the browser back to: its address, with the port that is used."""

    redirect_uri: str
    port: int
    path: str
    visits: queue.SimpleQueue[Visit] = field(default_factory=queue.SimpleQueue)

    def visit(self, timeout: float) -> Visit | None:
        """Wait for a browser, for *timeout* seconds. None if nobody came."""
        end = time.monotonic() + timeout
        # In turns: a Ctrl-C that comes right before a wait begins is seen only after it.
        while (left := end - time.monotonic()) > 0:
            with suppress(queue.Empty):
                return self.visits.get(timeout=min(left, _TURN))
        return None


def is_here(redirect_uri: str) -> bool:
    """Tell whether a redirect URI leads to a port of this machine that can be listened to."""
    asked = _REDIRECT_URI.fullmatch(redirect_uri)
    return asked is not None and int(asked["port"]) <= _LAST_PORT


def not_here(redirect_uri: str) -> click.UsageError:
    """Return the error to raise for a redirect URI that is not of this machine."""
    return click.UsageError(
        f"Nobody can wait at the redirect URI {redirect_uri!r}. It has to be "
        "http://127.0.0.1:PORT/PATH, as it is registered for the client; localhost and [::1] do "
        "as well. Another one takes --no-browser: then you paste the address"
    )


@contextmanager
def listening(redirect_uri: str) -> Iterator[Loopback]:
    """
    Listen while the block lasts where a redirect URI leads to; port 0 takes a free one.

    Raises:
        click.UsageError: It is not of this machine.
        ConfigurationError: Its port can't be used.
    """
    asked = _REDIRECT_URI.fullmatch(redirect_uri)
    if asked is None or not is_here(redirect_uri):
        raise not_here(redirect_uri)
    here = Loopback(redirect_uri, int(asked["port"]), asked["path"] or "/")
    with ExitStack() as stack:
        servers: list[_Server] = []
        for address in ADDRESSES[asked["host"].lower()]:
            try:
                servers.append(stack.enter_context(_Server(here, address)))
            except OSError as exc:
                # A machine without IPv6: then nobody else can listen there either.
                if servers and exc.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    continue
                raise ConfigurationError(
                    f"Port {here.port} of this machine can't be used: {exc.strerror} ({address})",
                    hint="End the program that uses it; or name another redirect URI that is "
                    "registered for the client (--redirect-uri); or use --no-browser",
                ) from exc
            here.port = servers[0].server_address[1]
        here.redirect_uri = f"{asked['start']}{here.port}{asked['rest']}"
        for each in servers:
            threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(each.shutdown)
        yield here


class _Server(ThreadingTCPServer):
    """One of the addresses of a `Loopback`."""

    daemon_threads = True
    # On Windows it would let two programs listen to one port.
    allow_reuse_address: bool = os.name != "nt"

    def __init__(self, here: Loopback, address: str) -> None:
        self.here = here
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, here.port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a visitor that hangs up is no news, and a traceback could hold a code."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SLOW_CLIENT
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
            visit = Visit(query)
            here.visits.put(visit)
            visit.answered.wait(_ANSWER_WITHIN)
            try:
                self._show(*visit.page)
            finally:
                visit.sent.set()

    def send_error(self, code: int, *_: Any) -> None:
        """Say no in the same way as to everything else."""
        self._show(int(code), "This can't be answered", "Only GET is, at one address.")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's signature
        """Keep requests out of all logs: there is a code in them."""

    def _show(self, status: int, title: str, text: str) -> None:
        body = _PAGE.format(title=escape(title), text=escape(text)).encode()
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

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{title} - tokenkeep</title></head>
<body style="font:1rem/1.5 system-ui;max-width:34rem;margin:15vh auto;padding:0 1rem">
<main><h1>{title}</h1><p>{text}</p></main></body>
</html>
"""
