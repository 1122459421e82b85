"""
moto's server as a script: one request at a time, and a kill forgets nothing.

AWS does each request as a whole; moto's threads would mix two conditional writes. And moto keeps
all in memory. So each writing request is noted in a journal before it is done, and at the next
start they are done again in that order, with the same random numbers (but new dates of creation).
A request whose answer was lost in a kill may have been done, as with AWS.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
import threading
from pathlib import Path

from moto.moto_api._internal import mock_random
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import EnvironBuilder, run_wsgi_app

READING = ("Get", "Describe", "List", "BatchGet", "Query", "Scan", "TransactGet")


class Server:
    """
    A WSGI application around moto's.

    Args:
        journal: The requests done so far, one JSON object per line. Made if missing.
        application: What does them; None is moto.
    """

    def __init__(self, journal, application=None):
        self._app = application or DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._done = 0
        self._replay(journal)
        self._journal = journal.open("ab")

    def __call__(self, environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        with self._lock:
            if not action.startswith(READING):
                self._note(environ, body)
                self._seed()
            return list(self._app(environ, start_response))

    def close(self):
        self._journal.close()

    def _seed(self):
        """Let moto make up the same names when this request is done again."""
        self._done += 1
        mock_random.seed(self._done)

    def _note(self, environ, body):
        headers = {
            name: value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        entry = {
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": environ["QUERY_STRING"],
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()

    def _replay(self, journal):
        lines = journal.read_bytes().split(b"\n") if journal.exists() else [b""]
        # The last one is empty, or was being written in the kill, and so was not done.
        torn = lines.pop()
        for line in lines:
            entry = json.loads(line)
            builder = EnvironBuilder(
                method=entry["method"],
                path=entry["path"],
                query_string=entry["query"],
                data=base64.b64decode(entry["body"]),
            )
            self._seed()
            run_wsgi_app(self._app, {**builder.get_environ(), **entry["headers"]}, buffered=True)
        if torn:
            with journal.open("r+b") as file:
                file.truncate(journal.stat().st_size - len(torn))


def main(host, port, journal):
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server(host, int(port), Server(Path(journal)), threaded=True)
    sys.stdout.write("serves\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
