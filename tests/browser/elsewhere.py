"""A web server that is not the desk: it serves what a test writes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "elsewhere.example"
"""Leads the browser of the tests to this machine, as a site of its own."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.html.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def elsewhere():
    """Yield a server, whose ``html`` is what it answers; on a port here, and as another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.html = ""
        server.near_url = f"http://127.0.0.1:{server.server_port}"
        server.url = f"http://{NAME}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
