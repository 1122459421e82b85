"""What every request and every answer has to be like."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from crm_desk.threads import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from crm_desk.settings import Settings
    from crm_desk.threads import Threads

logger = logging.getLogger("crm_desk.access")

LONGEST_BODY = 500_000
"""Of a form, in bytes: the longest description the CRM takes, as browsers write it."""

PATIENCE = 60.0
"""How long a form may be on its way, in seconds."""

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

        try:
            refused = self._refusal(scope)
            if not refused and scope["method"] not in _READING:
                # Before anybody looks who sent it: they may log out while it is on its way.
                refused, receive = await self._whole(receive)
            await (refused or self._app)(scope, receive, answer)
        except ClientDisconnect:
            status = _BAD  # nobody reads it
        finally:
            # The path alone: the query of a login's answer is secret.
            took = (time.monotonic() - began) * 1000
            path = ascii(scope["path"])[1:-1]
            # Each open page asks for its panel every two seconds.
            level = logging.DEBUG if path == "/panel" and status < _BAD else logging.INFO
            logger.log(
                level, "%s %s %d %.0f ms [%d]", scope["method"], path, status, took, os.getpid()
            )

    async def _whole(self, receive: Receive) -> tuple[Response | None, Receive]:
        """
        Wait until all that is sent is there.

        Returns:
            Why it is refused, or None; and what receives it.

        Raises:
            ClientDisconnect: It won't come any more.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                body = await self._threads.until_end(partial(_read, receive))
        except TimeoutError:
            return PlainTextResponse(
                "It was too long on its way. Nothing was done\n", 408
            ), receive
        except Ending:
            said = "This desk is being stopped. Nothing was done: send it again in a moment\n"
            return PlainTextResponse(said, 503, {"Retry-After": "5"}), receive
        if len(body) > LONGEST_BODY:
            return PlainTextResponse("That is too long\n", 413), receive
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        return None, again

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


async def _read(receive: Receive) -> bytes:
    """Return what is sent, or as much of it as is too much."""
    body, more = b"", True
    while more and len(body) <= LONGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
