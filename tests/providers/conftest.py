"""A server and a token for the tests of providers."""

from __future__ import annotations

import pytest
from certificates import Authority
from provider_server import NEW, NOW, SECRETS, RawServer, as_json, assert_error_is_clean

from tokenkeep.errors import RenewalError
from tokenkeep.providers.oauth2 import OAuth2
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


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Return who issues certificates."""
    return Authority(tmp_path_factory.mktemp("tls"))


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


@pytest.fixture
def acme():
    return OAuth2("acme", clock=lambda: NOW)


@pytest.fixture
def renew(serve, acme, token):
    """Let a provider refresh at a server that gives one answer."""
    return lambda answer, provider=None: (provider or acme).refresh(token(serve(answer).url))


@pytest.fixture
def refused(renew):
    """Do so, and return the error; it has no secret in it, nor in a frame on its way."""

    def _refused(answer, provider=None):
        with pytest.raises(RenewalError) as caught:
            renew(answer, provider)
        assert_error_is_clean(caught.value, *NEW.values(), "s3cret")
        return caught.value

    return _refused
