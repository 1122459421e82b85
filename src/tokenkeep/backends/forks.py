"""
Forks and signals: no child inherits a lock that is taken or a connection that
is open, and no thread waits for itself.

SQLite's own rule is that a connection must not cross a fork; a child that
opens another one beside it loses commits. So every `ForkSafe` object is
brought to rest before the fork, and both sides start again from there.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 10.0
"""
How long a fork waits for a call that is under way, in seconds. No call holds
the lock while it waits for another process, so only a disk that hangs is as
slow. The child then gets a connection it must not use, and is told so.
"""


class ForkSafe:
    """
    Something with a lock, ``self._lock``, that is at rest while the process forks.

    A signal handler or a finalizer may call a method while its own thread is
    in the midst of one. The lock lets it in, lest it waits for ever;
    ``self._inside`` tells it to turn back.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._inside = False
        with _all.lock:
            _all.members.add(self)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """
        Keep other threads out.

        Raises:
            StoreUnavailable: This thread is inside already.
        """
        with self._lock:
            if self._inside:
                raise reentered()
            try:
                self._inside = True
                yield
            finally:
                self._inside = False

    def _rest(self) -> None:
        """Close what a child must not inherit. Called with the lock held; may not raise."""


def reentered() -> StoreUnavailable:
    """Return the error for a call in the midst of another one of the same thread."""
    return StoreUnavailable(
        "The store was asked by a signal handler or finalizer that interrupted "
        "a call of the same thread to it",
        hint="Set a flag in the handler, and ask outside of it",
    )


class _All:
    """Every living `ForkSafe` object of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.members: WeakSet[ForkSafe] = WeakSet()
        self.resting: list[ForkSafe] = []

    def before(self) -> None:
        self.lock.acquire()
        for member in list(self.members):
            if not member._lock.acquire(timeout=_PATIENCE):  # noqa: SLF001 - one idea, two classes
                continue
            self.resting.append(member)
            if not member._inside:  # noqa: SLF001 - else this is a fork in a signal handler
                member._rest()  # noqa: SLF001

    def after_in_parent(self) -> None:
        for member in self.resting:
            member._lock.release()  # noqa: SLF001
        self.resting.clear()
        self.lock.release()

    def after_in_child(self) -> None:
        for member in list(self.members):
            member._lock = threading.RLock()  # noqa: SLF001
            member._inside = False  # noqa: SLF001
        self.resting.clear()
        self.lock = threading.RLock()


_all = _All()

if hasattr(os, "register_at_fork"):  # not on Windows, which can't fork
    os.register_at_fork(
        before=_all.before,
        after_in_parent=_all.after_in_parent,
        after_in_child=_all.after_in_child,
    )
