"""Redis over TLS, on a real server: nothing that the URL says about it is dropped."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from certificates import Authority
from private_servers import Redis
from private_servers.ports import free_port
from private_servers.skipped import started
from redis_store import ID, record

from tokenkeep.backends import open_backend
from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import ConfigurationError, StoreUnavailable
from tokenkeep.testing.backend_contract import BackendContract


class Secure:
    """A server that speaks TLS on a second port, for clients with a certificate or for all."""

    def __init__(self, server, authority, port):
        self.server, self.authority, self.port = server, authority, port

    def url(self, *, scheme="rediss", host="127.0.0.1", ca=True, **options):
        """Return a URL of a new place there."""
        database = self.server.url().rpartition("/")[2]
        if ca:
            options.setdefault("ssl_ca_certs", self.authority.pem)
        query = "&".join(f"{name}={quote(str(value))}" for name, value in options.items())
        return f"{scheme}://:{self.server.password}@{host}:{self.port}/{database}?{query}"


@pytest.fixture(scope="module", params=["no"])
def tls(request):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server is another user
        authority, port = Authority(folder), free_port()
        certificate, key = authority.issue("server", "127.0.0.1")
        key.chmod(0o644)
        options = {
            "--tls-port": port,
            "--tls-cert-file": certificate,
            "--tls-key-file": key,
            "--tls-ca-cert-file": authority.pem,
            "--tls-auth-clients": request.param,
        }
        words = [str(word) for option in options.items() for word in option]
        for server in started(partial(Redis, options=words)):
            yield Secure(server, authority, port)


class TestContract(BackendContract):
    @pytest.fixture
    def open_backend(self, tls):
        return partial(RedisBackend, tls.url())


def works(url):
    """Return whether what is written is read again."""
    backend = open_backend(url)
    try:
        backend.write(record(), replaces=None)
        return backend.read(ID) == record()
    finally:
        backend.close()


def refused(url):
    """Return what opening says, and make sure that it has no secret in it."""
    start = time.monotonic()
    with pytest.raises((StoreUnavailable, ConfigurationError)) as caught:
        open_backend(url)
    assert time.monotonic() - start < 8
    assert url.split(":")[2].split("@")[0] not in f"{caught.value} {caught.value.__cause__!r}"
    return str(caught.value)


def test_by_url(tls):
    """A server whose certificate the named authority has signed is trusted."""
    assert works(tls.url())


def test_unknown_authority(tls):
    """A certificate that nobody vouches for is refused, with what to do."""
    assert "?ssl_ca_certs=" in refused(tls.url(ca=False))


def test_other_authority(tls, tmp_path):
    """A certificate of another authority is refused, too."""
    other = Authority(tmp_path, "other").pem

    assert "certificate" in refused(tls.url(ca=False, ssl_ca_certs=other))


def test_other_host(tls):
    """The certificate has to be for the host that the URL names."""
    assert "certificate is for another host" in refused(tls.url(host="localhost"))


def test_other_host_by_an_older_driver(tls, monkeypatch):
    """Also where the driver does not look at it unless it is asked, as redis-py 5 did not."""
    made = redis.connection.SSLConnection.__init__

    def make(connection, *, ssl_check_hostname=False, **options):
        made(connection, ssl_check_hostname=ssl_check_hostname, **options)

    monkeypatch.setattr(redis.connection.SSLConnection, "__init__", make)

    assert "another host" in refused(tls.url(host="localhost"))
    assert works(tls.url(host="localhost", ssl_cert_reqs="none", ca=False))


def test_options_arrive(tls):
    """What relaxes or tightens the checks is heard."""
    assert works(tls.url(host="localhost", ssl_check_hostname="false"))
    assert works(tls.url(ca=False, ssl_cert_reqs="none"))
    assert works(tls.url(ssl_min_version=772))
    assert works(tls.url(ca=False, ssl_ca_path="/", ssl_ca_certs=tls.authority.pem))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ssl_ciphers": "NONE-SUCH"}, "cipher"),
        ({"ssl_cert_reqs": "maybe"}, "maybe"),
        ({"ssl_min_version": "new"}, "'ssl_min_version'"),
        ({"ssl_min_version": "5"}, "'ssl_min_version'"),
        ({"ssl_ca_certs": ""}, "'ssl_ca_certs'"),
        ({"ssl_certfile": "/no/such/file"}, "No such file"),
        ({"ssl_cacerts": "/typo.pem"}, "ssl_cacerts"),
        ({"ssl_validate_ocsp": "true"}, "'ssl_validate_ocsp'"),
        ({"ssl_validate_ocsp_stapled": "true"}, "'ssl_validate_ocsp_stapled'"),
    ],
)
def test_wrong_option(tls, options, said):
    """An option that can't be followed is an error, never ignored."""
    assert said in refused(tls.url(**options))


def test_tls_options_without_tls(tls):
    """Who asks for a certificate in a URL without TLS is told, not served in the clear."""
    assert "rediss://" in refused(tls.url(scheme="redis"))


def test_tls_where_there_is_none(tls):
    """A port that does not speak TLS is named as such."""
    url = tls.url(socket_timeout=1)
    plain = url.replace(f":{tls.port}/", f":{tls.server.port}/")

    assert "TLS" in refused(plain)


def test_no_tls_where_it_is_needed(tls):
    """Nor is a secure port spoken to in the clear."""
    assert "rediss://" in refused(tls.url(scheme="redis", ca=False))


@pytest.mark.parametrize("tls", ["yes"], indirect=True)
def test_client_certificate(tls):
    """A server may ask who its clients are."""
    certificate, key = tls.authority.issue("client")

    assert works(tls.url(ssl_certfile=certificate, ssl_keyfile=key))
    assert "certificate" in refused(tls.url())
