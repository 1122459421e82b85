"""A way to a server that holds up, drips, cuts off and counts what passes."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Literal


class Proxy:
    """
    Forward the connections to a port of its own, on 127.0.0.1.

    Attributes:
        host: Its address.
        port: Its port.
        target: Host and port to which the next connection leads.
        trips: How often a client spoke after the server had, or first.
        connections: How many there have been.

    Args:
        host: The server's.
        port: The server's.
    """

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        self.target: tuple[str, int] = (host, port)
        self.trips: int = 0
        self.connections: int = 0
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._going = threading.Event()
        self._going.set()
        self._pause = 0.0
        self._cut: str | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def alive(self) -> int:
        """How many connections there are."""
        return len(self._pairs)

    def hold(self) -> None:
        """From now on, keep back whatever is said, as of a server that hangs."""
        self._going.clear()

    def drip(self, seconds: float) -> None:
        """From now on, let a byte of an answer through so often: always something, too little."""
        self._pause = seconds

    def go_on(self) -> None:
        """Let through what was kept back, and all that comes."""
        self._pause = 0.0
        self._going.set()

    def cut_the_next(self, what: Literal["question", "answer"]) -> None:
        """Cut a connection instead of passing on the next question, or the next answer."""
        self._cut = what

    def cut(self) -> None:
        """Cut all connections."""
        for pair in list(self._pairs):
            for each in pair:
                _shut(each)

    def close(self) -> None:
        """Cut all connections, and take no more."""
        _shut(self._listener)
        self._listener.close()
        self.cut()
        self.go_on()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            self.connections += 1
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.add((client, server))
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            self._talk(client, server)
        self._pairs.discard((client, server))

    def _talk(self, client: socket.socket, server: socket.socket) -> None:
        speaker = server
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, (client, server))
            selector.register(server, selectors.EVENT_READ, (server, client))
            while True:
                for key, _ in selector.select():
                    source, sink = key.data
                    data = source.recv(65536)
                    if not data:
                        return
                    self._going.wait()
                    self.trips += source is client and speaker is server
                    speaker = source
                    if self._cut == ("answer" if speaker is server else "question"):
                        self._cut = None
                        return
                    while speaker is server and self._pause and data:
                        sink.sendall(data[:1])
                        data = data[1:]
                        time.sleep(self._pause)
                    sink.sendall(data)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
