"""The URL of a Redis server: ours taken out, the rest for the driver as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, unquote_plus

from tokenkeep.backends.exposure import exposure
from tokenkeep.backends.urls import StoreURL, refuse_blank
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ssl import TLSVersion
    from typing import Any, Self

    from tokenkeep.backends.base import Risk

_DRIVER = (
    *("client_name", "db", "health_check_interval", "max_connections", "protocol"),
    *("socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_timeout"),
)
"""
The driver's options that make sense in a URL, without those for TLS. Not its
retries: a write is never sent twice.
"""

_MINIMUM = "ssl_min_version"
"""A number, as in the first bytes of a handshake: 771 is TLS 1.2, 772 is TLS 1.3."""

_OBJECTS = ("ssl_ocsp_context", "ssl_validate_ocsp", "ssl_validate_ocsp_stapled")
"""TLS options that the driver does not read from a URL, but ignores."""

_HOST_CHECK = "ssl_check_hostname"
_TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
"""What the driver takes for false, and what people write for true; it takes all else for that."""

_VERIFY = (
    "Write rediss://, without ssl_cert_reqs=none; "
    "with ?ssl_ca_certs=/path/ca.pem if its authority is not one of the system's"
)

_HOW = "Write redis://:password@host:6379/0, with ? # / @ and % in the password as %3F and so on"


@dataclass(frozen=True, slots=True)
class RedisURL:
    """
    Where a server is.

    Args:
        driver: The URL for redis-py, with the password.
        plain: The URL as it was given, without ours.
        place: Host, port and database, or socket and database; for people.
        secure: Whether it is spoken to by TLS.
        exposure: The risk that somebody poses as the server, if there is one.
        options: Ours.
        arguments: Options that the driver wants as objects.
    """

    driver: str = field(repr=False)
    plain: str = field(repr=False)
    place: str
    secure: bool
    exposure: list[Risk]
    options: dict[str, Any]
    arguments: dict[str, Any]

    @classmethod
    def parse(cls, url: str, own: dict[str, type]) -> Self:
        """
        Take ours out of a URL.

        Args:
            url: ``redis://[[user]:password@]host[:port][/db][?options]``, or
                ``rediss://`` for TLS. A host that is a path, percent-encoded,
                is a Unix socket.
            own: The type of each option of ours.

        Raises:
            ConfigurationError: It can't be meant so.
        """
        address = re.split("[/?#]", url.partition("//")[2], maxsplit=1)[0]
        if url.count("@") > 1 or ("@" in url and "@" not in address):
            # Its password may have ended the address, and be taken for a host or an option.
            raise ConfigurationError(
                "The Redis URL can't be read", hint=f"{_HOW}; an @ anywhere else is written %40"
            )
        parsed = StoreURL.parse(url)
        if not parsed.rest.startswith("//") or "#" in url:
            raise ConfigurationError(f"The {parsed.scheme} URL can't be read", hint=_HOW)
        address, _, path = parsed.rest[2:].partition("/")
        given = dict(parsed.query)
        secure = parsed.scheme == "rediss"
        tls = [name for name in given if name.startswith("ssl_")]
        for name, value in given.items():
            if name in tls and not secure:
                raise ConfigurationError(f"The option {name!r} needs a rediss:// URL")
            refuse_blank(name, value)
            if name in _OBJECTS:  # the driver would go on without a word
                raise _not_to_follow(name)
            if name == _HOST_CHECK and value.lower() not in _TRUTHS:
                raise ConfigurationError(f"The option {name!r} is true or false")
        found = parsed.options({**dict.fromkeys((*_DRIVER, *tls), str), **own})
        database = _database(given.get("db", path))
        user, at, host = address.rpartition("@")
        arguments: dict[str, Any] = {}
        if _MINIMUM in given:
            arguments[_MINIMUM] = _version(given[_MINIMUM])
        if secure:
            # Each version of redis-py has its own default. What the URL says goes before it.
            arguments[_HOST_CHECK] = given.get("ssl_cert_reqs") != "none"
        query = _without(url, (*own, _MINIMUM))
        if unquote(host).startswith("/") and not secure:
            name = unquote(host)
            driver = f"unix://{user}{at}{quote(name)}?{_without(url, (*own, 'db'))}&db={database}"
        else:
            name = _host_and_port(host)
            driver = f"{parsed.scheme}://{user}{at}{host}/{database}?{query}"
        host_only = name if name.startswith("/") else name.rpartition(":")[0]
        risks = exposure([host_only], verified=secure and _is_verified(given), hint=_VERIFY)
        plain = f"{parsed.scheme}:{parsed.rest}?{_without(url, own)}"
        options = {each: value for each, value in found.items() if each in own}
        return cls(driver, plain, f"{name}/{database}", secure, risks, options, arguments)


def _is_verified(given: dict[str, str]) -> bool:
    """Tell whether a certificate is looked at, and not anybody's of a public authority will do."""
    checks_host = _TRUTHS[given.get(_HOST_CHECK, "true").lower()]
    has_authority = any(name.startswith("ssl_ca_") for name in given)
    return given.get("ssl_cert_reqs") != "none" and (checks_host or has_authority)


def _version(text: str) -> TLSVersion:
    from ssl import TLSVersion

    found = next((each for each in TLSVersion if str(each.value) == text), None)
    if found is None:
        raise _not_to_follow(_MINIMUM)
    return found


def _not_to_follow(name: str) -> ConfigurationError:
    return ConfigurationError(f"The option {name!r} can't be followed as it is written")


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError("The database in a Redis URL is a number", hint=_HOW)
    return int(text)


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):  # an IPv6 address without a port
        host, port = text, "6379"
    if not (port.isascii() and port.isdigit()):
        raise ConfigurationError("The port in a Redis URL is a number", hint=_HOW)
    return f"{host.lower() or 'localhost'}:{int(port)}"


def _without(url: str, names: Iterable[str]) -> str:
    """Return a URL's query without some options, and otherwise to the letter."""
    taken = set(names)
    parts = url.partition("?")[2].split("&")
    return "&".join(part for part in parts if unquote_plus(part.partition("=")[0]) not in taken)
