"""Revoking: here at once, whatever the provider says; there until it has confirmed it."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from tokenkeep import holder, saving
from tokenkeep.decision import CLOCK_SKEW
from tokenkeep.errors import (
    ConfigurationError,
    ProviderUnavailable,
    RenewalError,
    StoreConflict,
    StoreError,
    letting_go,
)
from tokenkeep.renewal.late import newer_login
from tokenkeep.store import existing
from tokenkeep.swapping import attempts
from tokenkeep.token import Status, Token

Whom = tuple[str | None, str | None]
"""A provider's name, and its issuer."""

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.clock import Clock
    from tokenkeep.providers import Providers
    from tokenkeep.store import Store


class Revocations:
    """End tokens; *report* is called with an event's name, a token and details."""

    def __init__(
        self, store: Store, providers: Providers, clock: Clock, report: Callable[..., None]
    ) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._report = report

    def end(self, token_id: str) -> Token:
        """
        Write that a token is revoked; the provider is still to be told: `confirm`.

        Raises:
            TokenNotFound: There is none.
            StoreError: It could not be written.
        """
        for _ in attempts(token_id):
            token = existing(self._store, token_id)
            by = holder.name(holder.me())
            dead = saving.died(token, Status.REVOKED, self._clock.now(), by)
            with suppress(StoreConflict):
                if dead is not token:
                    token = self._store.swap(dead)
                    self._report("revoked", token)
                    self._store.audit.note("revoked", token)
                return token
        raise AssertionError  # attempts() has raised

    def confirm(self, token: Token, mute: set[Whom] | None = None) -> Token:
        """
        Revoke at the provider what is to be revoked, if anything is.

        Returns the token as stored; a deleted one goes for good once nothing is left.
        A provider that can't be reached is reported, not raised.

        Args:
            token: As stored; revoked, deleted, or with a newer login.
            mute: Providers and issuers that did not answer: those are not asked, and who does
                not answer now is added. None means that nobody is known to be mute.
        """
        mute = set() if mute is None else mute
        if spent := self._spent(token):
            token = self._noted(token, spent)
            if not token.renewal.to_revoke:
                return token
        waiting, done = _waiting(token), list[Token]()
        whom = token.provider, token.issuer
        if whom in mute or not (waiting or token.ended):
            return token
        if self._newer_login_took(token):
            return self._noted(token, waiting)
        for asked in waiting:
            try:
                self._providers.of(token).revoke(asked)
            except (RenewalError, ConfigurationError) as exc:
                # Revoked here all the same; where the provider has no
                # endpoint for it, that is all there is.
                self._report("revocation_pending", token, error=exc.what)
                if isinstance(exc, ProviderUnavailable) and not exc.answered:
                    mute.add(whom)
                    break  # each of the others would wait for it as long
            else:
                done.append(asked)
        return self._noted(token, done) if done or not waiting else token

    def _spent(self, token: Token) -> list[Token]:
        """Return the access tokens that were to be revoked, and have ended by themselves."""
        # Of another status, the row's end is of a newer access token.
        ends = token.expires_at if token.status is Status.REVOKED else None
        if ends is None or self._clock.now() < ends + CLOCK_SKEW:
            return []
        return [each for each in _waiting(token) if each.access_token]

    def _noted(self, token: Token, done: list[Token]) -> Token:
        """Take what was confirmed out of a row, and nothing that came in meanwhile."""
        # Revoking twice is harmless. But of deleted rows a sweep meets many, and each would wait
        # for a store that can't be written.
        with nullcontext() if token.ended else letting_go(StoreError):
            for _ in attempts(token.id, token.user):
                changed = _without(token, done)
                try:
                    if changed.renewal.to_revoke or not token.ended:
                        return self._store.swap(changed)
                    self._store.delete_version(str(token.id), str(token.version))
                except StoreConflict:
                    again = None if token.ended else self._store.reread(str(token.id))
                    if again is not None:
                        token = again
                        continue
                return changed
        return token

    def _newer_login_took(self, token: Token) -> bool:
        """Let a newer login of a deleted row's user see to what would end with it. False: none."""
        if not (token.ended and token.user):
            return False
        with suppress(ConfigurationError):  # its provider is gone: as if it might
            if not self._providers.of(token).profile.revokes_grant:
                return False
        for _ in attempts(token.id, token.user):
            newer = newer_login(self._store, token)
            if newer is None:
                return False
            with suppress(StoreConflict):
                # In no local variable: crash reports show those of each frame.
                self._store.swap(
                    saving.superseded(newer, token.renewal.to_revoke, revokes_grant=True)
                )
                return True
        return False


def _waiting(token: Token) -> list[Token]:
    # As tokens, whose repr is safe: crash reports show the locals of each frame.
    bare = token.but(access_token=None, refresh_token=None)
    return [bare.but(**dict([each])) for each in token.renewal.to_revoke]


def _without(token: Token, done: list[Token]) -> Token:
    confirmed = {asked.refresh_token or asked.access_token for asked in done}
    left = tuple(each for each in token.renewal.to_revoke if each[1] not in confirmed)
    return token.with_renewal(to_revoke=left)
