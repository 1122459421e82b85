"""HTTP on several ports, in threads that start and stop at once; and what faults do to it."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from .http import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from .faults import Fault
    from .http import Site

HOST = "127.0.0.1"
_BACKLOG = 1024
_TICK = 0.02


class BackgroundServer:
    """
    Serve until :meth:`stop`.

    Args:
        ports: The port of each server; 0 means any free one, which is noted here.
        take: Counts a request and tells which fault it meets.
        answer: Answers a request.

    Raises:
        OSError: A port is taken.
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
        self._pid = os.getpid()
        self._listeners: list[socket.socket] = []
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._leave, self._left = socket.socketpair()
        try:
            for site, port in ports.items():
                listener = socket.create_server((HOST, port), backlog=_BACKLOG)
                self._listeners.append(listener)
                ports[site] = listener.getsockname()[1]
                self.sites[ports[site]] = site
        except OSError:
            self._close()
            raise
        self._thread = threading.Thread(target=self._accept, name="zoho-emulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all ports and connections: a provider that is down finishes no answer."""
        # In a forked child these are the parent's.
        if os.getpid() != self._pid:
            return
        self.stopped.set()
        self._leave.send(b".")
        self._thread.join()
        for thread, connection in list(self._connections.items()):
            end(connection)
            thread.join()
        self._close()

    def _close(self) -> None:
        for each in (*self._listeners, self._leave, self._left):
            end(each)
            each.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in (*self._listeners, self._left):
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
                    end(connection)
            finally:
                del self._connections[threading.current_thread()]

        thread = threading.Thread(target=serve, name="zoho-emulator-call", daemon=True)
        self._connections[thread] = connection
        thread.start()


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
        return fault.answer

    def _is_left_alone(self) -> bool:
        """Tell whether the client has given up, or the emulator has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            return bool(selector.select(0)) and not self.connection.recv(1, socket.MSG_PEEK)


def end(connection: socket.socket) -> None:
    """End a connection for all processes: closing it would leave it to copies of forks."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
