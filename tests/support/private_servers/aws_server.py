"""moto's server as a script, one request at a time."""

from __future__ import annotations

import logging
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class OneAtATime:
    """
    A WSGI application around another: AWS does each request as a whole, moto's threads mix them.

    Args:
        application: What does the requests.
    """

    def __init__(self, application):
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self._lock:
            return list(self._application(environ, start_response))


def main(host, port):
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server(host, int(port), OneAtATime(moto), threaded=True)
    sys.stdout.write("serves\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
