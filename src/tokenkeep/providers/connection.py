"""A connection to a provider: TLS verified, through the environment's proxy, not yet open."""

from __future__ import annotations

import base64
import os
import ssl
from contextlib import nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import Url, parse_url

from tokenkeep.errors import ConfigurationError
from tokenkeep.providers.address import PORTS

if TYPE_CHECKING:
    from collections.abc import Sequence

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def connection_to(address: Url, timeout: float) -> HTTPConnection:
    """
    Return a connection that is still to be opened.

    *timeout*, in seconds, is for each of its addresses, and for TLS.

    `ConfigurationError` where a proxy or CA bundle of the environment is no use.
    """
    host, port = str(address.host), address.port or PORTS[str(address.scheme)]
    if address.scheme == "http":
        # Loopback, see parse(). Through a proxy it would not be.
        return HTTPConnection(host, port, timeout=timeout)
    tls = _tls(*map(os.environ.get, _CA_VARIABLES))
    proxy = _proxy(host, port)
    if proxy is None:
        return HTTPSConnection(host, port, timeout=timeout, ssl_context=tls)
    connection = HTTPSConnection(
        str(proxy.host), proxy.port or PORTS["http"], timeout=timeout, ssl_context=tls, proxy=proxy
    )
    headers = {"Proxy-Authorization": basic(unquote(proxy.auth))} if proxy.auth else None
    connection.set_tunnel(host, port, headers)
    return connection


def connection_at(address: Url, places: Sequence[str], timeout: float) -> HTTPConnection:
    """Return a connection to no other of a host's addresses than these; through no proxy."""
    host, port = str(address.host), address.port or PORTS[str(address.scheme)]
    if address.scheme == "http":
        return _At(places, port, timeout=timeout)
    tls = _tls(*map(os.environ.get, _CA_VARIABLES))
    name = host.strip("[]")
    return _AtVerified(places, port, timeout=timeout, ssl_context=tls, server_hostname=name)


class _At(HTTPConnection):
    """A connection to one address after the other, until one can be reached."""

    def __init__(self, places: Sequence[str], *given: Any, **more: Any) -> None:
        super().__init__(places[0], *given, **more)
        self._places = places

    def connect(self) -> None:
        for each in self._places:
            self.host = each
            with nullcontext() if each == self._places[-1] else suppress(HTTPError, OSError):
                super().connect()
                return


class _AtVerified(_At, HTTPSConnection):
    pass


def basic(pair: str) -> str:
    """Return the header value for a user name and password joined by a colon (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode(errors='surrogatepass')).decode()}"


def _proxy(host: str, port: int) -> Url | None:
    """Return the proxy of the environment, chosen as requests would. None if there is none."""
    known = getproxies()
    given = known.get("https") or known.get("all")
    if not given or proxy_bypass(f"{host}:{port}"):
        return None
    with suppress(LocationParseError):
        proxy = parse_url(given if "://" in given else f"http://{given}")
        if proxy.scheme == "http" and proxy.host:
            return proxy
    # Not shown: there may be a password in it.
    raise ConfigurationError(
        f"The proxy set for {host} is not one tokenkeep can use",
        hint="HTTPS_PROXY takes http://host:port",
    )


@cache
def _tls(*authorities: str | None) -> ssl.SSLContext:
    """Return what verifies, by what `_CA_VARIABLES` name, else by the system's authorities."""
    bundle = authorities[0] or authorities[1]
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as exc:
        raise ConfigurationError(
            f"The CA certificates in {bundle} can't be loaded: {exc.strerror or exc}",
            hint="Check the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names",
        ) from exc
