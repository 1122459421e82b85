"""
Keep OAuth tokens: sealed, always valid, renewed once, revoked everywhere.

The public names; each is documented where it lives.
"""

from tokenkeep.config import Settings, open_store, settings
from tokenkeep.errors import (
    AmbiguousLookup,
    ConfigurationError,
    CoolingDown,
    DriverMissing,
    EmptyLookup,
    GrantRejected,
    KeyMissing,
    KeyUnsafe,
    LoginNeeded,
    LookupFailed,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
    RenewalTimeout,
    StoreConflict,
    StoreError,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
    TokenKeepError,
    TokenNotFound,
    TokenRevoked,
    UnknownName,
)
from tokenkeep.events import Event
from tokenkeep.keeper import Keeper
from tokenkeep.sealing import KeyRing, generate_key
from tokenkeep.store import TokenStore
from tokenkeep.sweeping import Swept
from tokenkeep.token import Claim, Failure, Renewal, Status, Token
from tokenkeep.vault import Vault

__all__ = [
    "AmbiguousLookup",
    "Claim",
    "ConfigurationError",
    "CoolingDown",
    "DriverMissing",
    "EmptyLookup",
    "Event",
    "Failure",
    "GrantRejected",
    "Keeper",
    "KeyMissing",
    "KeyRing",
    "KeyUnsafe",
    "LoginNeeded",
    "LookupFailed",
    "ProviderRefused",
    "ProviderUnavailable",
    "Renewal",
    "RenewalError",
    "RenewalTimeout",
    "Settings",
    "Status",
    "StoreConflict",
    "StoreError",
    "StoreForeign",
    "StoreTampered",
    "StoreTooNew",
    "StoreUnavailable",
    "Swept",
    "Token",
    "TokenKeepError",
    "TokenNotFound",
    "TokenRevoked",
    "TokenStore",
    "UnknownName",
    "Vault",
    "generate_key",
    "open_store",
    "settings",
]
