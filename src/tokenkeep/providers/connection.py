"""A connection to a provider: TLS verified, through the environment's proxy, not yet open."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url
from urllib3.util.connection import allowed_gai_family, create_connection

from tokenkeep.errors import ConfigurationError
from tokenkeep.providers.checks import Hidden

if TYPE_CHECKING:
    from tokenkeep.providers.address import Address

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's own certificate (RFC 8705) in PEM files: *file* has the key if *key* is None."""

    file: str | os.PathLike[str]
    key: str | os.PathLike[str] | None = None

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let a TLS configuration show it, or raise `ConfigurationError`."""
        # Path's own fails where there is no home.
        file = os.path.expanduser(self.file)  # noqa: PTH111
        key = None if self.key is None else os.path.expanduser(self.key)  # noqa: PTH111
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(file, key, password="")
        except (OSError, ValueError) as exc:
            # OpenSSL's own words are for those who read its source.
            why = "" if isinstance(exc, ssl.SSLError | ValueError) else f": {exc.strerror}"
            files = " with the key ".join(str(each) for each in (file, key) if each)
            raise ConfigurationError(
                f"The client certificate {files} can't be used{why}",
                hint="It has to be PEM, with the key that belongs to it, which has no password",
            ) from None


class Unreached(OSError):
    """There is no connection; the text says why, in words of our own."""


class Connection(HTTPConnection):
    """A connection to a host, one of whose addresses may be dead."""

    at_proxy: str | None = None
    """Host and port of a proxy, as long as that is still who is spoken to."""

    def _new_conn(self) -> socket.socket:
        # What urllib3 calls to make a socket. Each address gets its share of the time, the last
        # one, as what comes after the connection, all that is left.
        end = time.monotonic() + float(self.timeout or 0.0)
        host = self.host.strip("[]")
        try:
            found = socket.getaddrinfo(host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise Unreached("can't be found: its name does not resolve") from None
        why = "no connection in time"
        for left, (*_, address) in zip(range(len(found), 0, -1), found, strict=True):
            share = (end - time.monotonic()) / left
            if share <= 0:
                break
            try:
                where = str(address[0]), int(address[1])
                sock = create_connection(where, share, socket_options=self.socket_options)
            except OSError as exc:
                why = f"no connection{' in time' if isinstance(exc, TimeoutError) else ''}"
            else:
                sock.settimeout(max(end - time.monotonic(), 0.001))
                return sock
        raise Unreached(f"can't be reached: {why}")


class SecureConnection(Connection, HTTPSConnection):
    """A `Connection` with TLS, straight or through a proxy's tunnel."""

    def _tunnel(self) -> None:
        super()._tunnel()
        self.at_proxy: str | None = None


def connection_to(
    address: Address, timeout: float, certificate: Certificate | None = None
) -> Connection:
    """
    Return a connection that is still to be opened; *timeout*, in seconds, bounds each step of it.

    `ConfigurationError` where a proxy or CA bundle of the environment or *certificate* is no use.
    """
    if address.scheme == "http":
        # Loopback, see parse(). Through a proxy it would not be.
        return Connection(address.host, address.port, timeout=timeout)
    authorities = tuple(map(os.environ.get, _CA_VARIABLES))
    context = _tls(*authorities)
    if certificate is not None:
        # Of its own: nobody else is shown this certificate, not even the proxy.
        context = _tls.__wrapped__(*authorities)
        certificate.load_into(context)
    proxy = _proxy(address)
    if proxy is None:
        return SecureConnection(address.host, address.port, timeout=timeout, ssl_context=context)
    host, port = str(proxy.host), proxy.port or _PORTS[str(proxy.scheme)]
    own = ProxyConfig(_tls(*authorities), False, None, None)  # noqa: FBT003 - no forwarding
    connection = SecureConnection(
        host, port, timeout=timeout, ssl_context=context, proxy=proxy, proxy_config=own
    )
    connection.at_proxy = f"{host}:{port}"
    headers = {"Proxy-Authorization": basic(unquote(proxy.auth))} if proxy.auth else None
    connection.set_tunnel(address.host, address.port, headers, str(proxy.scheme))
    return connection


def basic(pair: str) -> str:
    """Return the header value for a user name and password joined by a colon (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode(errors='surrogatepass')).decode()}"


def _proxy(address: Address) -> Url | None:
    """Return the proxy of the environment, chosen as requests would. None if there is none."""
    given = Hidden(getproxies())
    name = "https" if given.get("https") else "all"
    if not given.get(name) or proxy_bypass(address.netloc) or proxy_bypass(address.host):
        return None
    with contextlib.suppress(LocationParseError):
        proxy = parse_url(given[name] if "://" in given[name] else f"http://{given[name]}")
        if proxy.scheme in _PORTS and proxy.host:
            return proxy
        del proxy
    # Not shown, nor in this frame's locals: there may be a password in it.
    raise ConfigurationError(
        f"The proxy set for {address.host} is not one tokenkeep can use",
        hint="HTTPS_PROXY takes http://host:port or https://host:port",
    )


@cache
def _tls(*authorities: str | None) -> ssl.SSLContext:
    """Return what verifies, by what `_CA_VARIABLES` name, else the system's or certifi's."""
    bundle = authorities[0] or authorities[1]
    try:
        if bundle:
            folder = bundle if Path(bundle).is_dir() else None
            return ssl.create_default_context(capath=folder, cafile=None if folder else bundle)
        context = ssl.create_default_context()
        paths = ssl.get_default_verify_paths()
        if not (paths.cafile or paths.capath or context.cert_store_stats()["x509_ca"]):
            with contextlib.suppress(ImportError):
                import certifi

                context.load_verify_locations(certifi.where())
    except OSError as exc:
        raise ConfigurationError(
            f"The CA certificates in {bundle or 'the system store'} can't be loaded: {exc}",
            hint="Check REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and SSL_CERT_FILE",
        ) from exc
    return context
