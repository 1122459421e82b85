"""Who may listen on the way to a server, or answer in its place: the one rule for all of them."""

from __future__ import annotations

import ipaddress
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from tokenkeep.backends.base import Risk

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger(__name__)


def is_here(host: str) -> bool:
    """
    Tell whether what is sent to a host stays on this machine. Names are not looked up.

    Args:
        host: A name, an address, or the path of a Unix socket.
    """
    with suppress(ValueError):
        address = ipaddress.ip_address(host.strip("[]"))
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    name = host.lower().rstrip(".")
    return host.startswith(("/", "@")) or name == "localhost" or name.endswith(".localhost")


def exposure(hosts: Iterable[str], *, verified: bool, hint: str) -> list[Risk]:
    """
    Return the risk of a server on the network that need not prove who it is.

    Args:
        hosts: Where it is, or where it may be.
        verified: Whether nothing is said to it before TLS has verified it.
        hint: How TLS is verified with it.

    Returns:
        One risk, or none.
    """
    far = [] if verified else [each for each in hosts if not is_here(each)]
    return [
        Risk(
            f"TLS does not verify the server at {each}: whoever is on the way can answer in its "
            "place, and may learn how to log in",
            hint,
        )
        for each in far[:1]
    ]


def warn(place: str, risks: Iterable[Risk]) -> None:
    """
    Log risks, as a store is opened.

    Args:
        place: Where the records are, for people.
        risks: What `exposure` returned.
    """
    for risk in risks:
        _log.warning("%s: %s. %s", place, risk.text, risk.hint)
