"""Keeper: tokens that are always valid, renewed once, and revoked everywhere."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

from tokenkeep import events
from tokenkeep.clock import Clock
from tokenkeep.clock_errors import ClockErrors
from tokenkeep.decision import Verdict, decide
from tokenkeep.ending import Endings, Planned, planned
from tokenkeep.errors import (
    ConfigurationError,
    EmptyLookup,
    KeyMissing,
    PolicyEnded,
    RenewalError,
    StoreConflict,
    StoreTampered,
    TokenKeepError,
    letting_go,
)
from tokenkeep.events import Event
from tokenkeep.freshening import Freshened, Freshening
from tokenkeep.health import Health, troubles
from tokenkeep.journal import Journal
from tokenkeep.local_swap import complete
from tokenkeep.metrics import EVENTS, Census, Meters, of_this_process
from tokenkeep.policy import Policies
from tokenkeep.providers import Providers, expect_providers
from tokenkeep.renewal import Ask, Renewer
from tokenkeep.revoking import Revocations, Revoked
from tokenkeep.saving import cleaned
from tokenkeep.selection import Selection
from tokenkeep.sinks import Notices, expect_notices
from tokenkeep.store import Opened, existing, not_found
from tokenkeep.swapping import attempts
from tokenkeep.sweeping import Swept, sweep
from tokenkeep.telling import Teller
from tokenkeep.token import Status, Token, expect_token

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from tokenkeep.store import Store, TokenStore

LOOKS_EVERY = 30.0
"""
How long a token is handed out without looking at it again, in seconds. A store looks for other
policies as often: what others have set holds within a minute.
"""

FRESH = 60.0
"""
An access token that was made less than this ago is not what an API refuses: its
address, its data centre or a scope is. In seconds.
"""


_NOT_GOOD = ("", 0.0, 0.0)
_MOST_GOOD = 10_000
"""As many as the cache holds."""


class Keeper(Opened):
    """
    Hand out valid tokens from a store.

    Thread-safe, and usable in a child process after a fork.

    Args:
        store: A store as `tokenkeep.open_store` returns it, or any other
            `TokenStore`; without `TokenStore.swap` a token is renewed once in
            each process.
        providers: Whom to ask. None means those of the store, else those that
            come with tokenkeep.
        clock: The time. None means the operating system's.
        on_event: Called with each `Event`, in the thread it happens in. None
            means that events are only logged.
        notices: Whom to tell of deaths, recoveries and outages (`tokenkeep.Notices`). None
            means whom the store's configuration names.
        meters: What counts. None means OpenTelemetry's global meters, or
            nothing without the extra ``otel``.

    Raises:
        TypeError: *store* is no store, *providers* are no `Providers`, or *notices* no `Notices`.
    """

    opened_by = "tokenkeep.Keeper(tokenkeep.open_store(URL))"

    def __init__(
        self,
        store: TokenStore,
        *,
        providers: Providers | None = None,
        clock: Clock | None = None,
        on_event: events.Listener | None = None,
        notices: Notices | None = None,
        meters: Meters | None = None,
    ) -> None:
        expect_providers(providers)
        expect_notices(notices)
        self.store: Store = complete(store)
        self.providers: Providers = providers or self.store.providers or Providers()
        self.journal: Journal = self.store.journal or Journal()
        self.clock: Clock = clock or Clock()
        self.clock_errors: ClockErrors = ClockErrors(self.clock)
        """How far this host's clock is off, as this process has learnt from providers."""
        self.meters: Meters = meters or of_this_process()
        self._counts = self.meters.handed_out
        self._on_event = on_event
        whom = self.store.notices if notices is None else notices
        self._teller = Teller(self.store, self.providers, whom, self.clock, self._report)
        self._renewer = Renewer(
            self.store,
            self.providers.of,
            self.journal,
            self.clock,
            self._report,
            errors=self.clock_errors,
            meters=self.meters,
        )
        self._revocations = Revocations(
            self.store, self.providers, self.clock, self._report, self.meters
        )
        self._endings = Endings(
            self.store, self.providers, self.clock, self.clock_errors, self._report
        )
        self._good: dict[str | None, tuple[str, float, float]] = {}
        self.store.audit.report_to(self._tell)

    def get(
        self,
        token: Token | None = None,
        *,
        id: str | None = None,  # noqa: A002  # the field's own name
        user: str | None = None,
        client_id: str | None = None,
        environment: str | None = None,
        data_center: str | None = None,
        provider: str | None = None,
    ) -> Token:
        """
        Return a token whose access token is valid now.

        Args:
            token: A partial token that says which one. None means that the
                other arguments do.
            id: The token's id.
            user: Whose; for Zoho ``email:zgid``.
            client_id: Only of this client.
            environment: Only of this environment.
            data_center: Only of this data centre.
            provider: Only of this provider.

        Raises:
            TypeError: There are a *token* and fields of one, or it is no `Token`.
            TokenNotFound: There is none.
            LookupFailed: The question is empty or ambiguous.
            LoginNeeded: It can't be renewed any more, or was revoked.
            RenewalError: It can't be renewed now.
            StoreError: The store can't be read or written.
        """
        asked = Token(
            id=id,
            user=user,
            client_id=client_id,
            environment=environment,
            data_center=data_center,
            provider=provider,
        )
        if token is not None:
            if asked != Token():
                raise TypeError("get() takes a token or its fields, not both")
            asked = token
        expect_token(asked)
        if asked.id and asked == Token(id=asked.id):
            found = self.store.find_token_by_id(asked.id)
        else:
            found = self.store.find_token(asked)
        if found is None:
            raise not_found(self.store, token_id=asked.id, user=asked.user)
        return self.valid(found)

    def valid(
        self, token: Token, *, client_secret: str | None = None, issuer: str | None = None
    ) -> Token:
        """
        Return a token that was just found with an access token that is valid now.

        Args:
            token: As the store has returned it.
            client_secret: Renew with this one, and store it if that works.
                None means the stored one.
            issuer: Where to renew it if it does not say that itself. None
                means that it is not known.

        Raises:
            LoginNeeded: As `get`, which says what else may be raised.
        """
        version, until, ends = self._good.get(token.id, _NOT_GOOD)
        now = self.clock.now()
        if now < until and self.clock.monotonic() < ends and version == token.version:
            self._counts[token.provider or self.providers.default] += 1  # there since `_used`
            return token
        is_new = client_secret != token.client_secret
        ask = Ask(client_secret=client_secret if is_new else None, issuer=issuer)
        del client_secret  # crash reports show the locals of each frame
        valid = self._handed_out(token, ask)
        self._used(valid, now)
        return valid

    def renew(self, token_id: str) -> Token:
        """
        Renew a token now, whether or not it has to be.

        Where the provider has rejected the refresh token (``login_needed``), it is asked
        once more: if it takes it now, the token is as good as before.

        Raises:
            LoginNeeded: As `get`, which says what else may be raised.
        """
        stored = existing(self.store, token_id)
        now = self.clock.now()
        valid = self._handed_out(stored, Ask(rejected=stored.access_token, insists=True))
        self._used(valid, now)
        return valid

    def rejected(self, token_id: str, access_token: str, *, issuer: str | None = None) -> Token:
        """
        Report that the API has refused an access token, and return one that is valid.

        Renews only if that access token is still the stored one, and was not
        made within the last minute: then it is not the reason.

        Args:
            token_id: Which token.
            access_token: What the API refused.
            issuer: As for `valid`.

        Raises:
            LoginNeeded: As `get`, which says what else may be raised.
        """
        ask = Ask(rejected=access_token, issuer=issuer)
        del access_token  # as above
        stored = existing(self.store, token_id)
        # A login may be newer than the last renewal of its row; when what was given
        # from outside was made, nobody knows.
        got_at = None if stored.renewal.given else stored.logged_in_at
        made_at = max(stored.renewal.renewed_at or 0.0, got_at or 0.0)
        is_fresh = 0 <= self.clock.now() - made_at < FRESH
        now = self.clock.now()
        valid = self._handed_out(stored, Ask(issuer=issuer) if is_fresh else ask)
        self._used(valid, now)
        return valid

    def revoke(self, token_id: str) -> Token:
        """
        Revoke a token: here at once, and at the provider.

        When this returns, no process hands the token out any more. If the
        provider could not be reached, `sweep` goes on trying;
        ``renewal.to_revoke`` of the result tells.

        Raises:
            TokenNotFound: There is none.
            StoreError: It could not be written.
        """
        ended = self._revocations.end(token_id)
        self._good.clear()
        return self._revocations.confirm(ended)

    def revoke_all(
        self,
        *,
        user: str | None = None,
        client_id: str | None = None,
        tenant: str | None = None,
        provider: str | None = None,
        environment: str | None = None,
        data_center: str | None = None,
        status: Status | None = None,
        everything: bool = False,
        dry_run: bool = False,
        on_error: Callable[[TokenKeepError], None] | None = None,
    ) -> Iterator[Revoked]:
        """
        Revoke all tokens that have everything that is said here.

        When this returns, no process hands one of them out any more. The providers are asked,
        many at a time, **as what it returns is read**; what is left then is the business
        of `sweep`. Who logs in once a row was written is logged in.

        Called again after it was broken off, it goes on: what is revoked here is not written
        again, and what no provider has confirmed is asked for again.

        Args:
            user: Whose; for Zoho ``email:zgid``. None means everybody's.
            client_id: Of which client. None means of any, and so on.
            tenant: Of which organisation, by the provider's name; for Zoho the zgid.
            provider: Of which provider.
            environment: Of which environment.
            data_center: Of which data centre.
            status: In which state.
            everything: Without any of these, all there are.
            dry_run: Yield which would be revoked, and do nothing.
            on_error: Called for a row that can't be dealt with, instead of raising. None
                raises the first such error once all others were yielded.

        Returns:
            What became of each token, in the order in which it is known; not of those that
            were revoked and confirmed before.

        Raises:
            EmptyLookup: Nothing is said, and not *everything*; or both.
            LookupFailed: Something that is said is empty, or no text.
            UnknownName: There is no such provider, data centre, environment or state.
            StoreError: The store can't be read or written, or a row does not open.
        """
        wanted = Selection(
            user=user,
            client_id=client_id,
            tenant=tenant,
            provider=provider,
            environment=environment,
            data_center=data_center,
            status=status,
        )
        if bool(wanted.named) is everything:
            raise EmptyLookup(
                f"{', '.join(wanted.named)} and everything are two different things"
                if everything
                else "Nothing says which tokens are to be revoked",
                hint="Say what they have in common, or that it is everything",
            )
        wanted.expect_known(self.providers)
        troubles: list[TokenKeepError] = []
        note = on_error or troubles.append
        if dry_run:
            return _and_then_raised(self._revocations.planned(wanted, note), troubles)
        try:
            told = self._revocations.end_all(wanted, note)
        finally:
            self._good.clear()
        return _and_then_raised(told, troubles)

    def save(self, token: Token) -> Token:
        """
        Store a token, as `TokenStore.save_token` does, and revoke what a login has replaced.

        Returns:
            The token as stored. If the provider could not be reached, `sweep`
            goes on trying.

        Raises:
            StoreError: It could not be stored.
            TypeError: It is no `Token`.
            LookupFailed: There is no token in it, something that is not text, or a
                secret with a blank or a line break around it.
        """
        # A six-method store may not know providers: who logs in, or where a token is valid.
        token = cleaned(token, needs_login=self.providers.needs_login)
        began = self.clock.now()
        saved = self.store.save_token(self.providers.locate(token))
        if (saved.updated_at or 0.0) >= began:  # now, and not by an earlier save of the same
            self._teller.recovered(saved, saved.updated_at)
        return self._revocations.confirm(saved)

    def end(self, token_id: str) -> Token:
        """
        Log out: revoke a token and delete it, in one.

        What the provider has not confirmed is kept out of sight until it has.

        Returns:
            The token as it was when it was deleted; ``renewal.to_revoke``
            says what the provider has still to confirm.

        Raises:
            TokenNotFound: There is none.
            StoreError: It could not be written.
        """
        ended = self.revoke(token_id)  # once: a login from now on is another one
        now: Token | None = ended
        for _ in attempts(token_id):
            # Its user may have logged in again meanwhile: that login stays.
            if now is None or now.status is not Status.REVOKED:
                break
            ended = now
            with suppress(StoreConflict):
                self.store.delete_version(str(ended.id), str(ended.version))
                self._report("deleted", ended)
                break
            now = self.store.reread(str(ended.id))
        return ended

    def delete(self, token_id: str) -> Token | None:
        """
        Delete a token here; the provider is not asked. See `end` for a logout.

        What is to be revoked is kept out of sight until the provider has
        confirmed it; a living refresh token that was not revoked is forgotten.

        Returns:
            The token as it was: its ``status``, and what is still to be
            revoked in ``renewal.to_revoke``. None if there was none, or what
            is stored does not open.

        Raises:
            StoreError: The store can't be written.
        """
        was = None
        with suppress(StoreTampered, KeyMissing):
            was = self.store.reread(token_id)
        self.store.delete_token(token_id)
        self._good.pop(token_id, None)
        if was is not None:
            self._report("deleted", was)
        return was

    def tokens(self) -> Iterator[Token]:
        """
        Yield all stored tokens, without holding them all.

        Raises:
            StoreError: The store can't be read; or a row does not open, once
                all others were yielded.
        """
        return self.store.iter_tokens()

    def sweep(self, *, on_error: Callable[[TokenKeepError], None] | None = None) -> Swept:
        """
        Tidy up: save answers that could not be saved, finish revocations, tell what is to be told.

        Run it now and then, e.g. once an hour; any number of processes may.
        What does not open holds nothing else up.

        Args:
            on_error: Called for a row or journal entry that can't be dealt with,
                instead of raising. None raises the first such error last.

        Raises:
            StoreError: The store can't be read or written, or a row or a
                journal entry does not open.
            ConfigurationError: A row's key is missing, or the provider of an
                answer is not configured any more.
        """
        troubles: list[TokenKeepError] = []
        note = on_error or troubles.append
        swept = sweep(
            self.store,
            self.journal,
            self.clock.now(),
            renewer=self._renewer,
            revocations=self._revocations,
            endings=self._endings,
            teller=self._teller,
            note=note,
        )
        if troubles:
            raise troubles[0]
        return swept

    def keep_fresh(
        self,
        stop: threading.Event | None = None,
        *,
        workers: int = 32,
        on_error: Callable[[TokenKeepError], None] | None = None,
    ) -> Freshened:
        """
        Renew ahead of need what a policy with ``keep_fresh`` says; see docs/policies.md.

        Any number of processes and hosts may: each token is renewed by one. Whoever asks for
        one meanwhile is served as ever.

        Args:
            stop: It goes on until this is set, and ends what it has begun. None renews what
                is due by now, once.
            workers: How many calls to providers may be under way at once.
            on_error: Called, by any of its threads, for a token that could not be renewed
                (each is tried again in time), and once if the store can't be used for a while.
                None means that they are only logged.

        Raises:
            ConfigurationError: No policy of the store has ``keep_fresh``.
            StoreError: The store can't be read, and there is no *stop*.
        """
        if not any(rule.keep_fresh for rule in self.store.policies.rules):
            raise ConfigurationError(
                "No policy says which tokens to keep fresh",
                hint='E.g. a file with [[policy]], name = "fresh" and keep_fresh = true, given '
                "to: tokenkeep policy set FILE",
            )
        note = on_error or _logged
        self.store.apply_policies(note)
        return Freshening(
            self.store,
            self.providers,
            self.clock,
            errors=self.clock_errors,
            renewer=self._renewer,
            workers=workers,
            stop=stop,
            note=note,
        ).run()

    def health(self) -> Health:
        """
        Look whether tokens could be handed out and renewed here; no provider is asked.

        The key opens the store, this process may write there (it writes a heartbeat),
        and the clock agrees with the other hosts'. Bounded as all that the store does.
        """
        started = self.clock.monotonic()
        found = tuple(troubles(self.store, self.clock, self.clock_errors))
        return Health(troubles=found, seconds=self.clock.monotonic() - started)

    def census(self, *, on_error: Callable[[TokenKeepError], None] | None = None) -> Census:
        """
        Count what the store holds, for OpenTelemetry too: all of it is read, though not opened.

        Args:
            on_error: Called for a row that is due and does not open, instead of raising.
                None raises.

        Raises:
            StoreError: The store can't be read, or a row does not open.
        """
        census = self.store.census(self.clock.now(), on_error)
        self.meters.census(census)
        return census

    def planned(self, policies: Policies | None = None) -> Iterator[Planned]:
        """
        Yield what the next sweep does to tokens, and change nothing.

        What is wrong with this host's clock, it does not see.

        Args:
            policies: By these. None means those that the store has.

        Raises:
            StoreError: As `tokens`: of a row that does not open, once all others were yielded.
        """
        now, store, closed = self.clock.now(), self.store, list[TokenKeepError]()
        asked = store.policies if policies is None else Policies(policies.rules, since=now)
        tokens = due = store.due(now, closed.append)
        if policies is not None or not store.is_applied:
            tokens = chain((each for each in due if each.ended), store.iter_tokens())
        yield from planned(tokens, store, asked, now)
        if closed:
            raise closed[0]

    def close(self) -> None:
        """Let go of the store's connections and files; what is being told has two seconds more."""
        self._teller.close()
        self._good.clear()
        self.store.close()

    def _handed_out(self, token: Token, ask: Ask) -> Token:
        """Do what `_renewed` does, and count it, with how long it took if there was to wait."""
        provider = token.provider or self.providers.default
        started = self.clock.monotonic()
        try:
            valid = self._renewed(token, ask)
        except RenewalError as exc:
            self.meters.waited(provider, self.clock.monotonic() - started, exc)
            raise
        if valid is not token:
            self.meters.waited(provider, self.clock.monotonic() - started)
        self._counts.setdefault(provider, 0)
        self._counts[provider] += 1
        return valid

    def _renewed(self, token: Token, ask: Ask) -> Token:
        """Do what `Renewer.valid` does, and write what a policy has ended."""
        try:
            return self._renewer.valid(token, ask)
        except PolicyEnded:
            stored = existing(self.store, str(token.id))
            with letting_go():  # refused it is in any case
                stored = self._endings.end(stored) or stored
        # It may have been used since it was found, or this host's clock be wrong.
        return self._renewer.valid(stored, ask)

    def _used(self, token: Token, now: float) -> None:
        """Note that a token is in use, and how long it is good without looking again."""
        policies = self.store.policies
        # By a clock that is behind, a token in use would look idle to other hosts.
        used_at = self.clock_errors.latest(token.issuer)
        noted_at = token.last_used_at or 0.0
        if used_at >= noted_at + policies.notes_use_every:
            noted_at = used_at
            with letting_go():  # a token that can be read is handed out
                self.store.touch(str(token.id), used_at)
        profile = self.providers.of(token).profile
        decision = decide(self.clock_errors.local(token), now, profile, policies=policies)
        if decision.verdict is Verdict.USE and decision.until is not None and token.version:
            if len(self._good) >= _MOST_GOOD:
                self._good.clear()
            noted_for = noted_at + policies.notes_use_every - used_at
            until = min(decision.until, now + min(LOOKS_EVERY, noted_for))
            # On both clocks: one can be set, the other stands still in a suspend.
            ends = self.clock.monotonic() + until - now
            self._good[token.id] = token.version, until, ends

    def _report(self, name: str, token: Token, **details: object) -> None:
        if name == "clock_off":
            self._good.clear()  # what was good by this clock is judged anew
        at, token_id = self.clock.now(), str(token.id)
        event = Event(name=name, token_id=token_id, user=token.user, at=at, details=details)
        events.log(event)
        self._tell(event)
        self._teller.heard(name, token, details)

    def _tell(self, event: Event) -> None:
        self.meters.note(EVENTS, event=event.name)
        try:
            if self._on_event is not None:
                self._on_event(event)
        except Exception as exc:  # noqa: BLE001  # a listener must not cost anybody a token
            events.logger.error("on_event failed at %s: %s", event.name, type(exc).__name__)


def _logged(exc: TokenKeepError) -> None:
    if not isinstance(exc, RenewalError):  # those are, as the event `renewal_failed`
        events.logger.warning("keep_fresh: %s", exc)


def _and_then_raised(told: Iterator[Revoked], troubles: list[TokenKeepError]) -> Iterator[Revoked]:
    yield from told
    if troubles:
        raise troubles[0]
