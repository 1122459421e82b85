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


def pytest_configure():
    set_right()


def set_right():
    """Let processes that are forked from this one go on, whatever its threads do."""
    # Where something is measured, it is loaded; loading it takes long where nothing is.
    if coverage := sys.modules.get("coverage"):
        measuring = coverage.Coverage.current()
        if measuring is not None:
            _renew_lock(measuring)
            os.register_at_fork(after_in_child=lambda: _renew_lock(measuring))


def _renew_lock(measuring):
    # One that a signal handler can take again, whatever the thread that it interrupts holds.
    measuring._collector.data_lock = threading.RLock()  # noqa: SLF001  # coverage has no public way to it
