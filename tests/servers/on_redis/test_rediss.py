"""Redis over TLS: nothing that the URL says about it is dropped. See test_tls.py, too."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import redis
from cases import ID, record
from cases import refused as refused_work
from certificates import Authority
from private_servers import Redis
from private_servers.ports import free_port
from private_servers.skipped import started

from tokenkeep.backends import open_backend
from tokenkeep.errors import ConfigurationError, StoreUnavailable


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
def tls(request, tmp_path_factory):
    authority, port = Authority(tmp_path_factory.mktemp("authority")), free_port()
    for server in started(Redis):
        certificate, key = authority.issue("server", "127.0.0.1")
        options = {
            "--tls-port": port,
            "--tls-cert-file": server.write("tls.crt", certificate.read_text()),
            "--tls-key-file": server.write("tls.key", key.read_text()),
            "--tls-ca-cert-file": server.write("ca.crt", authority.pem.read_text()),
            "--tls-auth-clients": request.param,
        }
        server.options = [str(word) for option in options.items() for word in option]
        server.stop()
        server.start()
        yield Secure(server, authority, port)


def works(url):
    """Return whether what is written is read again."""
    backend = open_backend(url)
    try:
        backend.write(record(), replaces=None)
        return backend.read(ID) == record()
    finally:
        backend.close()


def refused(url):
    """Return what opening says, which has no password in it."""
    kinds = (StoreUnavailable, ConfigurationError)
    secret = url.split(":")[2].split("@")[0]
    return refused_work(lambda: open_backend(url), kinds, secret=secret)


def test_other_host_by_an_older_driver(tls, monkeypatch):
    """The host is looked at where the driver has to be asked for it, as redis-py 5 had."""
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


def test_in_the_clear(tls):
    """Who asks for a certificate without TLS is told, and so is who needs TLS."""
    assert "rediss://" in refused(tls.url(scheme="redis"))
    assert "rediss://" in refused(tls.url(scheme="redis", ca=False))


@pytest.mark.parametrize("tls", ["yes"], indirect=True)
def test_client_certificate(tls):
    """A server may ask who its clients are."""
    certificate, key = tls.authority.issue("client")

    assert works(tls.url(ssl_certfile=certificate, ssl_keyfile=key))
    assert "certificate" in refused(tls.url())
