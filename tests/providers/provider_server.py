"""Servers that answer byte by byte what a test wants, on free loopback ports."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from urllib.parse import parse_qs

from reported import reported

SECRETS = {
    "client_secret": "s3cret-of-the-client",
    "refresh_token": "1000.refresh.s3cret",
    "grant_token": "1000.grant.s3cret",
    "access_token": "1000.access.s3cret",
}

NEW = {"access_token": "new.access.s3cret", "refresh_token": "new.refresh.s3cret"}
NOW = 1_700_000_000.0


class RawServer:
    """
    A TCP server; each connection is given to *play*, after its request was read.

    Args:
        play: Called with the connection and the request.
        wrap: What makes a connection of the accepted socket, e.g. TLS.
        read: Whether the request is read before *play* is called.
    """

    def __init__(self, play, *, wrap=None, read=True):
        self.requests = []
        self.connections = 0
        self._serving = []
        self._play = play
        self._wrap = wrap or (lambda connection: connection)
        self._read = read
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.netloc = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.netloc}/oauth/v2/token"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            serving = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            serving.start()
            self._serving.append(serving)

    def _serve(self, raw):
        # A client that gives up breaks the connection; that is what is tested.
        with raw, contextlib.suppress(OSError), self._wrap(raw) as connection:
            request = read_request(connection) if self._read else b""
            self.requests.append(request)
            self._play(connection, request)

    def expect_left(self, seconds):
        """Expect that nobody is connected any more: no request goes on once its caller is gone."""
        while len(self._serving) < self.connections:
            time.sleep(0.01)
        for each in self._serving:
            each.join(seconds)
            assert not each.is_alive()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def read_request(connection):
    """Read one request with its body; as much as comes of one that breaks off."""
    data, length = b"", 0
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length:
        more = connection.recv(65536)
        if not more:
            break
        data += more
        if said := re.search(rb"(?i)\r\ncontent-length: *(\d+)", data):
            length = int(said[1])
    return data


def response(body=b"", status="200 OK", *headers):
    """Return a whole HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def as_json(document, status="200 OK", *headers):
    """Return a whole HTTP response with a document; a str is its text as it stands."""
    text = document if isinstance(document, str) else json.dumps(document)
    return response(text.encode(), status, *headers)


def sent(server, request=0):
    """Return the head of a request, and the fields of its form."""
    whole = server.requests[request]
    return whole.partition(b"\r\n\r\n")[0].decode(), form_of(whole)


def drip(connection, data, pause=0.05):
    """Send byte after byte until the other side has enough."""
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(pause)


def assert_no_secret(text, *more):
    assert [] == [secret for secret in (*SECRETS.values(), *more) if secret in text]


def assert_error_is_clean(error, *more):
    """Look for secrets wherever a crash report looks."""
    assert_no_secret(reported(error), *more)


def form_of(request):
    """Return the fields of a request's form."""
    fields = parse_qs(request.partition(b"\r\n\r\n")[2].decode())
    return {name: value for name, (value,) in fields.items()}


def answering(make):
    """Return what to play: each request is answered with what *make* returns for its fields."""

    def play(connection, request):
        answer = make(form_of(request))
        connection.sendall(answer if isinstance(answer, bytes) else as_json(answer))

    return play
