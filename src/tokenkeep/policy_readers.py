"""Which policies each process has that goes on for long: one note of the store for all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tokenkeep import holder
from tokenkeep.errors import StoreConflict
from tokenkeep.swapping import attempts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.store import Store

TOLD_EVERY = 86_400.0
"""How often a process says it again, in seconds; who has not for a week is gone."""

MOST = 200
"""So many are noted, the newest ones."""

_NOTE = "policy readers"
_KEPT = 7 * TOLD_EVERY


class PolicyReader(NamedTuple):
    """A process, for people; the version of its policies, and when it said so, epoch seconds."""

    process: str
    version: str
    at: float


def tell(store: Store, version: str, now: float) -> None:
    """Note that this process has policies of that version."""
    for _ in attempts():
        was, facts = store.note(_NOTE) or (None, {})
        others = [each for each in _living(facts, now).items() if each[0] != holder.me()]
        new = dict([*others, (holder.me(), f"{version} {now:.0f}")][-MOST:])
        with suppress(StoreConflict):
            store.put_note(_NOTE, new, replaces=was, until=now + _KEPT)
            return


def told(store: Store, now: float) -> list[PolicyReader]:
    """Return what processes have told, but for those that are known to be gone."""
    _, facts = store.note(_NOTE) or (None, {})
    said = ((holder.name(each), *fact.split()) for each, fact in _living(facts, now).items())
    return [PolicyReader(process, version, float(at)) for process, version, at in said]


def _living(facts: Mapping[str, str], now: float) -> dict[str, str]:
    return {
        each: fact
        for each, fact in facts.items()
        if now - float(fact.split()[1]) < _KEPT and not holder.is_dead(each)
    }
