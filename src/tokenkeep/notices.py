"""
What is told outside of a token's death and recovery, and of outages: once by the fleet. Pure.

A notice lies in the row, or in a note of the store, and is written there by the same write as
what it tells. Whoever tells it claims it first, by compare and write, and takes it out when it
is told. What turns out to be over before anybody has begun to tell it is told to nobody.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tokenkeep.lookup import digest_of
from tokenkeep.token import Notice, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tokenkeep.token import Token

LOGIN_NEEDED, RECOVERED = "login_needed", "recovered"
OUTAGE, OUTAGE_OVER = "outage", "outage_over"

TELLING = 30.0
"""How long telling something may take, in seconds; others leave it alone for twice as long."""

LONGEST_PAUSE = 3600.0
"""How long after a try that failed the next one is at most, in seconds."""

MOST_TRIES = 30
"""After so many it is given up: a day and an hour, whatever a clock does meanwhile."""

FORGOTTEN = 7 * 86_400.0
"""After how long an outage is forgotten that nobody has met again, in seconds."""

SAYS_EVERY = 86_400.0
"""How often a host that has somebody to tell says so to the others, in seconds."""

SAID_FOR = 8 * 86_400.0
"""How long that is believed, in seconds. Else nobody waits: what is to be told is dropped."""

OUTAGE_LASTS = 60.0
"""An outage that is over sooner is not told, in seconds."""

OVER_LASTS = 300.0
"""Nor is an end after which the next one comes sooner, in seconds."""

FAILURES = 3
"""So many renewals of a token that failed in a row are an outage."""

_HINTS = {
    LOGIN_NEEDED: "Let this user log in again",
    RECOVERED: "Nothing is to be done: the token works again",
    OUTAGE: "Nothing is to be done: no token is lost, and renewals are tried again by themselves",
    OUTAGE_OVER: "Nothing is to be done: tokens are renewed again",
}


# Of a row


def died(before: Notice | None, at: float, error: str) -> Notice:
    """Return the notice of a row that its provider has rejected; *before* is what it has."""
    if before is not None and before.what == LOGIN_NEEDED:
        return before  # it was dead already, and somebody has asked once more
    new = Notice(what=LOGIN_NEEDED, at=at, error=error, next_at=at)
    return new if before is None or before.next_at is None else _behind(new)


def recovered(before: Notice | None, at: float) -> Notice | None:
    """Return the notice of a row that works (again)."""
    if before is None or (before.what == RECOVERED and before.next_at is None):
        return None
    if before.what == RECOVERED:
        return before
    new = Notice(what=RECOVERED, at=at, since=before.at)
    if not before.tries:
        return new  # a death that nobody has begun to tell goes, and so does this
    return replace(new, next_at=at) if before.next_at is None else _behind(new)


def moved(notice: Notice | None) -> Notice | None:
    """Return the notice of a row that was copied from another store, which tells it itself."""
    return notice and replace(notice, next_at=None)


def next_tell(token: Token) -> float | None:
    """Return when what a row has to tell is due, in epoch seconds. None if it has nothing."""
    notice = token.renewal.notice
    if notice is None or token.ended or not _is_true(notice, token):
        return None
    return notice.next_at


def _is_true(notice: Notice, token: Token) -> bool:
    """Tell whether a notice says what is so: not while somebody insists on one renewal more."""
    return token.status is (Status.LOGIN_NEEDED if notice.what == LOGIN_NEEDED else Status.OK)


def _behind(new: Notice) -> Notice:
    """Let what is on its way arrive before the next; somebody may know of it."""
    return replace(new, tries=1 if new.what == LOGIN_NEEDED else 0, next_at=new.at + TELLING)


# Telling


def claimed(notice: Notice, now: float) -> Notice:
    """Return a notice that one process tells now, and the others if that one has not by then."""
    pause = min(2 * TELLING * 2.0 ** min(notice.tries, 6), LONGEST_PAUSE)
    return replace(notice, tries=notice.tries + 1, next_at=now + pause)


def is_same(notice: Notice | None, other: Notice) -> bool:
    """Tell whether two are about the same thing that happened."""
    return notice is not None and (notice.what, notice.at) == (other.what, other.at)


def told(notice: Notice, by: Collection[str], *, is_done: bool) -> Notice:
    """Return a notice that some have taken; nobody is left if it *is_done*, or tried too often."""
    both = tuple(dict.fromkeys((*notice.told, *by)))
    is_over = is_done or notice.tries >= MOST_TRIES
    return replace(notice, told=both, next_at=None if is_over else notice.next_at)


def facts(
    notice: Notice,
    *,
    token_id: str | None = None,
    user: str | None = None,
    provider: str | None = None,
    issuer: str | None = None,
    login_link: str | None = None,
) -> dict[str, object]:
    """
    Return what is told, without a secret.

    The ``id`` is the same however often it is told; ``lasted`` is in seconds.
    """
    about = token_id or issuer
    return {
        "id": digest_of(f"{about} {notice.what} {notice.at!r}")[:32],
        "event": notice.what,
        "at": notice.at,
        "token_id": token_id,
        "user": user,
        "provider": provider,
        "issuer": issuer,
        "error": notice.error,
        "lasted": None if notice.since is None else max(0.0, notice.at - notice.since),
        "hint": _HINTS.get(notice.what, "This is a test: nothing has happened"),
        "login_link": login_link if notice.what not in (RECOVERED, OUTAGE, OUTAGE_OVER) else None,
    }


# Outages


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """
    A provider that gives no definite answer, by its issuer.

    Args:
        provider: Its name.
        token_id: A token that met it.
        seen_at: When somebody met it last, to a few minutes, in epoch seconds.
        is_told: Whether it was told that it began.
        is_wide: Whether several tokens met it.
        notice: That it began, or that it is over.
    """

    provider: str | None
    token_id: str
    seen_at: float
    notice: Notice
    is_told: bool = False
    is_wide: bool = False


def down(
    before: Outage | None, *, provider: str | None, token_id: str, error: str, now: float
) -> Outage:
    """Return what is known of an issuer at which a renewal has failed again."""
    new = Notice(what=OUTAGE, at=now, error=error, next_at=now + OUTAGE_LASTS)
    if before is None:
        return Outage(provider=provider, token_id=token_id, seen_at=now, notice=new)
    if before.notice.what == OUTAGE:
        is_wide = before.is_wide or token_id != before.token_id
        is_fresh = abs(now - before.seen_at) < OVER_LASTS
        return replace(before, is_wide=is_wide, seen_at=before.seen_at if is_fresh else now)
    if before.notice.tries:  # the end is being told
        return replace(before, seen_at=now, is_told=False, notice=replace(new, tries=1))
    began = before.notice.since or now
    next_at = None if before.is_told else now + OUTAGE_LASTS
    goes_on = Notice(what=OUTAGE, at=began, error=error, tries=1, next_at=next_at)
    return replace(before, seen_at=now, notice=goes_on)


def up(before: Outage | None, now: float, *, lasts: float = OVER_LASTS) -> Outage | None:
    """Return what is known of an issuer after a success, told if that *lasts* so long."""
    if before is None or before.notice.what == OUTAGE_OVER:
        return before
    began = before.notice
    if not began.tries:
        return None  # nobody knows that it began
    over = Notice(what=OUTAGE_OVER, at=now, since=began.at, next_at=now + lasts)
    return replace(before, notice=over)


def packed(outages: Mapping[str, Outage]) -> dict[str, str]:
    """Return outages, by issuer, as the facts of a note."""
    return {issuer: json.dumps(asdict(outage)) for issuer, outage in outages.items()}


def unpacked(facts_of: Mapping[str, str]) -> dict[str, Outage]:
    """Return the outages that a note tells of; what a later version has put there is left out."""
    found = {}
    for issuer, text in facts_of.items():
        with suppress(ValueError, KeyError, TypeError):  # nobody's renewal fails because of it
            found[issuer] = _outage(json.loads(text))
    return found


def _outage(inside: dict[str, Any]) -> Outage:
    known = {name: inside[name] for name in Outage.__slots__ if name in inside}
    said = {name: fact for name, fact in known["notice"].items() if name in Notice.__slots__}
    known["notice"] = Notice(**{**said, "told": tuple(said["told"])})
    return Outage(**known)
