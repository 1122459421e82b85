"""Where every request comes in: counted, then answered or made to fail."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .faults import Fault
    from .world import Site, World

_ACCOUNTS = {
    "/oauth/v2/auth": "auth",
    "/oauth/v2/token": "token",
    "/oauth/v2/token/revoke": "revoke",
    "/oauth/v2/revoke/token": "revoke",
    "/oauth/v2/introspect": "introspect",
    "/oauth/user/info": "user_info",
    "/oauth/v2/userinfo": "user_info",
    "/oauth/serverinfo": "server_info",
    "/.well-known/openid-configuration": "openid",
    "/oauth/v3/device/code": "device_code",
    "/oauth/v3/device/token": "device_token",
    "/oauth/device": "device",
}
_CRM = re.compile(r"/crm/v\d+/(users|org|settings)\b")
_GARBAGE = b"<!doctype html><title>Zoho</title><h1>Something went wrong</h1>"
_HUGE = 5 * 1024 * 1024
_TICK = 0.02


class Gate:
    """
    The ASGI application of all servers.

    Args:
        world: Decides what meets a fault, and counts.
        accounts: The application behind accounts servers.
        crm: The application behind API servers.
        hang_up: Closes the connection a request came by, without an answer.
    """

    def __init__(
        self, world: World, accounts: ASGIApp, crm: ASGIApp, hang_up: Callable[[Scope], None]
    ) -> None:
        self._world = world
        self._accounts = accounts
        self._crm = crm
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        site = scope["site"] = self._world.site(scope["server"][1])
        app = self._accounts if site.environment is None else self._crm
        endpoint = endpoint_of(site, scope["path"])
        if endpoint is None:
            await app(scope, receive, send)
            return
        body = await _read(receive)
        grant_type = _grant_type(scope["query_string"], body)
        self._world.counters.add_call(endpoint, grant_type, site.data_center)
        fault = self._world.faults.take(endpoint, grant_type, site.data_center)
        replayed = _replay(body, receive)
        if fault is None:
            await app(scope, replayed, send)
        elif fault.kind == "refused":
            await app({**scope, "refused": fault.code}, replayed, send)
        elif fault.kind in ("slow", "drip"):
            await _delayed(fault, partial(app, scope, replayed), send)
        else:
            if fault.after:
                await app(scope, replayed, _discard)
            await self._fail(fault, scope, receive, send)

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Give a wrong answer, or none."""
        if fault.kind not in ("drop", "hang"):
            await _answer(fault, send)
            return
        if fault.kind == "hang":
            await _hang(fault, receive)
        self._hang_up(scope)
        while (await receive())["type"] != "http.disconnect":
            pass


def endpoint_of(site: Site, path: str) -> str | None:
    """The name of an endpoint in faults and counters; None for what is not Zoho's."""
    if site.environment is None:
        return _ACCOUNTS.get(path)
    if not path.startswith("/crm/"):
        return None
    match = _CRM.match(path)
    return match[1] if match else "records"


async def _answer(fault: Fault, send: Send) -> None:
    """Send the wrong answer that *fault* stands for."""
    token = {"api_domain": "https://www.zohoapis.com", "token_type": "Bearer", "expires_in": 3600}
    answers: dict[str, tuple[int, bytes, bytes]] = {
        "status": (fault.status, b"text/html", _GARBAGE),
        "garbage": (200, b"text/html", _GARBAGE),
        "empty": (200, b"application/json", b""),
        "list": (200, b"application/json", b"[]"),
        "huge": (200, b"application/json", b'{"padding": "' + b"x" * _HUGE + b'"}'),
        "no_access_token": (200, b"application/json", json.dumps(token).encode()),
    }
    status, content_type, content = answers[fault.kind]
    await _start(send, status, content_type, len(content))
    await send({"type": "http.response.body", "body": content})


async def _start(send: Send, status: int, content_type: bytes, length: int) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _delayed(fault: Fault, call: Callable[[Send], Awaitable[None]], send: Send) -> None:
    """Send the right answer late, or byte by byte."""
    answer: list[Message] = []

    async def collect(message: Message) -> None:
        answer.append(message)

    if fault.kind == "slow" and not fault.after:
        await _pause(fault, fault.delay)
    await call(collect)
    if fault.kind == "drip":
        await _drip(fault, answer, send)
        return
    if fault.after:
        await _pause(fault, fault.delay)
    for message in answer:
        await send(message)


async def _drip(fault: Fault, answer: list[Message], send: Send) -> None:
    await send(answer[0])
    content = b"".join(message.get("body", b"") for message in answer[1:])
    for each in content:
        await send({"type": "http.response.body", "body": bytes([each]), "more_body": True})
        await _pause(fault, fault.delay)
    await send({"type": "http.response.body", "body": b""})


async def _discard(_message: Message) -> None:
    """Lose an answer."""


async def _pause(fault: Fault, seconds: float) -> None:
    """Wait, but no longer than *fault* is in force."""
    end = asyncio.get_running_loop().time() + seconds
    while not fault.cleared.is_set():
        left = end - asyncio.get_running_loop().time()
        if left <= 0:
            return
        await asyncio.sleep(min(left, _TICK))


async def _hang(fault: Fault, receive: Receive) -> None:
    """Wait until *fault* is cleared or the client gives up."""
    gone = asyncio.ensure_future(receive())
    while not fault.cleared.is_set() and not gone.done():
        await asyncio.wait([gone], timeout=_TICK)
    gone.cancel()


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then whatever else comes."""
    first: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed


def _grant_type(query: bytes, body: bytes) -> str | None:
    """The ``grant_type`` of a request, from its form or its query."""
    for text in (body, query):
        for name, value in parse_qsl(text.decode("latin-1")):
            if name == "grant_type":
                return value
    return None
