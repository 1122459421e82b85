"""Where a provider listens: the few URLs that tokens may be sent to."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from functools import lru_cache

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from tokenkeep.errors import ConfigurationError

PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[!-\[\]-~]+")  # visible, and no backslash, which some take for a slash


def parse(url: object) -> Url:
    """Take apart a URL of https, or http to loopback; `ConfigurationError` for all else."""
    text = url if isinstance(url, str) else ""
    found = _read(text) if _PLAIN.fullmatch(text) else None
    if found is None or found.scheme not in PORTS or found.auth or "#" in text:
        # Not shown where a password or a token may be in it.
        shown = repr(url) if isinstance(url, str) else "What is no text"
        if set("@?#") & set(text):
            shown = "A URL with '@', '?' or '#' in it"
        raise ConfigurationError(
            f"{shown} is not a URL tokens can be sent to",
            hint="Write https://host[:port]/path, without user name or fragment",
        )
    if found.scheme == "http" and not _is_loopback(str(found.host)):
        raise ConfigurationError(
            f"Plain http to {found.host} would show tokens to the network",
            hint="Use https; plain http is for 127.0.0.1, ::1 and localhost",
        )
    return found


def is_sendable(url: object) -> bool:
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
    text = url.strip()
    found = _read(text if "://" in text else f"https://{text}")
    if found is None or found.scheme not in PORTS:
        return text.lower()
    return f"{str(found.host).rstrip('.')}:{found.port or PORTS[found.scheme]}"


def _read(url: str) -> Url | None:
    with suppress(LocationParseError):
        found = parse_url(url)
        return found if found.host else None
    return None


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host == "localhost"
