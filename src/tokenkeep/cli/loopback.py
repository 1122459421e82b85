"""Wait on this machine for the browser to come back (RFC 8252 section 7.3)."""

from __future__ import annotations

import base64
import errno
import os
import queue
import re
import socket
import socketserver
import threading
import time
from contextlib import suppress
from hashlib import sha256
from html import escape
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

ADDRESSES: dict[str, tuple[str, ...]] = {
    "127.0.0.1": ("127.0.0.1",),
    "[::1]": ("::1",),
    # A browser goes to either: whoever had the other one would get the code.
    "localhost": ("127.0.0.1", "::1"),
}
"""What a redirect URI of this machine may name, and where that has to be listened to."""

_REDIRECT_URI = re.compile(
    rf"http://(?P<host>{'|'.join(map(re.escape, ADDRESSES))}):(?P<port>[0-9]{{1,5}})"
    r"(?P<path>/[!$-;=@-\[\]-~]*)?(?P<query>\?[!$-;=?-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_LAST_PORT = 65535

_SLOW_CLIENT = 10.0
"""How long a connection may take to say what it wants, in seconds."""

_ANSWER_WITHIN = 60.0
"""How long a browser is kept waiting for the end of its login, in seconds."""

_SENT_WITHIN = 2.0
_TURN = 0.5

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}"
)
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}


class Visit:
    """
    A browser that came back, and waits to be told how it went.

    Args:
        query: Of the address it asked for.
    """

    def __init__(self, query: str) -> None:
        self.query = query
        self.page: tuple[int, str, str] = (500, "The login was interrupted", "Start it again.")
        self.answered: threading.Event = threading.Event()
        self.sent: threading.Event = threading.Event()

    def __repr__(self) -> str:
        return "<Visit>"

    def reply(self, status: int, title: str, text: str) -> None:
        """
        Show a page, and wait until it is on its way.

        Args:
            status: The HTTP status.
            title: What happened.
            text: More about it.
        """
        self.page = (status, title, text)
        self.answered.set()
        self.sent.wait(_SENT_WITHIN)


class Loopback:
    """
    Listen where the provider sends the browser back to.

    Args:
        redirect_uri: ``http://127.0.0.1:PORT/PATH``, or with ``localhost`` or ``[::1]``; see
            `is_here`. Port 0 takes a free one.

    Attributes:
        redirect_uri: With the port that is used.

    Raises:
        ConfigurationError: It is not of this machine, or its port can't be used.
    """

    def __init__(self, redirect_uri: str) -> None:
        asked = _asked(redirect_uri)
        if asked is None:
            raise ConfigurationError(
                "Nobody on this machine can listen at this redirect URI", hint=WHAT_IS_HERE
            )
        self.port: int = int(asked["port"])
        self.path: str = asked["path"] or "/"
        self.visits: queue.Queue[Visit] = queue.Queue(maxsize=16)
        self._listeners: list[_Listener] = []
        host = asked["host"].lower()
        for address in ADDRESSES[host]:
            try:
                self._listeners.append(_Listener(self, address))
            except OSError as exc:
                if host == "localhost" and exc.errno in _NO_SUCH_ADDRESS and self._listeners:
                    continue
                self._close()
                raise ConfigurationError(
                    f"Port {self.port} of this machine can't be used: {exc.strerror} ({address})",
                    hint="End the program that uses it; or name another redirect URI that is "
                    "registered for the client (--redirect-uri or --port); or use --no-browser",
                ) from exc
            self.port = self._listeners[0].server_address[1]
        self.redirect_uri: str = (
            redirect_uri[: asked.start("port")]
            + str(self.port)
            + redirect_uri[asked.end("port") :]
        )
        for each in self._listeners:
            threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each in self._listeners:
            each.shutdown()
        self._close()

    def _close(self) -> None:
        for each in self._listeners:
            each.server_close()

    def is_called(self, host: str) -> bool:
        """Whether a ``Host`` header names this port of this machine."""
        return host in {f"{name}:{self.port}" for name in ADDRESSES}

    def visit(self, timeout: float) -> Visit | None:
        """
        Wait for a browser.

        Args:
            timeout: In seconds.

        Returns:
            None if nobody came.
        """
        end = time.monotonic() + timeout
        # In turns: a Ctrl-C that comes right before a wait begins is seen only after it.
        while (left := end - time.monotonic()) > 0:
            with suppress(queue.Empty):
                return self.visits.get(timeout=min(left, _TURN))
        return None


_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A machine without IPv6, for one: then nobody else can listen there either."""

WHAT_IS_HERE = (
    "It has to be http://127.0.0.1:PORT/PATH, as it is registered for the client; localhost and "
    "[::1] do as well. Another one takes --no-browser: then you paste the address"
)
"""What to do about a redirect URI that is not of this machine."""


def is_here(redirect_uri: str) -> bool:
    """Tell whether a redirect URI leads to a port of this machine that can be listened to."""
    return _asked(redirect_uri) is not None


def _asked(redirect_uri: str) -> re.Match[str] | None:
    asked = _REDIRECT_URI.fullmatch(redirect_uri)
    return asked if asked and int(asked["port"]) <= _LAST_PORT else None


class _Listener(socketserver.ThreadingTCPServer):
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
    server: _Listener
    timeout = _SLOW_CLIENT
    server_version = "tokenkeep"
    sys_version = ""

    def do_GET(self) -> None:
        # A page elsewhere can make a browser come here under its own name (DNS rebinding).
        here, names = self.server.here, self.headers.get_all("Host") or []
        if len(names) != 1 or not here.is_called(names[0]):
            self._show(403, "Not for you", "This address answers to its own name only.")
            return
        path, _, query = self.path.partition("?")
        if path != here.path:
            self._show(404, "Nothing here", "There is nothing at this address.")
            return
        visit = Visit(query)
        try:
            here.visits.put_nowait(visit)
        except queue.Full:
            self._show(503, "Too many visitors", "Try again.")
            return
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
        body = _PAGE.format(style=_STYLE, title=escape(title), text=escape(text)).encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - tokenkeep</title><style>{style}</style></head>
<body><main><h1>{title}</h1><p>{text}</p></main></body>
</html>
"""
