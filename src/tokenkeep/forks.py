"""New locks in a child process: the parent's may be held by a thread that is not here."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class HasLocks(Protocol):
    """Something with locks or other state of one process."""

    def renew_locks(self) -> None:
        """Replace what must not be shared with the parent."""


_all: WeakSet[HasLocks] = WeakSet()


def renew_in_child(thing: HasLocks) -> None:
    """Call ``thing.renew_locks()`` in each child process, as long as it lives."""
    _all.add(thing)


def _renew() -> None:
    for thing in list(_all):
        thing.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
