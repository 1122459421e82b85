"""HTTP on several ports, in a thread."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http.client import parse_headers, responses
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket
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


def as_json(body: Any, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(body))


class Refused(Exception):
    """
    A request that is not granted.

    Args:
        error: Its name, by which it is counted.
        answer: What the client is told.
    """

    def __init__(self, error: str, answer: Answer) -> None:
        super().__init__(error)
        self.error = error
        self.answer = answer


class BackgroundServer:
    """
    Serve from `start` to `stop`.

    Args:
        ports: The port of each site; 0 means any free one, which is noted here.
        answer: Answers a request; None closes its connection.
    """

    def __init__(
        self, ports: dict[Site, int], answer: Callable[[Request], Awaitable[Answer | None]]
    ) -> None:
        self._ports = ports
        self._answer = answer
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve; OSError if a port is taken."""
        if self._thread is not None:
            return
        started: Future[None] = Future()
        thread = threading.Thread(
            target=self._run, args=(started,), name="zoho-emulator", daemon=True
        )
        thread.start()
        started.result()
        self._thread = thread

    def stop(self) -> None:
        """Cut all connections; no answer that is under way is finished."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join()
        self._thread = None

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(started))
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)  # else who starts it waits for ever

    async def _serve(self, started: Future[None]) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        with ExitStack() as stack:
            for site, port in self._ports.items():
                server = await asyncio.start_server(
                    partial(self._connected, site), HOST, port, backlog=_BACKLOG
                )
                stack.callback(server.close)
                [listening] = server.sockets
                stack.callback(_end, listening)
                self._ports[site] = listening.getsockname()[1]
            started.set_result(None)
            await self._told.wait()
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


def _end(connection: socket.socket | TransportSocket) -> None:
    """End it for all processes: closing it would leave it to copies of forks."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
