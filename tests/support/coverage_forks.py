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


class LockOfOneProcess:
    """A lock that a forked child finds free, whoever held it in its parent."""

    def __init__(self):
        self._renew()

    def _renew(self):
        self._lock, self._process = threading.Lock(), os.getpid()

    def acquire(self):
        if self._process != os.getpid():
            self._renew()
        return self._lock.acquire()

    def release(self):
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
