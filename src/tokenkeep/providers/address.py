"""Where a provider listens: the few URLs that tokens may be sent to."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from tokenkeep.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}
_HOST = r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
_FLAGS = re.IGNORECASE | re.ASCII
# No user name, no fragment, nothing but visible ASCII. A grammar this narrow
# leaves no room for two readers to see two different hosts in one URL.
_URL = re.compile(rf"(?P<scheme>https?)://{_HOST}(?P<target>[/?][!\"$-~]*)?", _FLAGS)
_BARE = re.compile(rf"(?:(?P<scheme>https?)://)?(?:[^/?#@\\]*@)?{_HOST}(?:[/?#].*)?", _FLAGS)
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, its host in lower case without brackets and last dot; *target* is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """Host and port; an IPv6 address in brackets."""
        return _netloc(self.host, self.port)

    @property
    def shown(self) -> str:
        """The host, for people; and the port if it is not the scheme's own."""
        return self.host if self.port == _PORTS[self.scheme] else self.netloc


def parse(url: str) -> Address:
    """Take apart a URL of https, or http to loopback; `ConfigurationError` for all others."""
    match = _URL.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 1) <= _LAST_PORT:
        # Not shown where a password or a token may be in it.
        shown = "A URL with '@', '?' or '#' in it" if set("@?#") & set(url) else repr(url)
        raise ConfigurationError(
            f"{shown} is not a URL tokens can be sent to",
            hint="Write https://host[:port]/path, without user name or fragment",
        )
    scheme, port = match["scheme"].lower(), match["port"]
    target = f"/{(match['target'] or '').removeprefix('/')}"
    address = Address(scheme, _plain(match["host"]), int(port or _PORTS[scheme]), target)
    if scheme == "http" and not _is_loopback(address.host):
        raise ConfigurationError(
            f"Plain http to {address.host} would show tokens to the network",
            hint="Use https; plain http is for 127.0.0.1, ::1 and localhost",
        )
    return address


def is_sendable(url: str) -> bool:
    """Whether `parse` takes *url*."""
    try:
        parse(url)
    except ConfigurationError:
        return False
    return True


@lru_cache(maxsize=1024)
def host_and_port(url: str) -> str:
    """
    Return the ``host:port`` of a URL or a bare host, for comparing.

    A missing port is the scheme's, and 443 without a scheme. A text that is no URL comes back
    stripped and lower-cased: it is equal to itself and to nothing else.
    """
    match = _BARE.fullmatch(url.strip())
    if match is None:
        return url.strip().lower()
    scheme = (match["scheme"] or "https").lower()
    return _netloc(_plain(match["host"]), int(match["port"] or _PORTS[scheme]))


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _plain(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
