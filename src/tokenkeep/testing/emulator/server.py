"""HTTP on several ports, in threads that start and stop at once; and what faults do to it."""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from email.message import Message

    from .calls import Fault

HOST = "127.0.0.1"
_BACKLOG = 1024
_TICK = 0.02


@dataclass(frozen=True)
class Site:
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
        refused: Status and code with which a fault makes the CRM refuse it. None as a rule.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    site: Site
    refused: tuple[int, str] | None = None

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


_HTML = "<!doctype html><title>Zoho</title><h1>Something went wrong</h1>"
_WRONG = {
    "garbage": Answer(200, _HTML, "text/html"),
    "empty": Answer(200),
    "list": as_json([]),
    "huge": as_json({"padding": "x" * 5 * 1024 * 1024}),
    "no_access_token": as_json({"token_type": "Bearer", "expires_in": 3600}),
}
"""What a fault says in the right answer's place; of the other kinds the connection is closed."""


class BackgroundServer:
    """
    Serve from `start` to `stop`, again and again; the ports are kept until `close`.

    Args:
        ports: The port of each site; 0 means any free one, which is noted here.
        take: Counts a request and tells which fault it meets.
        answer: Answers a request.
    """

    def __init__(
        self,
        ports: dict[Site, int],
        take: Callable[[Request], Fault | None],
        answer: Callable[[Request], Answer],
    ) -> None:
        self.take = take
        self.answer = answer
        self.stopped: threading.Event = threading.Event()
        self.sites: dict[int, Site] = {}
        self._ports = ports
        self._sockets: dict[Site, socket.socket] = {}
        weakref.finalize(self, _close, self._sockets)
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._thread is not None

    def start(self) -> None:
        """Serve; OSError if a port is taken."""
        if self.running:
            return
        try:
            for site, port in self._ports.items():
                if site not in self._sockets:
                    self._sockets[site] = _bound(port)
                self._sockets[site].listen(_BACKLOG)
                self._ports[site] = self._sockets[site].getsockname()[1]
        except OSError:
            _close(self._sockets)
            raise
        self.sites = {port: site for site, port in self._ports.items()}
        self._pid = os.getpid()
        self.stopped.clear()
        self._leave, self._left = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="zoho-emulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cut all connections: a provider that is down finishes no answer."""
        # In a forked child these are the parent's.
        if self._thread is None or os.getpid() != self._pid:
            return
        self.stopped.set()
        self._leave.send(b".")
        self._thread.join()
        self._thread = None
        for thread, connection in list(self._connections.items()):
            _end(connection)
            thread.join()
        self._leave.close()
        self._left.close()
        for each in self._sockets.values():
            _end(each)
        _close(self._sockets)
        # Bound again: a connection that somebody makes could leave by a port that is free.
        for site, port in self._ports.items():
            with suppress(OSError):
                self._sockets[site] = _bound(port)

    def close(self) -> None:
        """Stop, and let others have the ports."""
        self.stop()
        if not self.running:
            _close(self._sockets)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in (*self._sockets.values(), self._left):
                selector.register(each, selectors.EVENT_READ)
            while not self.stopped.is_set():
                for key, _ in selector.select():
                    if key.fileobj is not self._left:
                        connection, address = key.fileobj.accept()  # type: ignore[union-attr]
                        self._serve(connection, address)

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        def serve() -> None:
            try:
                # A client that went away, or the end of the emulator, is no error of this thread.
                with connection, suppress(OSError, ValueError):
                    _Handler(connection, address, self)  # type: ignore[arg-type]
                    _end(connection)
            finally:
                del self._connections[threading.current_thread()]

        thread = threading.Thread(target=serve, name="zoho-emulator-call", daemon=True)
        self._connections[thread] = connection
        thread.start()


def _bound(port: int) -> socket.socket:
    """A socket with a port, which does not listen."""
    bound = socket.socket()
    try:
        if os.name == "posix":  # where this is not a way to take what somebody has
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


def _close(sockets: dict[Site, socket.socket]) -> None:
    while sockets:
        sockets.popitem()[1].close()


def _end(connection: socket.socket) -> None:
    """End it for all processes: closing it would leave it to copies of forks."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    """How long a connection may be idle, in seconds."""

    disable_nagle_algorithm = True
    wbufsize = -1
    """Headers and content leave together."""

    server: BackgroundServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        """Answer a request of any method, or make it fail."""
        url = urlsplit(self.path)
        request = Request(
            self.command,
            url.path,
            dict(parse_qsl(url.query, keep_blank_values=True)),
            self.headers,
            self.rfile.read(int(self.headers.get("Content-Length", 0))),
            self.server.sites[self.connection.getsockname()[1]],
        )
        fault = self.server.take(request)
        answer = self.server.answer(request) if fault is None else self._met(fault, request)
        if answer is None:
            self.close_connection = True
            return
        content = answer.body.encode()
        self.send_response(answer.status)
        if answer.status != 204:  # noqa: PLR2004 - which has no content
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - as the base has them

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _met(self, fault: Fault, request: Request) -> Answer | None:
        """Answer a request that meets a fault. None if the connection is to be closed."""
        answer = self.server.answer
        if fault.kind == "refused":
            return answer(replace(request, refused=(fault.status or 401, fault.code)))
        if fault.kind == "slow":
            late = answer(request) if fault.after else None
            end = time.monotonic() + fault.delay
            while time.monotonic() < end and not fault.cleared.wait(_TICK):
                if self.server.stopped.is_set():
                    return None
            return late or answer(request)
        if fault.after:
            answer(request)
        if fault.kind == "hang":
            while not fault.cleared.wait(_TICK) and not self._is_left_alone():
                pass
        if fault.kind == "status":
            return replace(_WRONG["garbage"], status=fault.status or 503)
        return _WRONG.get(fault.kind)

    def _is_left_alone(self) -> bool:
        """Tell whether the client has given up, or the emulator has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            return bool(selector.select(0)) and not self.connection.recv(1, socket.MSG_PEEK)
