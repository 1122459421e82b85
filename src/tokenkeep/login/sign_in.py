"""A code becomes a stored token that knows its user."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError, ProviderRefused, ProviderUnavailable, letting_go
from tokenkeep.providers.zoho import Zoho, current_user
from tokenkeep.renewal.outcomes import expiry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenkeep.keeper import Keeper
    from tokenkeep.providers import Answer, Providers
    from tokenkeep.providers.zoho_data_centers import DataCenter
    from tokenkeep.token import Token

PROVIDER = "zoho"

DEFAULT_SCOPES = ("ZohoCRM.modules.ALL", "ZohoCRM.settings.ALL")
"""What is asked for if nobody says: what the official SDK needs to read and write records."""

_NOT_ALLOWED_TO_ASK = ("OAUTH_SCOPE_MISMATCH", "NO_PERMISSION")
"""With these the token is good, but may not ask whose it is."""


def zoho_of(providers: Providers) -> Zoho:
    """Return the configured Zoho, which knows the data centres; else `ConfigurationError`."""
    provider = providers.named(PROVIDER)
    if not isinstance(provider, Zoho):
        raise ConfigurationError(f"The provider {PROVIDER!r} of the configuration is not Zoho's")
    return provider


def sign_in(
    keeper: Keeper,
    asked: Token,
    note: Callable[[str], None],
    proof: Mapping[str, str] | None = None,
) -> Token:
    """
    Exchange a code, ask whose token it is, and store that.

    Stored whole or not at all: what can't be stored is revoked again.

    Args:
        keeper: Where it goes.
        asked: The code, and what it was asked for with: client, redirect URI, data centre, scope.
            Without a user the provider is asked whose it is; without an environment it is of the
            one that was consented to, where the provider says, else of production.
        note: Called with what the person should know besides.
        proof: The ``code_verifier`` of PKCE (RFC 7636), hidden in a table. None for a self
            client's code.

    Raises:
        GrantRejected: The provider rejects the code.
        RenewalError: The provider refuses, or can't be reached.
        StoreError: The token can't be stored.
    """
    provider = zoho_of(keeper.providers)
    center = provider.table.by_name(str(asked.data_center))
    asked = asked.but(provider=PROVIDER, issuer=center.token_endpoint)
    sent_at = time.time()
    answer = provider.exchange(asked, **(proof or {}))
    fresh = asked.but(
        access_token=answer.access_token,
        refresh_token=answer.refresh_token,
        expires_at=expiry(answer, sent_at),
        refresh_expires_at=answer.refresh_expires_in and sent_at + answer.refresh_expires_in,
        extra=answer.extra,
        scope=answer.scope or asked.scope,
        environment=None,  # as the host of its API has it
    )
    try:
        environment = _environment(provider, center, answer, asked.environment)
        fresh = fresh.but(api_domain=center.api_domain(environment))
        stored = keeper.save(fresh.but(user=asked.user or _whose(fresh, note)))
    except BaseException:
        # Also for Ctrl-C: nobody would ever use or revoke it again.
        with letting_go():  # what went wrong before is what is said
            provider.revoke(fresh)
        raise
    if stored.refresh_token is None:
        note("The provider gave no refresh token: this one ends for good when it expires")
    return stored


def _environment(
    provider: Zoho, center: DataCenter, answer: Answer, environment: str | None
) -> str:
    """Return the environment of a new token: the one named, else the one the provider names."""
    place = provider.table.place(answer.api_domain) if answer.api_domain else None
    told = place.environment if place and place.data_center == center.name else "production"
    # Zoho may answer production's address for every environment; any other is meant.
    if environment is not None and told not in ("production", environment):
        raise ConfigurationError(
            f"Access was granted to {told}, not to {environment}",
            hint=f"Choose {environment} on the consent page, or say --environment {told}",
        )
    return environment or told


def _whose(token: Token, note: Callable[[str], None]) -> str | None:
    """Ask the provider whose token it is. None if that can't be learned now."""
    try:
        return current_user(token)
    except (ProviderUnavailable, ProviderRefused) as exc:
        if isinstance(exc, ProviderRefused) and exc.error not in _NOT_ALLOWED_TO_ASK:
            exc.hint = "Was another environment chosen on the consent page? See --environment"
            raise
        note(f"{exc.what}. The token is stored without its user; --user EMAIL:ZGID names one")
        return None
