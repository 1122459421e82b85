"""
Keep OAuth tokens: sealed, always valid, renewed once, revoked everywhere.

The public names; each is documented where it lives, and all but errors are loaded
when they are first used: programs that only import tokenkeep don't pay for all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokenkeep import errors
from tokenkeep.errors import *  # noqa: F403  # each is named there
from tokenkeep.version import __version__ as __version__

if TYPE_CHECKING:
    from tokenkeep.audit import acting as acting
    from tokenkeep.config import Settings as Settings
    from tokenkeep.config import open_store as open_store
    from tokenkeep.config import settings as settings
    from tokenkeep.ending import Planned as Planned
    from tokenkeep.events import Event as Event
    from tokenkeep.freshening import Freshened as Freshened
    from tokenkeep.health import Health as Health
    from tokenkeep.health import Trouble as Trouble
    from tokenkeep.keeper import Keeper as Keeper
    from tokenkeep.metrics import Census as Census
    from tokenkeep.policy import Policies as Policies
    from tokenkeep.policy import Policy as Policy
    from tokenkeep.providers import Provider as Provider
    from tokenkeep.providers import Providers as Providers
    from tokenkeep.revoking import Revoked as Revoked
    from tokenkeep.sealing import KeyRing as KeyRing
    from tokenkeep.sealing import generate_key as generate_key
    from tokenkeep.sinks import Notices as Notices
    from tokenkeep.sinks import verify_signature as verify_signature
    from tokenkeep.store import TokenStore as TokenStore
    from tokenkeep.sweeping import Swept as Swept
    from tokenkeep.token import Claim as Claim
    from tokenkeep.token import Failure as Failure
    from tokenkeep.token import Happening as Happening
    from tokenkeep.token import Notice as Notice
    from tokenkeep.token import Renewal as Renewal
    from tokenkeep.token import Status as Status
    from tokenkeep.token import Token as Token
    from tokenkeep.vault import Vault as Vault

_HOMES = {
    "tokenkeep.audit": ("acting",),
    "tokenkeep.config": ("Settings", "open_store", "settings"),
    "tokenkeep.events": ("Event",),
    "tokenkeep.health": ("Health", "Trouble"),
    "tokenkeep.freshening": ("Freshened",),
    "tokenkeep.keeper": ("Keeper",),
    "tokenkeep.metrics": ("Census",),
    "tokenkeep.ending": ("Planned",),
    "tokenkeep.policy": ("Policies", "Policy"),
    "tokenkeep.providers": ("Provider", "Providers"),
    "tokenkeep.revoking": ("Revoked",),
    "tokenkeep.sealing": ("KeyRing", "generate_key"),
    "tokenkeep.sinks": ("Notices", "verify_signature"),
    "tokenkeep.store": ("TokenStore",),
    "tokenkeep.sweeping": ("Swept",),
    "tokenkeep.token": ("Claim", "Failure", "Happening", "Notice", "Renewal", "Status", "Token"),
    "tokenkeep.vault": ("Vault",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME, *errors.__all__])  # noqa: PLE0605  # one list is enough to keep


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
