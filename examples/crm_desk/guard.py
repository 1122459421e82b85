"""What every request and every answer has to be like."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from crm_desk.settings import Settings
    from crm_desk.threads import Threads

logger = logging.getLogger("crm_desk.access")

LONGEST_BODY = 500_000
"""Of a form, in bytes: the longest description the CRM takes, as browsers write it."""

_FOR_EVER = "public, max-age=31536000, immutable"
"""Of static files: their addresses change with their content."""

_A_FILE = (200, 304)
"""What a static file is answered with; all else below its address is not for ever."""

_BAD = 400

_READING = ("GET", "HEAD", "OPTIONS")


class Guard:
    """
    Refuse what did not come from the desk's own pages, and harden what goes out.

    Args:
        app: The application.
        settings: Where browsers find it.
        login_servers: Where a form may lead to besides the desk: browsers
            hold redirects to that as well.
        threads: Know when a form that is still on its way is not waited for.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, login_servers: Iterable[str], threads: Threads
    ) -> None:
        self._app = app
        self._threads = threads
        self._host = settings.host
        self._origin = settings.url
        self._headers = {
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
            "img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action 'self' {' '.join(login_servers)}",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            # Not "no-referrer": with that, browsers say "Origin: null" to ourselves.
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        }
        if settings.is_secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                is_file = scope["path"].startswith("/static/") and status in _A_FILE
                headers.setdefault("Cache-Control", _FOR_EVER if is_file else "no-store")
            await send(message)

        async def body() -> Message:
            return await self._threads.until_end(receive)

        try:
            refused = self._refusal(scope)
            reads = scope["method"] in _READING
            await (refused or self._app)(scope, receive if reads else body, answer)
        finally:
            # The path alone: the query of a login's answer is secret.
            took = (time.monotonic() - began) * 1000
            path = ascii(scope["path"])[1:-1]
            # Each open page asks for its panel every two seconds.
            level = logging.DEBUG if path == "/panel" and status < _BAD else logging.INFO
            logger.log(
                level, "%s %s %d %.0f ms [%d]", scope["method"], path, status, took, os.getpid()
            )

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") != [self._host]:
            # A page elsewhere can make a browser come here under its own name (DNS rebinding).
            return PlainTextResponse(f"This desk is at {self._origin}\n", 421)
        if scope["method"] in _READING:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin != self._origin and (origin or site not in (None, "same-origin")):
            return PlainTextResponse("This was not sent from a page of this desk\n", 403)
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return PlainTextResponse("Say how long it is\n", 411)
        if int(length) > LONGEST_BODY:
            return PlainTextResponse("That is too long\n", 413)
        return None
