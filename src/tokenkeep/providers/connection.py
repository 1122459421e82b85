"""A connection to a provider: TLS verified, through the environment's proxy, not yet open."""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenkeep.providers.address import Address


def connection_to(address: Address, timeout: float) -> HTTPConnection:
    """
    Return a connection that is still to be opened; *timeout*, in seconds, bounds each step of it.

    Raises:
        ConfigurationError: A proxy or CA bundle of the environment can't be used.
    """
    if address.scheme == "http":
        # Loopback, see parse(). Through a proxy it would not be.
        return HTTPConnection(address.host, address.port, timeout=timeout)
    context = _tls(os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"))
    proxy = _proxy(address)
    if proxy is None:
        return HTTPSConnection(address.host, address.port, timeout=timeout, ssl_context=context)
    connection = HTTPSConnection(
        str(proxy.host),
        proxy.port or (443 if proxy.scheme == "https" else 80),
        timeout=timeout,
        ssl_context=context,
        proxy=proxy,
        proxy_config=ProxyConfig(
            context, use_forwarding_for_https=False, assert_hostname=None, assert_fingerprint=None
        ),
    )
    connection.set_tunnel(
        address.host,
        address.port,
        headers={"Proxy-Authorization": basic(unquote(proxy.auth))} if proxy.auth else None,
        scheme=str(proxy.scheme),
    )
    return connection


def basic(pair: str) -> str:
    """Return the header value for a user name and password joined by a colon (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _proxy(address: Address) -> Url | None:
    """Return the proxy of the environment, chosen as requests would. None if there is none."""
    proxies = getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or proxy_bypass(address.netloc) or proxy_bypass(address.host):
        return None
    with contextlib.suppress(LocationParseError):
        proxy = parse_url(url if "://" in url else f"http://{url}")
        if proxy.scheme in {"http", "https"} and proxy.host:
            return proxy
    # Not shown: there may be a password in it.
    raise ConfigurationError(
        f"The proxy set for {address.host} is not one tokenkeep can use",
        hint="HTTPS_PROXY takes http://host:port or https://host:port",
    )


@cache
def _tls(bundle: str | None) -> ssl.SSLContext:
    """
    Return the one TLS configuration: certificate and host name are verified.

    *bundle* is a file or folder of CA certificates. None means the system's (``SSL_CERT_FILE``
    and ``SSL_CERT_DIR`` included), or certifi's where the system has none.
    """
    try:
        if bundle and Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        if bundle:
            return ssl.create_default_context(cafile=bundle)
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
