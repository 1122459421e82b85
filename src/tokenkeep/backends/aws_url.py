"""The URL of a store at AWS: ``scheme://region/name?options``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tokenkeep.backends.urls import StoreURL, refuse_blank
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECTION: Mapping[str, type] = {
    "endpoint_url": str,
    "profile": str,
    "connect_timeout": float,
    "read_timeout": float,
    "timeout": float,
    "max_attempts": int,
}


def parse(url: str, own: Mapping[str, type]) -> tuple[str, dict[str, Any]]:
    """
    Take a URL apart.

    Args:
        url: ``scheme://region/name``; without the region it is boto3's own.
        own: The type of each option that only this kind of store has.

    Returns:
        The name, empty if there is none, and the options, region included.

    Raises:
        ConfigurationError: It is not of this form, or an option is wrong.
    """
    parsed = StoreURL.parse(url)
    if not parsed.rest.startswith("//"):
        raise ConfigurationError(
            f"The {parsed.scheme} URL needs two slashes before its region",
            hint=f"Write {parsed.scheme}://eu-central-1/name",
        )
    region, _, name = parsed.rest.removeprefix("//").partition("/")
    if "@" in region or ":" in region:
        raise ConfigurationError(
            f"The {parsed.scheme} URL has no user, password or port",
            hint="The credentials are found as boto3 finds them; "
            "another address goes into the option endpoint_url",
        )
    for option, value in parsed.query:
        if option in _CONNECTION:
            refuse_blank(option, value)
    flags = {option for option, kind in own.items() if kind is bool}
    found = parsed.options(
        {**_CONNECTION, **{option: str if option in flags else own[option] for option in own}}
    )
    for option in flags & found.keys():
        if found[option] not in ("true", "false"):
            raise ConfigurationError(f"The option {option!r} is true or false")
        found[option] = found[option] == "true"
    return unquote(name), {**found, "region": region or None}
