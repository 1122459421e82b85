"""
Forks: no child inherits a lock that is taken or a connection that is open.

SQLite's own rule is that a connection must not cross a fork; a child that
opens another one beside it loses commits. So every `ForkSafe` object is
brought to rest before the fork, and both sides start again from there.
What has locks of another kind begins with new ones in the child.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

PATIENCE = 10.0
"""
How long a fork waits for the calls to a store that are under way, in seconds. No
call holds the lock while it waits for another process, so only a disk that hangs is
as slow. The child then gets a connection it must not use, and is told so.
"""


class HasLocks(Protocol):
    """Something with locks or other state of one process."""

    def renew_locks(self) -> None:
        """Replace what must not be shared with the parent."""


def renew_in_child(thing: HasLocks) -> None:
    """Call ``thing.renew_locks()`` in each child process, as long as it lives."""
    _things[id(thing)] = thing


class ForkSafe:
    """Something with a lock, ``self._lock``, that is at rest while the process forks."""

    def __init__(self) -> None:
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        """Begin with a new lock: a thread of the parent may hold the old one."""
        # It lets a signal handler or finalizer in that interrupts its own thread, lest
        # that waits for ever; `_inside` tells it to turn back.
        self._lock = threading.RLock()
        self._inside = False

    def _alone(self, work: Callable[[], _Result]) -> _Result:
        """Do something while other threads are kept out; `reentered` if this one is inside."""
        # No context manager of Python code: where a signal handler raises as it
        # is entered, the lock stays taken as long as somebody keeps the error.
        with self._lock:
            if self._inside:
                raise reentered()
            try:
                self._inside = True
                return work()
            finally:
                self._inside = False

    def _rest(self) -> None:
        """Close what a child must not inherit; may be repeated. Called with the lock held."""

    def before_fork(self) -> bool:
        """Come to rest until `after_fork`. False where a call is under way, and takes too long."""
        if not self._lock.acquire(timeout=PATIENCE):
            return False
        if self._inside:  # a signal handler forks, in the midst of a call
            self._lock.release()
            return False
        self._inside = True  # what a hook of the application's asks from here on is refused
        self._rest()
        return True

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self._inside = False
        self._lock.release()


def reentered() -> StoreUnavailable:
    """Return the error for a call in the midst of another one of the same thread."""
    return StoreUnavailable(
        "The store was asked by a signal handler or finalizer that interrupted "
        "a call of the same thread to it, or by a hook before a fork",
        hint="Set a flag in the handler, and ask outside of it. Greenlets are kept apart only "
        "where gevent has patched before tokenkeep was imported",
    )


_things: WeakValueDictionary[int, HasLocks] = WeakValueDictionary()
_resting: list[ForkSafe] = []
_forking = threading.RLock()
"""One thread forks at a time."""


def _living() -> list[HasLocks]:
    # Not values(): that would go through the dictionary while other threads add to it.
    things = [ref() for ref in _things.valuerefs()]
    return [thing for thing in things if thing is not None]


def _before() -> None:
    _forking.acquire()
    things = [thing for thing in _living() if isinstance(thing, ForkSafe)]
    _resting.extend(thing for thing in things if thing.before_fork())


def _after_in_parent() -> None:
    while _resting:
        _resting.pop().after_fork()
    _forking.release()


def _after_in_child() -> None:
    global _forking  # noqa: PLW0603 - one of a process
    # A library that forks by itself, as uWSGI, tells only the child; and another thread of
    # the parent's may have been about to fork.
    _forking = threading.RLock()
    _resting.clear()
    for thing in _living():
        thing.renew_locks()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
