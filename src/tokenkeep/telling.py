"""Telling outside what is in the rows and notes of a store: once by the whole fleet."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tokenkeep import notices
from tokenkeep.backends.forks import renew_in_child
from tokenkeep.errors import StoreConflict, StoreError, TokenKeepError, letting_go, telling
from tokenkeep.events import logger
from tokenkeep.swapping import attempts
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenkeep.clock import Clock
    from tokenkeep.notices import Outage
    from tokenkeep.providers import Providers
    from tokenkeep.sinks import Notices
    from tokenkeep.store import Store
    from tokenkeep.token import Notice

    Change = Callable[[Outage | None], Outage | None]
    """What becomes of what is known of an issuer."""

_NOTE = "outages"
"""The note of all outages under way."""

_TELLS = "notices"
"""The note that a host has somebody to tell."""

_LOOK_EVERY = 60.0
"""How often a process looks at an outage that it knows of, in seconds."""

_MOST_WAITING = 100
"""So many notices wait for the thread that tells them at once; more are left to a sweep."""

_MISSES = 3
"""After so many in a row that were not taken, the others are left to the next sweep."""

_CLOSING = 2.0
"""How long the end of a keeper waits for what is being told, in seconds."""

_SERVER_ERROR = 500


class Teller:
    """
    Tell deaths, recoveries and outages; *report* gets an event's name, a token and details.

    What this process has written it tells at once, in a thread of its own: no caller waits
    for a webhook. What is not taken, or was left behind, any sweep tells.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        whom: Notices | None,
        clock: Clock,
        report: Callable[..., None],
    ) -> None:
        self._store = store
        self._providers = providers
        self._whom = whom
        self._clock = clock
        self._report = report
        self._met: dict[str, tuple[bool, float]] = {}
        self._renewed: dict[str, float] = {}
        self._said = float("-inf")
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        """Begin with nothing to tell: what the parent was about to, it tells."""
        self._waiting: deque[Callable[[Round], object]] = deque()
        self._busy = threading.Lock()

    def heard(self, name: str, token: Token, details: Mapping[str, Any]) -> None:
        """Take note of an event of this process."""
        with letting_go():
            if name == "login_needed":
                self._soon(token)
            elif name == "renewed":
                self.recovered(token, token.renewal.renewed_at)
                self._succeeded(token)
            elif details.get("kind") == "transient" and details["count"] >= notices.FAILURES:
                self._failed(token, str(details["error"]))

    def recovered(self, token: Token, at: float | None) -> None:
        """Report that a row works again, if that is what was written *at* that time."""
        notice = token.renewal.notice
        if notice is not None and notice.what == notices.RECOVERED and notice.at == at:
            self._report("recovered", token)
            self._soon(token)

    def close(self) -> None:
        """Give what is being told a moment, and leave the rest to a sweep."""
        if self._busy.acquire(timeout=_CLOSING):
            self._busy.release()
        self._waiting.clear()

    # Outages

    def _failed(self, token: Token, error: str) -> None:
        since = self._clock.monotonic() - self._renewed.get(str(token.issuer), float("-inf"))
        if token.issuer and since >= notices.OUTAGE_LASTS:  # else it is this token's alone
            change = partial(
                notices.down,
                provider=token.provider,
                token_id=str(token.id),
                error=error,
                now=self._clock.now(),
            )
            self._look_at(token, change, is_down=True)

    def _succeeded(self, token: Token) -> None:
        if token.issuer:
            self._renewed[token.issuer] = self._clock.monotonic()
        if token.issuer in self._met:
            self._look_at(token, partial(notices.up, now=self._clock.now()), is_down=False)

    def _look_at(self, token: Token, change: Change, *, is_down: bool) -> None:
        """Note what a renewal says of an issuer, unless that was looked at a moment ago."""
        issuer, now = str(token.issuer), self._clock.monotonic()
        was_down, looked_at = self._met.get(issuer, (not is_down, 0.0))
        if was_down is is_down and now - looked_at < _LOOK_EVERY:
            return
        self._met[issuer] = is_down, now
        known = self._changed(issuer, change, token)
        if known is None:
            self._met.pop(issuer, None)
        elif known.notice.next_at is not None and known.notice.next_at <= self._clock.now():
            self._begin(partial(self._tell_outage, issuer, known))

    def tell_all(self, now: float, a_round: Round, note: Callable[[TokenKeepError], None]) -> None:
        """Tell all that is due by then, in epoch seconds; an error of one row goes to *note*."""
        with telling(note):
            self._say()
        for row in self._store.due(now, lambda _: None):
            with telling(note):
                self.tell(row, a_round)
        with telling(note):
            self._tell_outages(a_round)

    def _tell_outages(self, a_round: Round) -> None:
        """
        Tell what is due of outages, and look whether they are over.

        Raises:
            StoreError: The store can't be read or written.
        """
        found = self._store.note(_NOTE)
        for issuer, noted in notices.unpacked(found[1]).items() if found else ():
            now = self._clock.now()
            outage: Outage | None = noted
            if now - noted.seen_at > notices.FORGOTTEN:
                logger.warning("Nobody has asked %s since an outage: it is forgotten", issuer)
                self._changed(issuer, lambda _: None)
                continue
            if _is_down(noted) and self._is_over(issuer, noted, now):
                lasts = 0.0 if noted.is_told else notices.TELLING
                about = Token(id=noted.token_id)
                over = partial(notices.up, now=now, lasts=lasts)
                outage = self._changed(issuer, over, about)
            if outage is not None:
                self._tell_outage(issuer, outage, a_round)

    def _changed(self, issuer: str, change: Change, token: Token | None = None) -> Outage | None:
        """
        Write what becomes of an outage, and report what that means.

        Args:
            issuer: Whose.
            change: Returns what is to be known of it; the same writes nothing.
            token: One that met it. None if there is nothing to report.
        """
        for _ in attempts():
            found = self._store.note(_NOTE)
            version, facts = found or (None, {})
            known = notices.unpacked(facts)
            before = known.pop(issuer, None)
            after = change(before)
            if after == before:
                return after
            known |= {issuer: after} if after is not None else {}
            with suppress(StoreConflict):
                if known:
                    self._store.put_note(_NOTE, notices.packed(known), replaces=version)
                elif not self._store.drop_note(_NOTE, str(version)):
                    continue
                if token is not None and _is_down(after) and not _is_down(before):
                    self._report("outage", token, issuer=issuer)
                elif token is not None and _is_down(before) and not _is_down(after):
                    self._report("outage_over", token, issuer=issuer)
                return after
        raise AssertionError  # attempts() has raised

    def _answers(self, issuer: str, outage: Outage) -> bool:
        """Ask a provider for nothing. False: it does not answer, or can't be asked."""
        with letting_go():
            provider = self._providers.named(outage.provider or self._providers.default)
            reply = provider.probe(issuer)
            return reply is not None and reply.status < _SERVER_ERROR
        return False

    def _is_over(self, issuer: str, outage: Outage, now: float) -> bool:
        """Tell whether an outage that was noted is over, though nobody has said so."""
        with letting_go(StoreError):
            row = self._store.reread(outage.token_id)
            failure = row.renewal.failure if row is not None else None
            if row is not None and (failure is None or failure.kind != "transient"):
                return True
        return now - outage.seen_at > notices.OVER_LASTS and self._answers(issuer, outage)

    def _tell_outage(self, issuer: str, outage: Outage, a_round: Round) -> None:
        notice, now = outage.notice, self._clock.now()
        if notice.next_at is None or notice.next_at > now:
            return
        if _is_down(outage) and not outage.is_wide and self._answers(issuer, outage):
            # It is one token's trouble, as far as anybody knows.
            later = replace(notice, next_at=now + notices.OVER_LASTS)
            self._changed(issuer, partial(_with_notice, notice=notice, changed=later))
            return
        facts = notices.facts(notice, provider=outage.provider, issuer=issuer)

        def claim(mine: Notice) -> bool:
            wrote = False

            def change(known: Outage | None) -> Outage | None:
                nonlocal wrote
                wrote = known is not None and known.notice == notice
                return _with_notice(known, notice, mine)

            self._changed(issuer, change)
            return wrote

        left = self._told(notice, facts, claim, a_round)
        if left is not None:
            self._changed(issuer, partial(_settled, notice=notice, left=left))

    # Telling

    def tell(self, token: Token, a_round: Round) -> None:
        """
        Tell what a row has to tell, if it is due and nobody else does.

        Raises:
            StoreError: The row can't be read or written.
        """
        notice, due = token.renewal.notice, notices.next_tell(token)
        if notice is None or due is None or due > self._clock.now():
            return
        facts = notices.facts(
            notice,
            token_id=token.id,
            user=token.user,
            provider=token.provider or self._providers.default,
            issuer=token.issuer,
            login_link=self._whom.login_link(token) if self._whom else None,
        )
        left = self._told(notice, facts, partial(self._write, token, notice), a_round)
        if left is not None:
            self._write(token, notice, left, is_mine=True)

    def _write(
        self, token: Token, notice: Notice, changed: Notice, *, is_mine: bool = False
    ) -> bool:
        """Write a changed notice. False: something else has happened, or others tell it by now."""
        row: Token | None = token
        for _ in attempts(token.id, token.user):
            now = row.renewal.notice if row is not None else None
            if row is None or not notices.is_same(now, notice):
                return False
            if not is_mine and (now != notice or notices.next_tell(row) is None):
                return False
            with suppress(StoreConflict):
                self._store.swap(row.with_renewal(notice=changed))
                return True
            row = self._store.reread(str(token.id))
        raise AssertionError  # attempts() has raised

    def _told(
        self,
        notice: Notice,
        facts: dict[str, object],
        claim: Callable[[Notice], bool],
        a_round: Round,
    ) -> Notice | None:
        """Claim a notice and tell it; return what it is then. None: nothing came of it."""
        about = f"{notice.what} of {facts['token_id'] or facts['issuer']}"
        began = self._clock.monotonic(), self._clock.now()
        if not self._whom:
            # Else sweeps would find it due for ever.
            return None if self._others_tell(a_round) else replace(notice, next_at=None)
        if self._whom.names <= {*notice.told}:
            return None  # the others are another host's
        if a_round.misses >= _MISSES:
            a_round.untold += 1
            return None
        mine = notices.claimed(notice, began[1])
        if not (claim(mine) and self._is_in_time(began)):
            return None
        answers = self._whom.tell(facts, self._clock.now(), told=notice.told)
        missed = [why for why in answers.values() if why]
        took = [name for name, why in answers.items() if not why]
        left = notices.told(mine, took, is_done=not missed)
        a_round.misses = a_round.misses + 1 if missed else 0
        a_round.untold += bool(missed)
        a_round.told += not missed
        for why in missed:
            logger.warning("%s was not told: %s", about, why)
        if missed and left.next_at is None:
            logger.error("%s is not told any more after %d tries", about, left.tries)
        return left if left != mine else None

    def _say(self) -> None:
        """Let those who have nobody to tell know that this host has: they leave it to this one."""
        monotonic, now = self._clock.monotonic(), self._clock.now()
        if not self._whom or monotonic - self._said < notices.SAYS_EVERY:
            return
        self._said = monotonic
        found = self._store.note(_TELLS)
        if found is None or abs(now - float(found[1]["at"])) >= notices.SAYS_EVERY:
            version, until = found and found[0], now + notices.SAID_FOR
            with suppress(StoreConflict):  # another one says the same
                self._store.put_note(_TELLS, {"at": str(now)}, replaces=version, until=until)

    def _others_tell(self, a_round: Round) -> bool:
        if a_round.others_tell is None:
            a_round.others_tell = self._store.note(_TELLS) is not None
        return a_round.others_tell

    def _is_in_time(self, began: tuple[float, float]) -> bool:
        """Tell whether nobody else is at it yet: this process may have been suspended."""
        gone = max(self._clock.monotonic() - began[0], self._clock.now() - began[1])
        return gone < notices.TELLING

    def _soon(self, token: Token) -> None:
        self._begin(partial(self.tell, token))

    def _begin(self, work: Callable[[Round], object]) -> None:
        """Tell something in a thread of this process's own, or leave it to a sweep."""
        if not self._whom or len(self._waiting) >= _MOST_WAITING:
            return
        self._waiting.append(work)
        with suppress(RuntimeError):  # no more threads: the interpreter is ending, or a limit
            threading.Thread(target=self._work, name="tokenkeep-notices", daemon=True).start()

    def _work(self) -> None:
        """Tell what waits; one thread at a time does."""
        while self._waiting and self._busy.acquire(blocking=False):
            try:
                a_round = Round()
                with letting_go():
                    self._say()
                while self._waiting:
                    with letting_go(), suppress(IndexError):  # close() has emptied it
                        self._waiting.popleft()(a_round)
            finally:
                self._busy.release()


@dataclass
class Round:
    """
    One walk through what is due. Where nobody takes anything, it stops trying.

    Args:
        told: How many notices were told.
        untold: How many were not taken, or not tried any more.
        misses: How many in a row were not taken.
        others_tell: Whether another host has somebody to tell. None if nobody has looked.
    """

    told: int = 0
    untold: int = 0
    misses: int = 0
    others_tell: bool | None = None


def _is_down(outage: Outage | None) -> bool:
    return outage is not None and outage.notice.what == notices.OUTAGE


def _with_notice(known: Outage | None, notice: Notice, changed: Notice) -> Outage | None:
    """Return an outage with a changed notice, if its own is this one."""
    return replace(known, notice=changed) if known and known.notice == notice else known


def _settled(known: Outage | None, notice: Notice, left: Notice) -> Outage | None:
    """Return what is known of an outage once its notice was told, to some or to all."""
    if known is None or not notices.is_same(known.notice, notice):
        return known
    if left.next_at is None and not _is_down(known):
        return None
    return replace(known, notice=left, is_told=known.is_told or left.next_at is None)
