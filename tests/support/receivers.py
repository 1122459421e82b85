"""A webhook's receiver on a free loopback port, which answers as a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tokenkeep import Notices, verify_signature

SECRET = "a-s3cret-of-the-webhook"
PATIENCE = 30.0


def redirect(handler):
    handler.send_response(302)
    handler.send_header("Location", f"http://127.0.0.1:{handler.server.server_port}/elsewhere")
    handler.end_headers()


def close(handler):
    handler.connection.close()


def drip(handler):
    """Say that it was taken, and never end the answer."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    with suppress(OSError):
        while not handler.server.over.wait(0.05):
            handler.wfile.write(b"x")


def hang(handler):
    """Say that it was taken, and then nothing more."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    handler.server.over.wait(PATIENCE)


def drip_headers(handler):
    """Never come to the end of the headers."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    with suppress(OSError):
        while not handler.server.over.wait(0.05):
            handler.wfile.write(b"X-A: a\r\n")


def slow(handler):
    handler.server.over.wait(PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.take(self.path, dict(self.headers), body)
        how = self.server.answers.popleft() if self.server.answers else self.server.always
        if callable(how):
            how(self)
            return
        self.send_response(how)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.server.take(self.path, dict(self.headers), b"{}")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Receiver(ThreadingHTTPServer):
    """
    Takes notices.

    Attributes:
        answers: What it answers next: statuses, or what is called with the handler.
        always: What it answers when there are no more of those.
        told: What it was told with a status of 2xx, a dripping one too, in order.
        calls: How it was called: path, headers and body of each.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.always = deque(), 204
        self.calls, self.over = [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/told"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def take(self, path, headers, body):
        self.calls.append((path, headers, body))

    def handle_error(self, *_):
        pass

    @property
    def facts(self):
        """All it was called with, as JSON."""
        return [json.loads(body) for _, _, body in self.calls]

    @property
    def events(self):
        return [each["event"] for each in self.facts]

    def wait(self, count):
        """Wait until it was called so often."""
        ends = time.monotonic() + PATIENCE
        while len(self.calls) < count:
            assert time.monotonic() < ends, f"called {len(self.calls)} times"
            time.sleep(0.01)

    def is_signed(self, call, now):
        _, headers, body = self.calls[call]
        return verify_signature(SECRET, body, headers["Tokenkeep-Signature"], now=now)

    def notices(self, **given):
        """Return whom to tell: this one."""
        known = {"webhook": self.url, "webhook_secret": SECRET, "allow_private": True}
        return Notices(**known | given)

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()


@pytest.fixture
def receiver():
    """A receiver that takes all."""
    made = Receiver()
    yield made
    made.close()
