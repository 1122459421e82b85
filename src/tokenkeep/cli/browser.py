"""A browser: sent to the login without others reading where, and waited for (RFC 8252)."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from html import escape
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING

import click

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    Silent where there is no browser, or no home to put the page into.
    """
    environ = {name: text for name, text in os.environ.items() if name[:10] != "TOKENKEEP_"}
    with ExitStack() as stack:
        with suppress(OSError):
            # Browsers that are confined, as Ubuntu's, see neither /tmp nor what begins with a dot.
            home = os.path.expanduser("~")  # noqa: PTH111 - Path's fails where there is no home
            made = tempfile.TemporaryDirectory(
                prefix="tokenkeep-login-", dir=home, ignore_cleanup_errors=True
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
        yield


_HERE = re.compile(r"http://127\.0\.0\.1:(0|[1-9][0-9]{0,4})(/[!$-\[\]-~]*)?", re.ASCII)
_LAST_PORT = 65535

_SLOW_CLIENT = 2.0
"""Seconds to ask in, as browsers open connections ahead and leave them idle."""


class Visit:
    """One who came back with a *query*, and waits to be shown a page."""

    def __init__(self, query: str) -> None:
        self.query: str = query
        self.page: Future[tuple[int, str, str]] = Future()
        self._visitor = threading.current_thread()

    def show(self, status: int, title: str, text: str) -> None:
        """Show a page; return once it is sent, as the process may end then."""
        self.page.set_result((status, title, text))
        self._visitor.join(_SLOW_CLIENT)


class Loopback(ThreadingTCPServer):
    """
    Where the provider sends the browser back to; listens while its block lasts.

    A thread for each visitor, so that none waits. Its *redirect_uri* is the one that is given,
    letter for letter; only a free port is filled in, for port 0.
    """

    # On Windows it would let two programs listen to one port.
    allow_reuse_address: bool = os.name != "nt"
    daemon_threads = True
    timeout: float = 0.1

    def __init__(self, redirect_uri: str) -> None:
        asked = _HERE.fullmatch(redirect_uri)
        if asked is None or int(asked[1]) > _LAST_PORT:
            raise click.UsageError(
                f"Nobody can wait at the redirect URI {redirect_uri!r}. It has to be "
                "http://127.0.0.1:PORT/PATH, as it is registered for the client. Another one "
                "takes --no-browser: then you paste the address"
            )
        self.path: str = (asked[2] or "/").partition("?")[0]
        self.visits: queue.SimpleQueue[Visit] = queue.SimpleQueue()
        try:
            super().__init__(("127.0.0.1", int(asked[1])), _Handler)
        except OSError as exc:
            raise ConfigurationError(
                f"Port {asked[1]} of this machine can't be used: {exc.strerror}",
                hint="End the program that uses it; or name another redirect URI that is "
                "registered for the client (--redirect-uri); or use --no-browser",
            ) from exc
        host = f"127.0.0.1:{self.server_address[1]}"
        self.redirect_uri: str = redirect_uri.replace("127.0.0.1:0", host, 1)

    def next_visit(self, deadline: float) -> Visit | None:
        """Return the next who brings a query. None if none came until then (`time.monotonic`)."""
        # In turns: a Ctrl-C that comes right before a wait begins is seen only after it.
        while time.monotonic() < deadline:
            self.handle_request()
            with suppress(queue.Empty):
                return self.visits.get_nowait()
        return None

    def handle_error(self, *_: object) -> None:
        """Stay silent: a visitor that hangs up is no news, and a traceback could hold a code."""


class _Handler(BaseHTTPRequestHandler):
    server: Loopback
    timeout = _SLOW_CLIENT  # also while the page is sent
    server_version = "tokenkeep"
    sys_version = ""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path != self.server.path:
            self.send_error(404)
            return
        visit = Visit(query)
        self.server.visits.put(visit)
        status, title, text = visit.page.result()
        body = _PAGE.format(head="", title=escape(title), text=escape(text)).encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep requests out of all logs: there is a code in them."""


_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}
