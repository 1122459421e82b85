"""Where libpq, below psycopg and psycopg2, connects to; and that it tells no password in clear."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.exposure import is_here
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEW = 160000
"""The libpq that can be told how a server may ask for the password."""

_PORT = re.compile(r"([^:\[\]]+):\d*")
"""A host with a port, as SQLAlchemy takes it in a list of several; no address of IPv6."""

_IN_CLEAR = "password"
_NOT_IN_CLEAR = "!password"


def setting(name: str, given: Mapping[str, Any]) -> str | None:
    """
    Return what libpq goes by. None if nothing is said, or only in a service file.

    Args:
        name: Of its parameter.
        given: Those of the URL and the arguments.
    """
    value = given.get(name) or os.environ.get(f"PG{name.replace('_', '').upper()}")
    return None if value is None else str(value)


def hosts(given: Mapping[str, Any]) -> list[str]:
    """Return where libpq connects to: names, addresses and folders of Unix sockets."""
    found = setting("hostaddr", given) or setting("host", given)
    if found is None and setting("service", given):
        return ["a place that a service file names"]
    places = [each.strip() or "/" for each in (found or "").split(",")]  # by default a Unix socket
    return [match[1] if (match := _PORT.fullmatch(each)) else each for each in places]


def is_verified(given: Mapping[str, Any]) -> bool:
    """Tell whether libpq connects only to a server that TLS has verified."""
    # With the system's authorities libpq accepts no other mode than verify-full.
    return (
        setting("sslmode", given) in {"verify-ca", "verify-full"}
        or setting("sslrootcert", given) == "system"
    )


def require_auth(given: Mapping[str, Any], version: int) -> dict[str, str]:
    """
    Return the parameter by which the password is not sent in clear, if it has to be given.

    Where TLS verifies the server or all is on Unix sockets, libpq does as it
    is told. On this machine ``require_auth=password`` is still a choice.

    Args:
        given: The parameters of the URL and the arguments.
        version: Of libpq, as it counts.

    Raises:
        ConfigurationError: The password would go to another machine in clear.
    """
    where = hosts(given)
    if is_verified(given) or all(each.startswith(("/", "@")) for each in where):
        return {}
    near = all(map(is_here, where))
    asked = setting("require_auth", given) or ""
    methods = [each.strip() for each in asked.split(",") if each.strip()]
    is_chosen = _IN_CLEAR in methods
    if is_chosen and not near:
        raise ConfigurationError(
            "By require_auth the password may go to another machine in clear",
            hint="Let TLS verify the server: sslmode=verify-full&sslrootcert=/path/ca.pem",
        )
    lists_others = bool(methods) and not methods[0].startswith("!")
    if is_chosen or lists_others or _NOT_IN_CLEAR in methods:
        return {}
    if version >= _NEW:
        return {"require_auth": ",".join([*methods, _NOT_IN_CLEAR])}
    if near:
        return {}
    raise ConfigurationError(
        f"This libpq ({version // 10000}) can't be kept from sending the password in clear",
        hint="Let TLS verify the server: sslmode=verify-full&sslrootcert=/path/ca.pem; "
        "or take libpq 16, as in psycopg[binary]",
    )
