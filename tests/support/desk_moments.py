"""Other tabs, and what happens while a desk is busy."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager

from desk_driver import Browser


def copy_of(browser):
    """Return another tab: the cookie as it is now, and what comes of it."""
    tab = Browser(browser.desk)
    tab.cookies = dict(browser.cookies)
    return tab


@contextmanager
def meanwhile(fault, ask, *given):
    """Ask for something that a fault holds up there; be done with it at the end; yield answers."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(*given)))
    thread.start()
    assert fault.wait()
    yield answers
    thread.join()


@contextmanager
def locked(desk):
    """Let nobody write the desk's own file."""
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def token_id(page):
    """Return the id of the login that a page is of."""
    return page.source.partition("<code>")[2].partition("</code>")[0]
