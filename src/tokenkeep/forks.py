"""New locks in a child process: the parent's may be held by a thread that is not here."""

from __future__ import annotations

from tokenkeep.backends.forks import HasLocks, renew_in_child

__all__ = ["HasLocks", "renew_in_child"]
