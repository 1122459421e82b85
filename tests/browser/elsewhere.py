"""A web server that is not the desk: it serves what a test writes, and notes who comes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "elsewhere.example"
"""Leads the browser of the tests to this machine, as a site of its own."""


class Elsewhere:
    """
    A server on a port of its own.

    Attributes:
        html: What it answers.
        requests: Method and path of all that came.
    """

    def __init__(self, html=""):
        self.html = html
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{NAME}:{self.port}"
        self.near_url = f"http://127.0.0.1:{self.port}"

    def _handler(elsewhere):  # noqa: N805  # self is the handler
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                elsewhere.requests.append(f"{self.command} {self.path}")
                body = elsewhere.html.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        return Handler

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
