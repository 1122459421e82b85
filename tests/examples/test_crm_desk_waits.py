"""Whoever has to wait at the sample application holds nobody else up."""

from __future__ import annotations

import fcntl
import threading
import time
from contextlib import contextmanager

from conftest import ANA
from desk_driver import Browser


@contextmanager
def unreadable(desk):
    """Make whoever reads the desk's own file wait, as a slow disk would."""
    # SQLite's own locks on its write-ahead log: all eight.
    with (desk.folder / "desk/emulated/desk.db-shm").open("r+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, 8, 120)
        yield


def timed(ask):
    began = time.monotonic()
    return ask(), time.monotonic() - began


def test_slow_file(browser, desk):
    """While one waits for the desk's own file, what does not need it is there at once."""
    browser.log_in(ANA)
    with unreadable(desk):
        waiting = threading.Thread(target=browser.get, args=("/leads",))
        waiting.start()
        time.sleep(0.5)
        health, took = timed(lambda: Browser(desk).get("/health"))
        file, took_file = timed(lambda: browser.get("/static/desk.css"))
        still_waits = waiting.is_alive()
    waiting.join()

    assert (health.status, file.status) == (200, 200)
    assert still_waits
    assert took < 1
    assert took_file < 1
    assert browser.get("/leads").status == 200
