"""A server and a token for the tests of providers."""

from __future__ import annotations

import pytest
from provider_server import SECRETS, RawServer, as_json

from tokenkeep.token import Token


@pytest.fixture
def serve():
    """Start a `RawServer`; given bytes or a document, it answers each request with that."""
    servers = []

    def start(play, **options):
        if not callable(play):
            answer = play if isinstance(play, bytes) else as_json(play)

            def play(connection, _request):
                connection.sendall(answer)

        servers.append(RawServer(play, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def token():
    """Return a token with all secrets, renewed at a given URL."""

    def make(issuer, **changes):
        values = {
            "id": "tk-1",
            "user": "ana@example.com:6000123",
            "client_id": "1000.CLIENT",
            "redirect_uri": "http://127.0.0.1:8765/callback",
            "issuer": issuer,
            **SECRETS,
        }
        return Token(**(values | changes))

    return make
