"""A way to a server that loses questions or answers when it is told to."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class CuttingProxy:
    """
    Passes bytes to a server and back.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        target: Where the next connection leads to.
        cut: What happens to the next question with some bytes in it: with ``(b"EVALSHA",
            "question")`` the connection ends before it is passed on, with ``"answer"`` after the
            server has answered; ``"silence"`` keeps the answer, ``"drip"`` lets a byte of it
            through every 0.45 seconds. None passes everything.
        questions: How many with those bytes were seen.
    """

    def __init__(self, host, port):
        self.target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.port = self._listener.getsockname()[1]
        self.cut = None
        self.questions = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target)
                self._open += [client, server]
                thread = threading.Thread(target=self._serve, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client, server):
        # A client of redis-py asks, then listens: so question and answer take turns.
        with suppress(OSError), client, server:
            while question := client.recv(1 << 20):
                mark, how = self.cut or (None, None)
                hit = mark is not None and mark in question
                self.questions += hit
                if hit and how == "question":
                    self.cut = None
                    return
                server.sendall(question)
                answer = server.recv(1 << 20)
                if hit and how == "answer":
                    self.cut = None
                    return
                if hit and how == "silence":
                    self.cut = None
                    client.recv(1)
                    return
                if hit and how == "drip":
                    self.cut = None
                    for byte in answer:
                        client.sendall(bytes([byte]))
                        time.sleep(0.45)
                    continue
                client.sendall(answer)
