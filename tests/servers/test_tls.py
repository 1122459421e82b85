"""TLS: asked for in a URL, it is used and verified, or nothing is sent."""

from __future__ import annotations

import pytest
from cases import ID, record, refused, with_port
from certificates import Authority
from private_servers.ports import free_port

ENCRYPTED = {
    "MariaDB": "SELECT variable_value FROM information_schema.global_status "
    "WHERE variable_name = 'Ssl_finished_accepts'",
    "PostgreSQL": "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
    "WHERE ssl AND usename = 'app'",
}
"""How many connections are, or were from their beginning on."""


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """One whose certificates are trusted, and one whose are not."""
    folder = tmp_path_factory.mktemp("authorities")
    return {name: Authority(folder, name) for name in ("ours", "theirs")}


@pytest.fixture(params=["mariadb", "postgres", "redis_server"], scope="module")
def server(request, authorities):
    """A server with TLS, whose certificate is for 127.0.0.1 and for no name."""
    server = request.getfixturevalue(request.param)
    ours = authorities["ours"]
    files = (*ours.issue(request.param, "127.0.0.1"), ours.pem)
    cert, key, ca = (server.write(path.name, path.read_text()) for path in files)
    server.tls_port = free_port() if server.name == "Redis" else server.port
    options = {
        "MariaDB": f"--ssl-cert={cert} --ssl-key={key}",
        "PostgreSQL": f"--ssl=on --ssl_cert_file={cert} --ssl_key_file={key}",
        "Redis": f"--tls-port {server.tls_port} --tls-cert-file {cert} --tls-key-file {key} "
        f"--tls-ca-cert-file {ca} --tls-auth-clients no",
    }
    before = server.options
    restarted(server, [*before, *options[server.name].split()])
    yield server
    restarted(server, before)


def restarted(server, options):
    server.stop()
    server.options = options
    server.start()


@pytest.fixture
def asking(server, url, authorities):
    """Return the URL that asks for TLS, as each driver wants it."""

    def asking(by=None, *, identity=False, host="127.0.0.1", port=server.tls_port):
        ca = by and authorities[by].pem
        if server.name == "MariaDB":
            options = f"ssl_ca={ca}&ssl_verify_identity={identity}" if by else ""
        elif server.name == "PostgreSQL":
            mode = "verify-full" if identity else "verify-ca"
            options = f"sslmode={mode}&sslrootcert={ca}" if by else "sslmode=require"
        else:
            options = f"ssl_ca_certs={ca}" if by else "ssl_cert_reqs=none"
            host = host if identity else "127.0.0.1"  # it is always asked for
        place = with_port(url, server, port).replace("@127.0.0.1:", f"@{host}:")
        return f"{place.replace('redis:', 'rediss:')}?{options}"

    return asking


def encrypted(server):
    """Return how many connections are. Redis has a port that takes no others."""
    if server.name == "Redis":
        return 0
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(ENCRYPTED[server.name])
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(
    "asked",
    [{}, {"by": "ours", "host": "localhost"}, {"by": "ours", "identity": True}],
    ids=["encrypted", "verified", "identity"],
)
def test_used(connect, server, asking, asked):
    """TLS is used, with a server of our authority; and only one of this name, if asked for."""
    before = encrypted(server)

    backend = connect(asking(**asked))
    backend.write(record(), replaces=None)

    assert record() == backend.read(ID)
    assert server.name == "Redis" or encrypted(server) > before


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "theirs"}, "?ssl_ca_certs="),
        ({"by": "ours", "identity": True, "host": "localhost"}, "Name its host"),
    ],
    ids=["authority", "identity"],
)
def test_not_trusted(connect, server, asking, asked, said):
    """A server whose certificate another authority signed, or for another host, is not."""
    text = refused(lambda: connect(asking(**asked)))

    for each in [said] if server.name == "Redis" else ["No safe connection", "options for TLS"]:
        assert each in text


def test_never_dropped(connect, server, asking):
    """A server without TLS is not talked to in clear where TLS was asked for."""
    if server.name == "Redis":
        assert "TLS" in refused(lambda: connect(f"{asking(port=server.port)}&socket_timeout=1"))
        return
    before = server.options
    restarted(server, ["--skip-ssl"] if server.name == "MariaDB" else [])
    try:
        assert "No safe connection" in refused(lambda: connect(asking("ours")))
    finally:
        restarted(server, before)
