"""
Forks: no child inherits a lock that is taken or a connection that is open.

SQLite's own rule is that a connection must not cross a fork; a child that
opens another one beside it loses commits. So every `ForkSafe` object is
brought to rest before the fork, and both sides start again from there.
"""

from __future__ import annotations

import os
import threading
from weakref import WeakSet

_PATIENCE = 10.0
"""
How long a fork waits for a call that is under way, in seconds. After that the
child gets a connection it must not use, and is told so when it tries.
"""


class ForkSafe:
    """Something with a lock, ``self._lock``, that is at rest while the process forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        with _all.lock:
            _all.members.add(self)

    def _rest(self) -> None:
        """Close what a child must not inherit. Called with the lock held; may not raise."""


class _All:
    """Every living `ForkSafe` object of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.members: WeakSet[ForkSafe] = WeakSet()
        self.resting: list[ForkSafe] = []

    def before(self) -> None:
        self.lock.acquire()
        for member in list(self.members):
            if member._lock.acquire(timeout=_PATIENCE):  # noqa: SLF001 - one idea, two classes
                self.resting.append(member)
                member._rest()  # noqa: SLF001

    def after_in_parent(self) -> None:
        for member in self.resting:
            member._lock.release()  # noqa: SLF001
        self.resting.clear()
        self.lock.release()

    def after_in_child(self) -> None:
        for member in list(self.members):
            member._lock = threading.Lock()  # noqa: SLF001
        self.resting.clear()
        self.lock = threading.Lock()


_all = _All()

if hasattr(os, "register_at_fork"):  # not on Windows, which can't fork
    os.register_at_fork(
        before=_all.before,
        after_in_parent=_all.after_in_parent,
        after_in_child=_all.after_in_child,
    )
