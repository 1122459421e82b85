"""What policies end: as it is asked for, and by a sweep."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokenkeep import saving
from tokenkeep.clock import CLOCK_TOLERANCE
from tokenkeep.errors import ConfigurationError, RenewalError, StoreConflict
from tokenkeep.policy import by_policy
from tokenkeep.swapping import attempts
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokenkeep.clock import Clock
    from tokenkeep.clock_errors import ClockErrors
    from tokenkeep.policy import End, Policies
    from tokenkeep.providers import Providers
    from tokenkeep.store import Store
    from tokenkeep.token import Token

MUTE = 60.0
"""How long a provider that does not say what time it is is not asked again, in seconds."""


class Planned(NamedTuple):
    """What the next sweep does to a token: *why* it does, for people, and since when."""

    token: Token
    what: Literal["revoke", "delete", "confirm"]
    why: str
    since: float


class Endings:
    """
    End what policies say; *report* is called with an event's name, a token and details.

    A clock that is wrong by a day would end everything: what ends by the time does so only
    once the provider's clock was compared with this host's.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        clock: Clock,
        errors: ClockErrors,
        report: Callable[..., None],
    ) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._errors = errors
        self._report = report
        self._mute: dict[str | None, float] = {}

    def end(self, token: Token) -> Token | None:
        """
        Write that a policy has ended a token, which is then to be revoked at its provider.

        Returns:
            The token as written. None if it goes on, or nobody can tell the time.
        """
        now: Token | None = token
        for _ in attempts(token.id, token.user):
            if now is None or (end := self._ended(now)) is None:
                return None
            dead = saving.died(
                now, Status.REVOKED, self._clock.now(), by_policy(end.policy), since=end.at
            )
            with suppress(StoreConflict):
                written = self._store.swap(dead)
                self._report("revoked", written, policy=end.policy)
                self._store.audit.note("revoked", written, policy=end.policy)
                return written
            now = self._store.reread(str(token.id))
        raise AssertionError  # attempts() has raised

    def is_time_known(self, token: Token) -> bool:
        """Tell whether this host's clock was compared with the provider's, now if need be."""
        if self._errors.is_known(token.issuer):
            return True
        # Each of many that are due would wait for it as long.
        if self._clock.monotonic() < self._mute.get(token.issuer, 0.0):
            return False
        try:
            provider = self._providers.of(token)
            issuer = token.issuer or provider.home_issuer()
            reply = provider.probe(issuer) if issuer else None
        except (RenewalError, ConfigurationError):
            self._mute[token.issuer] = self._clock.monotonic() + MUTE
            return False
        # Who does not say what time it is can't be asked: then it is what our clock says.
        offset = (reply.clock_offset if reply else None) or 0.0
        self._errors.learn(token.issuer, offset if abs(offset) > CLOCK_TOLERANCE else 0.0)
        return True

    def purge(self, token: Token) -> bool:
        """
        Delete a token that works no more, if it was kept as long as a policy says.

        What the provider has not confirmed to be revoked is kept out of sight until it has:
        of one that it has rejected, that is all there is. It may be alive all the same.
        """
        end = self._store.policies.purging(token)
        if end is None or self._clock.now() < end.at or not self.is_time_known(token):
            return False
        now = self._clock.now()
        if now - self._errors.ahead(token.issuer) < end.at:
            return False
        with suppress(StoreConflict):  # its user has logged in again
            dead = saving.died(token, Status.REVOKED, now, by_policy(end.policy))
            if dead is not token:
                token = self._store.swap(dead)
            self._store.delete_version(str(token.id), token.version)
            return True
        return False

    def _ended(self, token: Token) -> End | None:
        policies, now = self._store.policies, self._clock.now()
        end = policies.ending(token)
        if end is None or now < end.at or not self.is_time_known(token):
            return None
        end = policies.ending(self._errors.local(token))
        return end if end is not None and now >= end.at else None


def planned(
    tokens: Iterable[Token], store: Store, policies: Policies, now: float
) -> Iterator[Planned]:
    """Yield what a sweep would do to *tokens* under these policies, at a time in epoch seconds."""
    for token in tokens:
        end = policies.ending(token) or policies.purging(token)
        end = store.beyond(token, policies) or end
        if end is not None and now >= end.at:
            yield Planned(token, end.action, by_policy(end.policy), end.at)
        elif token.renewal.to_revoke:
            why = "the provider has not confirmed its revocation"
            yield Planned(token, "confirm", why, token.updated_at or now)
