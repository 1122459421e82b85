"""
Forks and signals: no child inherits a lock that is taken or a connection that
is open, and no thread waits for itself.

SQLite's own rule is that a connection must not cross a fork; a child that
opens another one beside it loses commits. So every `ForkSafe` object is
brought to rest before the fork, and both sides start again from there.
What has locks of another kind begins with new ones in the child.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

PATIENCE = 10.0
"""
How long a fork waits for the calls that are under way, in seconds. No call
holds the lock while it waits for another process, so only a disk that hangs is
as slow. The child then gets a connection it must not use, and is told so.
"""


class HasLocks(Protocol):
    """Something with locks or other state of one process."""

    def renew_locks(self) -> None:
        """Replace what must not be shared with the parent."""


def renew_in_child(thing: HasLocks) -> None:
    """Call ``thing.renew_locks()`` in each child process, as long as it lives."""
    _forks.add(thing)


class ForkSafe:
    """
    Something with a lock, ``self._lock``, that is at rest while the process forks.

    A signal handler or a finalizer may call a method while its own thread is
    in the midst of one. The lock lets it in, lest it waits for ever;
    ``self._inside`` tells it to turn back.
    """

    def __init__(self) -> None:
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        """Begin with a new lock: a thread of the parent may hold the old one."""
        self._lock: Any = (
            threading.RLock()
        )  # typeshed lacks _is_owned, as threading.Condition uses
        self._inside = self._at_fork = False

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

    def before_fork(self, deadline: float) -> None:
        """Come to rest, until `after_fork`; or not, where a call takes longer than *deadline*."""
        if not self._lock._is_owned():  # else it is in the midst of a call  # noqa: SLF001
            self._at_fork = True
            self._lock.acquire(timeout=max(0.0, deadline - monotonic()))
        if self._at_fork and self._lock._is_owned():  # noqa: SLF001
            self._inside = True
            self._rest()

    def after_fork(self) -> None:
        """Go on, in the parent."""
        if self._at_fork:
            if self._lock._is_owned():  # noqa: SLF001
                self._inside = False
                self._lock.release()
            self._at_fork = False


def reentered() -> StoreUnavailable:
    """Return the error for a call in the midst of another one of the same thread."""
    return StoreUnavailable(
        "The store was asked by a signal handler or finalizer that interrupted "
        "a call of the same thread to it",
        hint="Set a flag in the handler, and ask outside of it. Greenlets are kept apart only "
        "where gevent has patched before tokenkeep was imported",
    )


class _Forks:
    """
    What is done around each fork of this process.

    Python forks and goes on whatever a signal handler raises meanwhile. So
    each step may be left at any line and done again, and is.
    """

    def __init__(self) -> None:
        self._things: WeakValueDictionary[int, HasLocks] = WeakValueDictionary()
        self._kinds: set[type] = set()
        self._one_at_a_time: Any = threading.RLock()
        self._deadline: float | None = None

    def add(self, thing: HasLocks) -> None:
        self._things[id(thing)] = thing
        if type(thing) not in self._kinds and _can_fork:
            # Who registered last is called first. Libraries that a store is made
            # with may have registered since, and hold everybody up from then on:
            # filelock does, and a save that it holds up would hold us up.
            os.register_at_fork(before=self.before)
            self._kinds.add(type(thing))

    def before(self) -> None:
        if not self._one_at_a_time._is_owned():  # noqa: SLF001
            self._one_at_a_time.acquire()
        if self._deadline is None:
            self._deadline = monotonic() + PATIENCE
        for thing in self._living():
            if isinstance(thing, ForkSafe):
                thing.before_fork(self._deadline)

    def after_in_parent(self) -> None:
        for thing in self._living():
            if isinstance(thing, ForkSafe):
                thing.after_fork()
        self._deadline = None
        if self._one_at_a_time._is_owned():  # noqa: SLF001
            self._one_at_a_time.release()

    def after_in_child(self) -> None:
        self._deadline, self._one_at_a_time = None, threading.RLock()
        for thing in self._living():
            thing.renew_locks()

    def _living(self) -> list[HasLocks]:
        # Not values(): that would go through the dictionary while other threads add to it.
        things = [ref() for ref in self._things.valuerefs()]
        return [thing for thing in things if thing is not None]


_forks = _Forks()
_can_fork = hasattr(os, "register_at_fork")  # not on Windows

for _each in range(3 * _can_fork):  # a signal handler may raise in one of these functions
    os.register_at_fork(
        before=_forks.before,
        after_in_parent=_forks.after_in_parent,
        after_in_child=_forks.after_in_child,
    )
