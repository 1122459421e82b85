"""HTTP on several ports, in a thread that starts and stops at once."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http.client import parse_headers, responses
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from email.message import Message

HOST = "127.0.0.1"
_BACKLOG = 1024
_TICK = 0.02


class Site(NamedTuple):
    """One server, on a port of its own; its *environment* is None for the accounts server."""

    data_center: str
    environment: str | None


@dataclass(frozen=True)
class Request:
    """
    A request.

    Attributes:
        path: Without the query.
        query: Its fields.
        headers: By name, whatever its case.
        site: The server it came to.
        stays: Waits for an event, at most so many seconds; tells whether the client did, too.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    site: Site
    stays: Callable[[threading.Event, float], Awaitable[bool]]

    @property
    def form(self) -> dict[str, str]:
        """Its query and its form, the latter winning."""
        form = parse_qsl(self.body.decode("latin-1"), keep_blank_values=True)
        return {**self.query, **dict(form)}


@dataclass(frozen=True)
class Answer:
    """An answer; its *headers* are those beside the content's type and length."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(body), headers=headers or {})


class BackgroundServer:
    """
    Serve from `start` to `stop`, again and again; the ports are kept until `close`.

    Args:
        ports: The port of each site; 0 means any free one, which is noted here.
        answer: Answers a request; None closes its connection.
    """

    def __init__(
        self, ports: dict[Site, int], answer: Callable[[Request], Awaitable[Answer | None]]
    ) -> None:
        self._ports = ports
        self._answer = answer
        self._sockets: dict[Site, socket.socket] = {}
        weakref.finalize(self, _close, self._sockets)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve; OSError if a port is taken."""
        if self._thread is not None:
            return
        try:
            self._bind()
            for each in self._sockets.values():
                each.listen(_BACKLOG)
        except OSError:
            _close(self._sockets)
            raise
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="zoho-emulator", daemon=True
        )
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        """Cut all connections: a provider that is down finishes no answer."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join()
        self._thread = None
        _close(self._sockets)
        # Bound again: a connection that somebody makes could leave by a port that is free.
        with suppress(OSError):
            self._bind()

    def close(self) -> None:
        """Stop, and let others have the ports."""
        self.stop()
        _close(self._sockets)

    def _bind(self) -> None:
        for site, port in self._ports.items():
            if site not in self._sockets:
                bound = self._sockets[site] = socket.socket()
                if os.name == "posix":  # where this is not a way to take what somebody has
                    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((HOST, port))
                self._ports[site] = bound.getsockname()[1]

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        servers = [
            await asyncio.start_server(partial(self._connected, site), sock=each, backlog=_BACKLOG)
            for site, each in self._sockets.items()
        ]
        started.set()
        await self._told.wait()
        for listening, server in zip(self._sockets.values(), servers, strict=True):
            _end(listening)
            server.close()
        # What is under way is cancelled now, by the end of the loop.

    async def _connected(
        self, site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            # A client that goes away is no error, nor is the end of the emulator.
            with suppress(OSError, EOFError, asyncio.CancelledError):
                while answer := await self._answer(await _read(reader, site)):
                    writer.write(_as_bytes(answer))
                    await writer.drain()
        finally:
            _end(writer.get_extra_info("socket"))
            writer.close()


async def _read(reader: asyncio.StreamReader, site: Site) -> Request:
    line, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
    method, target, _ = line.decode("latin-1").split(" ")
    url, headers = urlsplit(target), parse_headers(io.BytesIO(rest))
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    stays = partial(_stays, reader)
    return Request(method, url.path, query, headers, body, site, stays)


async def _stays(reader: asyncio.StreamReader, event: threading.Event, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not event.is_set():
        if reader.at_eof():
            return False
        await asyncio.sleep(_TICK)
    return True


def _as_bytes(answer: Answer) -> bytes:
    content = answer.body.encode()
    about = {"Content-Type": answer.content_type, "Content-Length": len(content)}
    headers = {
        "Date": formatdate(usegmt=True),
        **(about if answer.status != 204 else {}),  # noqa: PLR2004 - which has no content
        **answer.headers,
    }
    lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _close(sockets: dict[Site, socket.socket]) -> None:
    while sockets:
        sockets.popitem()[1].close()


def _end(connection: socket.socket) -> None:
    """End it for all processes: closing it would leave it to copies of forks."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
