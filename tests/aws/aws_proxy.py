"""A proxy before moto's server: it notes every request, and lets some of them fail as at AWS."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit, urlunsplit

COMING = "the request is lost on its way"
CUT = "its answer ends before it has said how long it is"
HALF = "its answer ends in the middle"
GOING = "it is done, and the answer is lost"


def refusal(code, message="", status=400):
    """An error, as AWS writes it."""
    return status, {"__type": code, "message": message, "Message": message}


class Proxy:
    """
    Where a store's endpoint_url leads.

    Attributes:
        requests: (operation, parameters) of each, in order.
        faults: What becomes of the next requests, by their operation: a list
            of COMING, CUT, HALF, GOING, a `refusal`, a dict (the answer), a function
            (called before the request is passed on), or None (nothing).
            The last one stays if it is in a tuple instead of a list.
    """

    def __init__(self, target):
        self._target = target
        self.requests = []
        self.faults = {}
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                proxy.serve(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # clients that went away

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"

    def of(self, url):
        """Return the same store's URL, by way of this proxy."""
        return url.replace(quote(self._target, safe=""), quote(self.endpoint_url, safe=""))

    def sent(self, operation):
        """Return the parameters of all requests of a kind."""
        return [parameters for name, parameters in self.requests if name == operation]

    def operations(self):
        return [name for name, _ in self.requests]

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        operation = handler.headers["X-Amz-Target"].rpartition(".")[2]
        self.requests.append((operation, json.loads(body)))
        faults = self.faults.get(operation)
        fault = None
        if faults:
            fault = faults.pop(0) if isinstance(faults, list) else faults[-1]
        if callable(fault):
            fault = fault()
        if fault in (COMING, CUT):
            handler.close_connection = True
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-amzn" if fault == CUT else b"")
            return
        if isinstance(fault, dict):
            fault = 200, fault
        if isinstance(fault, tuple):
            status, content = fault[0], json.dumps(fault[1]).encode()
        else:
            status, content = self._pass_on(handler, body)
        if fault == GOING:
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-amz-json-1.1")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2] if fault == HALF else content)
        handler.close_connection |= fault == HALF

    def _pass_on(self, handler, body):
        connection = http.client.HTTPConnection(urlsplit(self._target).netloc, timeout=30)
        try:
            connection.request("POST", handler.path, body, dict(handler.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def with_options(url, **options):
    """Return a URL with more options."""
    parts = urlsplit(url)
    more = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in options.items())
    query = f"{parts.query}&{more}" if parts.query else more
    return urlunsplit(parts._replace(query=query))
