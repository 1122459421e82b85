"""Revoking: here at once, whatever the provider says; there until it has confirmed it."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from tokenkeep import holder, saving
from tokenkeep.clock import moment
from tokenkeep.decision import CLOCK_SKEW
from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    ProviderUnavailable,
    RenewalError,
    StoreConflict,
    StoreError,
    letting_go,
    telling,
)
from tokenkeep.lanes import at_once, call, many
from tokenkeep.metrics import REVOCATIONS, Meters
from tokenkeep.renewal.late import newer_login
from tokenkeep.selection import Selection
from tokenkeep.store import existing, not_found
from tokenkeep.swapping import attempts
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from tokenkeep.clock import Clock
    from tokenkeep.errors import OnError
    from tokenkeep.providers import Providers
    from tokenkeep.store import Store

Whom = tuple[str | None, str | None]
"""A provider's name, and its issuer."""

_NAMES = ("id", "user", "client_id", "provider", "data_center", "environment", "status")

_WITH_THE_NEWER = (
    "Its user has logged in again, and revoking it now would end that login too: it is revoked "
    "with that"
)
_NOT_ALL = "Not all of it is confirmed yet"
_AGAIN = "It is revoked here already; the provider is asked again"


@dataclass(frozen=True, slots=True)
class Revoked:
    """
    What became of one token that was to be revoked; see `tokenkeep.Keeper.revoke_all`.

    Args:
        token: Which one: id, user, client, place and status, and no secret.
        outcome: ``confirmed`` by the provider, or there was nothing that it has to confirm;
            ``unknown``: it says that it does not know this token (any more), which is as good;
            ``pending``: revoked here, and not confirmed yet: a sweep asks again;
            ``planned``: a dry run, nothing was done.
        why: Why it is pending, or what else there is to say. None for nothing.
    """

    token: Token
    outcome: Literal["confirmed", "unknown", "pending", "planned"]
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What came of asking a provider for all that a token has to revoke.

    Args:
        token: As stored.
        had_some: Whether there was something to revoke.
        done: What the provider has confirmed.
        knew: Whether it knew any of that.
        errors: What went wrong, for each that it has not confirmed.
        why: Why something is not confirmed. None for nothing.
        stops: Whether the provider's other tokens would fare alike now.
    """

    token: Token
    had_some: bool = True
    done: tuple[Token, ...] = ()
    knew: bool = False
    errors: tuple[str, ...] = ()
    why: str | None = None
    stops: bool = False


class Revocations:
    """End tokens; *report* is called with an event's name, a token and details."""

    def __init__(
        self,
        store: Store,
        providers: Providers,
        clock: Clock,
        report: Callable[..., None],
        meters: Meters,
    ) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._report = report
        self._meters = meters

    def end(self, token_id: str) -> Token:
        """
        Write that a token is revoked; the provider is still to be told: `confirm`.

        Raises:
            TokenNotFound: There is none.
            StoreError: It could not be written.
        """
        ended = self._ended(existing(self._store, token_id), Selection())
        if ended is None:
            raise not_found(self._store, token_id=token_id)
        return ended

    def end_all(self, wanted: Selection, on_error: OnError) -> Iterator[Revoked]:
        """
        Write of all tokens that are *wanted* that they are revoked; then the provider is told.

        All is written before this returns; the provider is asked as what it returns is read.
        *on_error* is told of a row that can't be dealt with, as for `confirm_each`.
        """
        # Their ids alone, a fortieth of them: what is confirmed is read again.
        ids = BytesIO()
        for token in wanted.tokens(self._store, self._providers, on_error):
            with telling(on_error):
                ended = self._ended(token, wanted)
                if ended is not None and (ended is not token or ended.renewal.to_revoke):
                    ids.write(json.dumps(ended.id).encode() + b"\n")
        ids.seek(0)
        rows = self._read(map(json.loads, ids), on_error)
        return (_told(asked) for asked in self.confirm_each(rows, on_error))

    def planned(self, wanted: Selection, on_error: OnError) -> Iterator[Revoked]:
        """Yield what `end_all` would begin with; nothing is written, and nobody asked."""
        for token in wanted.tokens(self._store, self._providers, on_error):
            is_revoked = token.status is Status.REVOKED
            if token.renewal.to_revoke or not is_revoked:
                yield Revoked(_bare(token), "planned", _AGAIN if is_revoked else None)

    def confirm(self, token: Token) -> Token:
        """
        Revoke at the provider what is to be revoked, if anything is.

        Returns the token as stored; a deleted one goes for good once nothing is left.
        A provider that can't be reached is reported, not raised.

        Args:
            token: As stored; revoked, deleted, or with a newer login.
        """
        token, waiting = self._to_ask(token)
        return self._noted(self._ask(token, waiting)).token if waiting else token

    def confirm_each(self, tokens: Iterable[Token], on_error: OnError) -> Iterator[Asked]:
        """
        The same for many tokens, many at a time: yield what came of each, as it comes.

        A provider that does not answer, or throttles, is not asked any more.

        Args:
            tokens: Each is read again when it is its turn: its user may have logged in since.
            on_error: Called for a row that can't be dealt with, instead of raising.
        """
        stopped: dict[Whom, str | None] = {}

        def start(token: Token) -> Future[Asked] | None:
            with telling(on_error):
                if token.renewal.to_revoke and _whom(token) in stopped:
                    return at_once(Asked(token=token, why=stopped[_whom(token)]))
                row = token if token.ended else self._store.reread(str(token.id))
                if row is None:
                    return None
                had_some = bool(row.renewal.to_revoke)
                row, waiting = self._to_ask(row)
                if waiting:
                    return call(partial(self._ask, row, waiting))
                return at_once(Asked(token=row, had_some=had_some))
            return None

        for asked in many(tokens, _whom, start):
            if asked.stops:
                stopped[_whom(asked.token)] = asked.why
            noted = None
            with telling(on_error):
                noted = self._noted(asked)
            if noted is not None:
                yield noted

    def _ended(self, token: Token, wanted: Selection) -> Token | None:
        """Write that a row is revoked. None: it is gone, or not *wanted* any more."""
        for _ in attempts(token.id, token.user):
            by = holder.name(holder.me())
            dead = saving.died(token, Status.REVOKED, self._clock.now(), by)
            if dead is token:
                return token
            with suppress(StoreConflict):
                ended = self._store.swap(dead)
                self._report("revoked", ended)
                self._store.audit.note("revoked", ended)
                return ended
            again = self._store.reread(str(token.id))
            if again is None or not wanted.admits(again, self._providers):
                return None
            token = again
        raise AssertionError  # attempts() has raised

    def _read(self, ids: Iterable[str], on_error: OnError) -> Iterator[Token]:
        for token_id in ids:
            with telling(on_error):
                row = self._store.reread(token_id)
                if row is not None:  # deleted meanwhile: a sweep sees to what is left
                    yield row

    def _to_ask(self, token: Token) -> tuple[Token, list[Token]]:
        """Return a token as stored, and what its provider has to be asked to revoke."""
        if spent := self._spent(token):
            token = self._without(token, spent)
            if not token.renewal.to_revoke:
                return token, []
        waiting = _waiting(token)
        if token.ended and (not waiting or self._newer_login_took(token)):
            return self._without(token, waiting), []
        return token, waiting

    def _ask(self, token: Token, waiting: list[Token]) -> Asked:
        """Ask a provider to revoke something; may be called in any thread."""
        done, errors, knew, why, stops = list[Token](), list[str](), False, None, False
        for each in waiting:
            try:
                # A provider of one's own may say nothing about it.
                knew |= self._providers.of(token).revoke(each) is not False
                done.append(each)
            except (RenewalError, ConfigurationError) as exc:
                # Revoked here all the same; where the provider has no
                # endpoint for it, that is all there is.
                errors.append(exc.what)
                why = why or _why(exc)
                is_mute = isinstance(exc, ProviderUnavailable) and not exc.answered
                if stops := is_mute or isinstance(exc, CoolingDown):
                    break  # each of the others would wait for it as long
            except Exception as exc:  # noqa: BLE001  # a provider of one's own; the others go on
                errors.append(f"The provider failed: {type(exc).__name__}")
                why = why or errors[-1]
        return Asked(
            token=token, done=tuple(done), knew=knew, errors=tuple(errors), why=why, stops=stops
        )

    def _noted(self, asked: Asked) -> Asked:
        """Write what was confirmed, and report what was not."""
        by = asked.token.provider or self._providers.default
        for error in asked.errors:
            self._report("revocation_pending", asked.token, error=error)
            self._meters.note(REVOCATIONS, provider=by, outcome="pending")
        if not asked.done:
            return asked
        self._meters.note(REVOCATIONS, len(asked.done), provider=by, outcome="confirmed")
        return replace(asked, token=self._without(asked.token, list(asked.done)))

    def _spent(self, token: Token) -> list[Token]:
        """Return the access tokens that were to be revoked, and have ended by themselves."""
        # Of another status, the row's end is of a newer access token.
        ends = token.expires_at if token.status is Status.REVOKED else None
        if ends is None or self._clock.now() < ends + CLOCK_SKEW:
            return []
        return [each for each in _waiting(token) if each.access_token]

    def _without(self, token: Token, done: list[Token]) -> Token:
        """Take what was confirmed out of a row, and nothing that came in meanwhile."""
        # Revoking twice is harmless. But of deleted rows a sweep meets many, and each would wait
        # for a store that can't be written.
        with nullcontext() if token.ended else letting_go(StoreError):
            for _ in attempts(token.id, token.user):
                changed = _less(token, done)
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


def _less(token: Token, done: list[Token]) -> Token:
    confirmed = {asked.refresh_token or asked.access_token for asked in done}
    left = tuple(each for each in token.renewal.to_revoke if each[1] not in confirmed)
    return token.with_renewal(to_revoke=left)


def _whom(token: Token) -> Whom:
    return token.provider, token.issuer


def _why(exc: RenewalError | ConfigurationError) -> str:
    until = exc.until if isinstance(exc, CoolingDown) else None
    return exc.what if until is None else f"{exc.what}. It is not asked before {moment(until)}"


def _told(asked: Asked) -> Revoked:
    token, bare = asked.token, _bare(asked.token)
    if token.renewal.to_revoke:
        return Revoked(bare, "pending", asked.why or _NOT_ALL)
    if token.status is not Status.REVOKED and token.renewal.replaced:
        return Revoked(bare, "pending", _WITH_THE_NEWER)
    return Revoked(bare, "confirmed" if asked.knew or not asked.done else "unknown")


def _bare(token: Token) -> Token:
    return Token(**{name: getattr(token, name) for name in _NAMES})
