"""
Forks under coverage.py.

Its tracers share a lock, and a child that is forked while another thread of its
parent holds it would wait for ever. Its own remedy, ``patch = fork``, starts it anew
in each child, which takes a tenth of a second; our tests fork hundreds of times.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress


class LockOfOneProcess:
    """
    A lock that a forked child finds free, whoever held it in its parent.

    So does who comes after a signal handler that raised between taking it and releasing it.
    """

    def __init__(self):
        self._renew()

    def _renew(self):
        self._lock, self._process = threading.RLock(), os.getpid()

    def acquire(self):
        if self._process != os.getpid():
            self._renew()
        if not self._lock.acquire(timeout=1.0):
            self._renew()
            self._lock.acquire()
        return True

    def release(self):
        with suppress(RuntimeError):  # of a lock that was given up
            self._lock.release()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *exc_info):
        self.release()


def pytest_configure():
    set_right()


def set_right():
    """Let processes that are forked from this one go on, whatever its threads do."""
    # Where something is measured, it is loaded; loading it takes long where nothing is.
    if coverage := sys.modules.get("coverage"):
        measuring = coverage.Coverage.current()
        if measuring is not None:
            measuring._collector.data_lock = LockOfOneProcess()  # noqa: SLF001  # coverage has no public way to it
