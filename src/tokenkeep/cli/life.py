"""A token's life in sentences: what its history tells, as a person would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.cli.session import time_left
from tokenkeep.clock import CLOCK_TOLERANCE, moment
from tokenkeep.policy import by_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenkeep.token import Happening

_DEEDS = {
    "login": ("logged in", "by"),
    "renewed": ("renewed", "by"),
    "failed": ("could not be renewed", "by"),
    "login_needed": ("refused by the provider", "asked by"),
    "revoked": ("revoked", "by"),
}
"""What happened, in words, and how whoever did it is added."""

_UNITS = {"d": "days", "h": "hours", "min": "minutes", "s": "seconds"}


def told(history: Sequence[Happening], now: float) -> list[str]:
    """Return a sentence for each run of a history, the oldest first; *now* is in epoch seconds."""
    return [_sentence(each, now) for each in history] or ["nothing is known of its life"]


def _sentence(run: Happening, now: float) -> str:
    deed, by = _DEEDS.get(run.what, (run.what, "by"))
    if run.what == "revoked" and run.by and run.by.startswith(by_policy("")):
        deed = "ended"
    who = f" {by} {run.by}" if run.by else ""
    if run.count == 1:
        return f"{deed}{who} {_when(run.at, now)}"
    times = "twice" if run.count == 2 else f"{run.count:,} times"  # noqa: PLR2004  # as it is said
    return f"{deed} {times} since {_minute(run.since)}, last{who} {_when(run.at, now)}"


def ago(seconds: float) -> str:
    """Return how long ago something was, as people say it."""
    words = time_left(seconds) if seconds >= 1 else None
    if words is None:
        return "just now"
    number, unit = words.split()
    return f"{number} {_UNITS[unit] if number != '1' else _UNITS[unit][:-1]} ago"


def _when(at: float, now: float) -> str:
    if at - now > CLOCK_TOLERANCE:  # by another host's clock; nothing is told of the future
        return f"at {_minute(at)}"
    return f"{ago(now - at)} ({_minute(at)})"


def _minute(at: float) -> str:
    """Return a time to the minute, in UTC."""
    said = str(moment(at))
    return f"{said[:16].replace('T', ' ')} UTC" if said.endswith("Z") else said
