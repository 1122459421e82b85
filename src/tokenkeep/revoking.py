"""Revoking: here at once, whatever the provider says; there until it has confirmed it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tokenkeep.errors import (
    ConfigurationError,
    RenewalError,
    StoreConflict,
    StoreUnavailable,
    TokenNotFound,
)
from tokenkeep.rows import TRIES
from tokenkeep.store import existing
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.clock import Clock
    from tokenkeep.providers import Providers
    from tokenkeep.store import TokenStore


class Revocations:
    """
    End tokens.

    Args:
        store: Must be able to `swap`.
        providers: Whom to tell.
        clock: The time.
        report: Called with an event's name, a token and details.
    """

    def __init__(
        self,
        store: TokenStore,
        providers: Providers,
        clock: Clock,
        report: Callable[..., None],
    ) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._report = report

    def end(self, token_id: str) -> Token:
        """
        Write that a token is revoked, and every other row with the same refresh token.

        Args:
            token_id: Which one.

        Returns:
            The token as stored; the provider is still to be told: `confirm`.

        Raises:
            TokenNotFound: There is none.
            StoreError: It could not be written.
        """
        token = self._end(token_id)
        # The same login under another name: the provider ends it as well.
        for row in self._store.same_login(token):
            if row.id != token.id and row.status is not Status.REVOKED:
                with suppress(TokenNotFound):
                    self._end(str(row.id), with_refresh_token=token.refresh_token)
        return token

    def _end(self, token_id: str, *, with_refresh_token: str | None = None) -> Token:
        """
        Write that one row is revoked.

        Args:
            token_id: Which one.
            with_refresh_token: Only as long as it has this one. None means any.
        """
        for _ in range(TRIES):
            token = existing(self._store, token_id)
            other = with_refresh_token not in (None, token.refresh_token)
            if other or token.status is Status.REVOKED:
                return token
            dead = token.but(
                status=Status.REVOKED, access_token=None, updated_at=self._clock.now()
            ).with_renewal(claim=None, to_revoke=_to_revoke(token))
            try:
                token = self._store.swap(dead)
            except StoreConflict:
                continue
            self._report("revoked", token)
            return token
        raise StoreUnavailable(
            f"Others kept writing this token; gave up after {TRIES} tries",
            token_id=token_id,
            hint="Try again: it is not revoked yet",
        )

    def confirm(self, token: Token) -> Token:
        """
        Revoke at the provider what is revoked here, if that is still to be done.

        Args:
            token: As stored; revoked, or logged in again since.

        Returns:
            The token as stored. A provider that can't be reached is reported,
            not raised.
        """
        bare = token.but(access_token=None, refresh_token=None)
        # As tokens, whose repr is safe: crash reports show the locals of each frame.
        waiting = [bare.but(**dict([each])) for each in token.renewal.to_revoke]
        done = []
        for asked in waiting:
            try:
                provider = self._providers.of(token)
                is_current = (asked.access_token or asked.refresh_token) in token.pair
                ends_all = provider.profile.revokes_grant or is_current
                # After a new login, it would end that too.
                if token.status is Status.REVOKED or not ends_all:
                    provider.revoke(asked)
            except (RenewalError, ConfigurationError) as exc:
                # Revoked here all the same; where the provider has no
                # endpoint for it, that is all there is.
                self._report("revocation_pending", token, error=exc.what)
            else:
                done.append(asked)
        if not done:
            return token
        both = zip(token.renewal.to_revoke, waiting, strict=True)
        left = tuple(each for each, asked in both if asked not in done)
        try:
            return self._store.swap(token.with_renewal(to_revoke=left))
        except (StoreConflict, StoreUnavailable):
            # Somebody wrote meanwhile, or can't be written: revoking twice is harmless.
            return token


def _to_revoke(token: Token) -> tuple[tuple[str, str], ...]:
    """Return what the provider has to revoke, older ones it has not confirmed included."""
    kind = "refresh_token" if token.refresh_token else "access_token"
    secret = getattr(token, kind)
    earlier = token.renewal.to_revoke
    return (*earlier, (kind, secret)) if secret else earlier
