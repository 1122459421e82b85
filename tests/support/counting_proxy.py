"""A TCP proxy in front of a database server: it counts round trips, cuts and swallows."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress


class CountingProxy:
    """
    Forward connections on a port of its own.

    ``trips`` counts how often a client spoke after the server had (or first);
    ``target`` is where the next connection leads to.
    """

    def __init__(self, host, port):
        self.target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.trips = 0
        self.connections = 0
        self._swallow = threading.Event()
        self._drip = threading.Event()
        self._pause = 0.0
        self._cut = None
        self._pairs = []
        self._done = False
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self):
        """From now on, forward nothing: as a firewall that drops packets."""
        self._swallow.set()

    def drip(self, seconds):
        """From now on, let a byte through so often: always something, never enough."""
        self._pause = seconds
        self._drip.set()

    def go_on(self):
        self._swallow.clear()
        self._drip.clear()

    def cut_the_next(self, what):
        """Cut a connection instead of passing the next ``question`` on, or the next ``answer``."""
        self._cut = what

    def cut(self):
        """Cut all connections."""
        for pair in self._pairs:
            for each in pair:
                _shut(each)
        self._pairs.clear()

    def counted(self, work):
        """Return how many round trips *work* takes."""
        before = self.trips
        work()
        return self.trips - before

    def close(self):
        self._done = True
        _shut(self._listener)
        self._listener.close()
        self.cut()

    def _accept(self):
        while not self._done:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                continue
            self.connections += 1
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            self._pairs.append(pair)
            threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, client, server):
        speaker = server
        with selectors.DefaultSelector() as selector, client, server:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    try:
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        if self._swallow.is_set():
                            continue
                        if key.fileobj is client and speaker is server:
                            self.trips += 1
                        speaker = key.fileobj
                        if self._cut == ("answer" if speaker is server else "question"):
                            self._cut = None
                            return
                        while speaker is server and self._drip.is_set() and data:
                            key.data.sendall(data[:1])
                            data = data[1:]
                            time.sleep(self._pause)
                        key.data.sendall(data)
                    except OSError:
                        return


def _shut(each):
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
