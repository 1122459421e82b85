"""The providers that tokenkeep knows by name."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers.base import Answer, Place, Profile, Provider

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PROVIDERS", "Answer", "Place", "Profile", "Provider", "provider"]

PROVIDERS = {
    "zoho": "tokenkeep.providers.zoho:Zoho",
    "oauth2": "tokenkeep.providers.oauth2:OAuth2",
}
"""Where each provider is; imported when it is asked for."""

ENTRY_POINTS = "tokenkeep.providers"
"""The entry point group where other packages add theirs."""


def provider(name: str, /, **options: object) -> Provider:
    """
    Make the provider of that name.

    Args:
        name: One of `PROVIDERS`, or of the entry point group
            ``tokenkeep.providers`` of an installed package.
        options: As the provider's class takes them.

    Raises:
        UnknownName: There is none of that name.
        ConfigurationError: It does not take these options.
    """
    make = _load(name)
    try:
        inspect.signature(make).bind(**options)
    except TypeError as exc:
        known = ", ".join(inspect.signature(make).parameters)
        raise ConfigurationError(
            f"Provider {name!r} does not take these options: {exc}", hint=f"It takes {known}"
        ) from None
    return make(**options)


def _load(name: str) -> Callable[..., Provider]:
    if name in PROVIDERS:
        module, _, attribute = PROVIDERS[name].partition(":")
        made_by: Callable[..., Provider] = getattr(import_module(module), attribute)
        return made_by
    from importlib.metadata import entry_points

    outside = entry_points(group=ENTRY_POINTS)
    if name in outside.names:
        loaded: Callable[..., Provider] = outside[name].load()
        return loaded
    raise UnknownName(
        f"There is no provider {name!r}",
        hint=f"Known are {', '.join([*PROVIDERS, *sorted(outside.names)])}",
    )
