"""The emulator's operations over HTTP, for other processes of this machine."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .model import describe_client, describe_user

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from .operations import Operations

PREFIX = "/_emulator"


class ControlApi:
    """
    The routes under ``/_emulator/`` of an accounts server.

    Every operation is a POST of its arguments as a JSON object, answered by
    ``{"result": ...}`` or, with status 400, ``{"error": kind, "message": text}``.
    """

    def __init__(self, emulator: Operations) -> None:
        self._emulator = emulator
        operations: dict[str, Callable[..., Any]] = {
            "users": lambda **given: describe_user(emulator.add_user(**given)),
            "clients": lambda **given: describe_client(emulator.register_client(**given)),
            "grants": emulator.grant_code,
            "refresh_tokens": emulator.refresh_token,
            "access_tokens": emulator.access_token,
            "id_of": emulator.id_of,
            "is_active": emulator.is_active,
            "expire": emulator.expire_access_tokens,
            "revoke": emulator.revoke,
            "evict": emulator.evict,
            "devices": emulator.decide_device,
            "records": emulator.records,
            "clock": self._clock,
            "options": self._options,
            "options/reset": emulator.options.reset,
            "faults": lambda **given: emulator.faults.add(**given).as_dict(),
            "faults/clear": emulator.faults.clear,
            "counters/reset": emulator.counters.reset,
        }
        reads: dict[str, Callable[[], Any]] = {
            "state": emulator.state,
            "counters": emulator.counters.as_dict,
            "options": emulator.options.as_dict,
            "faults": emulator.faults.as_list,
            "clock": emulator.clock.now,
        }
        self.routes: list[Route] = [
            *(
                Route(f"{PREFIX}/{name}", _read(each), methods=["GET"])
                for name, each in reads.items()
            ),
            *(
                Route(f"{PREFIX}/{name}", _operate(each), methods=["POST"])
                for name, each in operations.items()
            ),
        ]

    def _clock(self, *, advance: float) -> float:
        return self._emulator.clock.advance(advance)

    def _options(self, **given: Any) -> dict[str, Any]:
        for name, value in given.items():
            setattr(self._emulator.options, name, value)
        return self._emulator.options.as_dict()


def _read(read: Callable[[], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _stranger(request) or JSONResponse({"result": read()})

    return endpoint


def _operate(operation: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        refusal = _stranger(request)
        if refusal is not None:
            return refusal
        # A page elsewhere can't send this type without asking first, and is not answered.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return _failure("TypeError", "send application/json", 415)
        try:
            given = json.loads(await request.body() or b"{}")
            result = await run_in_threadpool(operation, **given)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            return _failure(type(error).__name__, str(error.args[0] if error.args else error), 400)
        return JSONResponse({"result": result})

    return endpoint


def _stranger(request: Request) -> Response | None:
    """Refuse whoever is not on this machine, or was led here under another host name."""
    peer = request.client.host if request.client else ""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if _is_loopback(peer) and host is not None and (host == "localhost" or _is_loopback(host)):
        return None
    return _failure("PermissionError", "only for this machine", 403)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _failure(kind: str, message: str, status: int) -> Response:
    return JSONResponse({"error": kind, "message": message}, status_code=status)
