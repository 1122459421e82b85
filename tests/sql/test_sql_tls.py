"""TLS: asked for in a URL, it is used and verified, or nothing is sent."""

from __future__ import annotations

import datetime as dt
import ipaddress

import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sql_cases import ID, record

from tokenkeep.errors import ConfigurationError, StoreUnavailable

CIPHER = {
    "MariaDB": "SELECT variable_value FROM information_schema.session_status "
    "WHERE variable_name = 'Ssl_cipher'",
    "PostgreSQL": "SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
}


def signed(name, authority=None, *, address=None):
    """Return a certificate and its key; signed by itself without an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = (authority[0].subject, authority[1]) if authority else (subject, key)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not authority, path_length=None), critical=True)
    )
    if address:
        names = [x509.IPAddress(ipaddress.ip_address(address))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()), key


def pem(thing):
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM).decode()
    return thing.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def authority():
    return signed("Our authority")


@pytest.fixture(scope="module")
def authorities(authority, tmp_path_factory):
    """The files of the authority that signed, and of one that did not."""
    folder = tmp_path_factory.mktemp("authorities")
    for name, certificate in (("ours", authority[0]), ("theirs", signed("Another")[0])):
        (folder / name).write_text(pem(certificate))
    return folder


def restarted(server, options):
    server.stop()
    server.options = options
    server.start()


@pytest.fixture(params=["127.0.0.1", "10.0.0.1"], scope="module")
def address(request):
    """For which the server's certificate is."""
    return request.param


@pytest.fixture(params=["mariadb", "postgres"], scope="module")
def server(request, authority, address):
    """A server with TLS, for 127.0.0.1 or for another place."""
    server = request.getfixturevalue(request.param)
    certificate, key = signed("server", authority, address=address)
    cert, key = server.write("tls.crt", pem(certificate)), server.write("tls.key", pem(key))
    if server.name == "MariaDB":
        options = [f"--ssl-cert={cert}", f"--ssl-key={key}"]
    else:
        options = ["--ssl=on", f"--ssl_cert_file={cert}", f"--ssl_key_file={key}"]
    restarted(server, options)
    yield server
    restarted(server, [])


def asking(server, *, authority=None, identity=False):
    """Return the options that ask for it, as each driver names them."""
    if server.name == "MariaDB":
        ca = f"ssl_ca={authority}&ssl_verify_identity={identity}"
        return ca if authority else "ssl_mode=required"
    mode = "verify-full" if identity else "verify-ca"
    return f"sslmode={mode}&sslrootcert={authority}" if authority else "sslmode=require"


def cipher(backend, server):
    with backend._connections.session() as db:
        return db.exec_driver_sql(CIPHER[server.name]).scalar()


def test_encrypted(connect, server, url):
    """TLS that is asked for is used, by every connection."""
    backend = connect(f"{url}?{asking(server)}")
    backend.write(record(), replaces=None)

    assert record() == backend.read(ID)
    assert cipher(backend, server)


def test_verified(connect, server, url, authorities):
    """A server whose certificate our authority signed is talked to."""
    backend = connect(f"{url}?{asking(server, authority=authorities / 'ours')}")

    assert cipher(backend, server)


def test_of_another_authority(connect, server, url, authorities):
    """A server whose certificate another authority signed is not."""
    with pytest.raises(StoreUnavailable, match="no safe connection") as caught:
        connect(f"{url}?{asking(server, authority=authorities / 'theirs')}")

    assert "options for TLS" in str(caught.value)


def test_identity(connect, server, url, authorities, address):
    """Nor is one with the certificate of another place, where its identity is to be verified."""
    asked = f"{url}?{asking(server, authority=authorities / 'ours', identity=True)}"
    if address == "127.0.0.1":
        assert cipher(connect(asked), server)
        return

    with pytest.raises(StoreUnavailable, match="no safe connection"):
        connect(asked)


@pytest.mark.parametrize("plain", ["mariadb", "postgres"])
def test_never_dropped(connect, request, plain):
    """A server without TLS is not talked to in clear where TLS was asked for."""
    server = request.getfixturevalue(plain)
    if server.options:
        restarted(server, [])
    elif server.name == "MariaDB":
        restarted(server, ["--skip-ssl"])

    with pytest.raises(StoreUnavailable, match="no safe connection"):
        connect(f"{server.url()}?{asking(server)}")

    if server.options:
        restarted(server, [])


def test_never_dropped_by_the_driver(connect, mariadb, monkeypatch):
    """Nor by a driver that takes TLS for a wish, as PyMySQL 1.1 did."""
    restarted(mariadb, ["--skip-ssl"])
    greeted = pymysql.connections.Connection._get_server_information

    def greeting(connection):
        greeted(connection)
        connection._ssl_required = False

    monkeypatch.setattr(pymysql.connections.Connection, "_get_server_information", greeting)

    with pytest.raises(StoreUnavailable, match="no safe connection"):
        connect(f"{mariadb.url()}?ssl_mode=required")

    restarted(mariadb, [])


@pytest.mark.parametrize(
    "options",
    [
        "ssl_ca=/nowhere/ca.pem",
        "ssl_mode=safely",
        "ssl_disabled=true&ssl_ca=/ca.pem",
        "ssl_verify_cert=maybe",
        "ssl_verify_identity=true&ssl_verify_cert=false",
        "ssl_key=/key.pem",
        "ssl=true",
    ],
)
def test_options_that_make_no_sense(connect, mariadb, options):
    """An option of TLS that can't be followed is refused, not left out."""
    with pytest.raises(ConfigurationError):
        connect(f"{mariadb.url()}?{options}")
