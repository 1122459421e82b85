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
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.util import Url, parse_url
from urllib3.util.connection import allowed_gai_family, create_connection

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenkeep.providers.address import Address


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    A client's own certificate (RFC 8705), in PEM files that are read anew at each call.

    Args:
        file: The certificate, and those it is issued by; the key too, if *key* is None.
        key: The private key, without a password.
    """

    file: str
    key: str | None = None

    def load_into(self, context: ssl.SSLContext) -> None:
        """
        Let a TLS configuration show it.

        Raises:
            ConfigurationError: A file is missing, unreadable, none of the kind, or encrypted.
        """
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.file, self.key, password="")
        except (OSError, ValueError) as exc:
            files = self.file if self.key is None else f"{self.file} with the key {self.key}"
            # OpenSSL's own words are for those who read its source.
            why = None if isinstance(exc, ssl.SSLError | ValueError) else exc.strerror
            raise ConfigurationError(
                f"The client certificate {files} can't be used" + (f": {why}" if why else ""),
                hint="It has to be PEM, with the key that belongs to it, which has no password",
            ) from None


class Connection(HTTPConnection):
    """A connection to a host, one of whose addresses may be dead."""

    at_proxy: str | None = None
    """Host and port of a proxy, as long as that is still who is spoken to."""

    def _new_conn(self) -> socket.socket:
        """
        Connect; this is what urllib3 calls to make a socket.

        Each address gets its share of the time, the last one all that is left. Whichever it is,
        what comes after the connection has all that is left by then.
        """
        end = time.monotonic() + float(self.timeout or 0.0)
        host = self.host.strip("[]")
        try:
            found = socket.getaddrinfo(host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as exc:
            raise NameResolutionError(self.host, self, socket.gaierror(str(exc))) from None
        fault: Exception = NewConnectionError(self, "no address")
        for left, (*_, address) in zip(range(len(found), 0, -1), found, strict=True):
            where = str(address[0]), int(address[1])
            share = (end - time.monotonic()) / left
            if share <= 0:
                raise ConnectTimeoutError
            try:
                sock = create_connection(where, share, socket_options=self.socket_options)
            except TimeoutError:
                fault = ConnectTimeoutError()
            except OSError:
                fault = NewConnectionError(self, "no connection")
            else:
                sock.settimeout(max(end - time.monotonic(), 0.001))
                return sock
        raise fault


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

    Raises:
        ConfigurationError: A proxy or CA bundle of the environment, or *certificate*, can't be
            used.
    """
    if address.scheme == "http":
        # Loopback, see parse(). Through a proxy it would not be.
        return Connection(address.host, address.port, timeout=timeout)
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    context = _tls(bundle)
    if certificate is not None:
        # Of its own: nobody else is shown this certificate, not even the proxy.
        context = _new_tls(bundle)
        certificate.load_into(context)
    proxy = _proxy(address)
    if proxy is None:
        return SecureConnection(address.host, address.port, timeout=timeout, ssl_context=context)
    port = proxy.port or (443 if proxy.scheme == "https" else 80)
    connection = SecureConnection(
        str(proxy.host),
        port,
        timeout=timeout,
        ssl_context=context,
        proxy=proxy,
        proxy_config=ProxyConfig(
            _tls(bundle),
            use_forwarding_for_https=False,
            assert_hostname=None,
            assert_fingerprint=None,
        ),
    )
    connection.at_proxy = f"{proxy.host}:{port}"
    connection.set_tunnel(
        address.host,
        address.port,
        headers={"Proxy-Authorization": basic(unquote(proxy.auth))} if proxy.auth else None,
        scheme=str(proxy.scheme),
    )
    return connection


def basic(pair: str) -> str:
    """Return the header value for a user name and password joined by a colon (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode(errors='surrogatepass')).decode()}"


def _proxy(address: Address) -> Url | None:
    """Return the proxy of the environment, chosen as requests would. None if there is none."""
    proxies = getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or proxy_bypass(address.netloc) or proxy_bypass(address.host):
        return None
    proxy = _usable(url)
    if proxy is None:
        # Not shown, nor in this frame's locals: there may be a password in it.
        del proxies, url
        raise ConfigurationError(
            f"The proxy set for {address.host} is not one tokenkeep can use",
            hint="HTTPS_PROXY takes http://host:port or https://host:port",
        )
    return proxy


def _usable(url: str) -> Url | None:
    with contextlib.suppress(LocationParseError):
        proxy = parse_url(url if "://" in url else f"http://{url}")
        if proxy.scheme in {"http", "https"} and proxy.host:
            return proxy
    return None


@cache
def _tls(bundle: str | None) -> ssl.SSLContext:
    """Return `_new_tls` of a bundle, made once."""
    return _new_tls(bundle)


def _new_tls(bundle: str | None) -> ssl.SSLContext:
    """
    Return a TLS configuration: certificate and host name are verified.

    *bundle* is a file or folder of CA certificates. None means the system's (``SSL_CERT_FILE``
    and ``SSL_CERT_DIR`` included), or certifi's where the system has none.
    """
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
