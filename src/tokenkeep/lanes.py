"""
Many calls at a time, but only so many to one place; all else stays in the caller's thread.

The threads make calls and nothing else. What is read before a call and written after it is
the caller's: whoever stops in the midst leaves nothing behind that still writes.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from tokenkeep.backends.waiting import NoThread, begin

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

AT_ONCE = 16
"""How many calls are under way at most."""

AT_ONE_PLACE = 8
"""How many of them to one place."""

AHEAD = 64
"""
How many items are looked at before it is their turn: where the next ones are all for a place
that is slow, there may be others among them.
"""

_LOOK_UP = 0.5
"""How long it is waited at once for what is under way, in seconds."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def many(
    items: Iterable[_Item],
    place_of: Callable[[_Item], Hashable],
    start: Callable[[_Item], Future[_Result] | None],
) -> Iterator[_Result]:
    """
    Start something for each item, many at a time, and yield what comes of it as it comes.

    To a place that has not answered yet one call is made, and the others wait for what comes of
    it: it may be mute.

    Args:
        items: Read as their turn comes nearer.
        place_of: Where an item's call goes.
        start: Called for each item when it is its turn, such as with `call`. None: nothing is
            to be waited for, nor yielded.
    """
    source = iter(items)
    waiting: list[tuple[Hashable, _Item]] = []
    running: dict[Future[_Result], Hashable] = {}
    at: Counter[Hashable] = Counter()
    has_answered: set[Hashable] = set()
    while True:
        waiting += ((place_of(item), item) for item in islice(source, AHEAD - len(waiting)))
        if not (waiting or running):
            return
        held_up = []
        for place, item in waiting:
            most = AT_ONE_PLACE if place in has_answered else 1
            if len(running) >= AT_ONCE or at[place] >= most:
                held_up.append((place, item))
            elif (begun := start(item)) is not None:
                running[begun] = place
                at[place] += 1
        waiting = held_up
        # Not for ever: a Ctrl-C that comes as the wait begins is seen at its end.
        for done in wait(running, _LOOK_UP, FIRST_COMPLETED).done if running else ():
            place = running.pop(done)
            at[place] -= 1
            has_answered.add(place)
            yield done.result()


def call(work: Callable[[], _Result]) -> Future[_Result]:
    """Begin a call in a thread of its own; where none can be started, make it here."""
    try:
        return begin(work)
    except NoThread:
        return at_once(work())


def at_once(result: _Result) -> Future[_Result]:
    """Return what is there already as something that was waited for."""
    there: Future[_Result] = Future()
    there.set_result(result)
    return there
