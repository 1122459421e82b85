"""Who is spoken to: certificates, proxies, and no plain text on the network."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading

import pytest
from provider_server import SECRETS, assert_error_is_clean, drip, response

from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.http import Form, send

NAME = "accounts.zoho.test"


def post(url, timeout=20):
    return send("POST", url, Form(**SECRETS), timeout)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    names = "https_proxy", "http_proxy", "all_proxy", "no_proxy"
    bundles = "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"
    for name in (*names, *map(str.upper, names), *bundles):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wrap(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", NAME, "127.0.0.1"))
    return lambda connection: context.wrap_socket(connection, server_side=True)


@pytest.fixture
def trusted(authority, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.pem))


def tunnel_to(target):
    """Return what a proxy plays that tunnels every host to one server, as `CONNECT` asks."""

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def play(connection, _request):
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", target.port)) as upstream:
            back = threading.Thread(target=pump, args=(upstream, connection), daemon=True)
            back.start()
            pump(connection, upstream)
            back.join(30)

    return play


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_trusted(serve, wrap, authority, monkeypatch, variable):
    """A certificate of an authority from the environment is accepted."""
    monkeypatch.setenv(variable, str(authority.pem))
    server = serve(response(b"{}"), wrap=wrap)

    assert post(f"https://{server.netloc}/").body == b"{}"


@pytest.mark.parametrize(
    ("host", "bundle", "kind", "said"),
    [
        ("127.0.0.1", None, ProviderUnavailable, "certificate that can't be verified"),
        ("localhost", "ours", ProviderUnavailable, "certificate that can't be verified"),
        ("no TLS", "ours", ProviderUnavailable, "TLS failed"),
        ("127.0.0.1", "/gone.pem", ConfigurationError, r"gone\.pem"),
    ],
)
def test_not_trusted(*, serve, wrap, authority, monkeypatch, host, bundle, kind, said):
    """What nobody vouches for, or is another host's, is refused before anything is sent."""
    wrap, read = (None, False) if host == "no TLS" else (wrap, True)
    server = serve(response(b"{}"), wrap=wrap, read=read)
    if bundle:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle.replace("ours", str(authority.pem)))

    with pytest.raises(kind, match=said) as caught:
        post(f"https://{host.replace('no TLS', '127.0.0.1')}:{server.port}/")

    assert_error_is_clean(caught.value)
    assert [] == [request for request in server.requests if request]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.usefixtures("trusted")
def test_proxy(*, serve, wrap, monkeypatch, variable):
    """A proxy from the environment gets a tunnel and its password, and sees no secret."""
    server = serve(response(b"{}"), wrap=wrap)
    proxy = serve(tunnel_to(server))
    monkeypatch.setenv(variable, f"http://user:pa%20ss@127.0.0.1:{proxy.port}")

    assert post(f"https://{NAME}/oauth/v2/token").body == b"{}"
    assert proxy.requests[0].startswith(f"CONNECT {NAME}:443 HTTP/1.".encode())
    assert base64.b64encode(b"user:pa ss") in proxy.requests[0]
    assert b"POST /oauth/v2/token HTTP/1.1\r\nHost: accounts.zoho.test\r\n" in server.requests[0]
    assert b"Proxy-Authorization" not in server.requests[0]


def test_no_proxy(*, serve, wrap, trusted, monkeypatch):  # noqa: ARG001  # for its CA
    """NO_PROXY is honoured; plain http to loopback never leaves the machine."""
    server, plain, proxy = serve(response(b"{}"), wrap=wrap), serve(response()), serve(response())
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.netloc}")
    post(plain.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    assert b"{}" == post(f"https://{server.netloc}/").body
    assert (1, 0) == (plain.connections, proxy.connections)


@pytest.mark.parametrize(
    "url",
    ["socks5://user:pa55word@127.0.0.1:9", "https://127.0.0.1:9", "http://a:pa55word:c@[x"],
)
def test_unusable_proxy(monkeypatch, url):
    """A proxy of another kind is a fault of the configuration; its password is not shown."""
    monkeypatch.setenv("HTTPS_PROXY", url)

    with pytest.raises(ConfigurationError, match="proxy") as caught:
        post(f"https://{NAME}/")

    assert_error_is_clean(caught.value, "pa55word")


REFUSALS = {
    b"HTTP/1.1 407 s3cret\r\n\r\n": r"can't be reached: the proxy refuses \(status 407\)",
    b"": "closed the connection without an answer",
    b"SSH-2.0-OpenSSH_9.2\r\n": "answered something that is not HTTP",
    "127.0.0.1:9": "can't be reached: no connection",
    "a..b:3128": "can't be found: its name does not resolve",
    "slow": "did not answer within",
    "dripping": "did not answer within",
}


@pytest.mark.parametrize("what", REFUSALS)
def test_proxy_at_fault(serve, monkeypatch, what):
    """A proxy that refuses, is slow or is not there is named, not its password or its words."""
    plays = {
        "slow": lambda connection, _: connection.recv(1),
        "dripping": lambda connection, _: drip(connection, b"HTTP/1.1 200 OK\r\nX: " + 400 * b"a"),
    }
    play = what if isinstance(what, bytes) else plays.get(what)
    server = serve(play) if play is not None else None
    named = server.netloc if server else what
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pa55word@{named}")

    with pytest.raises(ProviderUnavailable, match=REFUSALS[what]) as caught:
        post(f"https://{NAME}/", timeout=0.5 if what in plays else 20)

    assert f"{NAME}, through the proxy {named}, " in str(caught.value)
    assert_error_is_clean(caught.value, "pa55word", "s3cret")
    if what in plays:
        server.expect_left(10)


@pytest.mark.parametrize(
    "url",
    [
        "http://accounts.zoho.com/oauth/v2/token",
        "http://127.1/",
        "http://[::2]/",
        "http://127.0.0.1:80@example.com/",
        "https://user:pa55word@accounts.zoho.com/",
        "https://accounts.zoho.com\\@example.com/",
        "https://accounts.zoho.com#@example.com/",
        "https://accounts.zoho.com:99999/",
        "https://accounts.zoho.com/\r\nX-Evil: 1",
        "https://accoünts.zoho.com/",
        "https:///oauth/v2/token",
        "file://localhost/etc/passwd",
    ],
)
def test_where_nothing_is_sent(monkeypatch, url):
    """Plain http off this machine, and URLs two readers could understand in two ways."""

    def connect(*_args, **_kwargs):
        pytest.fail("a connection was made")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)

    with pytest.raises(ConfigurationError) as caught:
        post(url)

    assert "pa55word" not in str(caught.value)
