"""Whoever has to wait at the sample application holds nobody else up."""

from __future__ import annotations

import fcntl
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import requests
from desk_driver import ANA, Browser
from zohocrmsdk.src.com.zoho.crm.api.util import api_http_connector

from crm_desk.sdk_limits import limit_changes
from crm_desk.turns import Turns


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


def test_changes_that_hang(browser, zoho):
    """They leave turns for reading; what got no turn was not sent, and is told so."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    fault = zoho.faults.add(endpoint="records", kind="hang", times=5)
    answers = []

    def add(name):
        answers.append(browser.send(page, "/leads", Last_Name=name))

    hanging = [threading.Thread(target=add, args=(f"Hung {each}",)) for each in range(5)]
    late = threading.Thread(target=add, args=("Late",))
    for each in hanging:
        each.start()
    fault.wait(hits=5)
    late.start()
    time.sleep(0.5)
    read, took = timed(lambda: browser.get("/leads"))
    late.join()
    zoho.faults.clear()
    for each in hanging:
        each.join()

    assert (read.status, took < 5) == (200, True)
    assert (answers[0].status, answers[0].trouble) == (429, "desk-busy")
    assert answers[0].value("Last_Name") == "Late"
    assert "nothing was sent" in answers[0].text
    assert {each.trouble for each in answers[1:]} == {"crm-silent-writing"}
    assert "Late" not in [each["Last_Name"] for each in zoho.records(ANA).values()]


def test_the_sdk_gives_up_on_a_change(monkeypatch):
    """Of itself it would wait for ever, and a turn of its login would be gone for good."""
    monkeypatch.setattr(api_http_connector, "requests", requests)
    limit_changes(1.0, 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name in ("post", "put", "patch", "delete"):
            with pytest.raises(requests.Timeout):
                getattr(api_http_connector.requests, name)(url)

    assert requests.post is not api_http_connector.requests.post


def test_turns_take_no_room():
    """A login that has ended its calls leaves nothing behind."""
    turns = Turns()
    for writing in (True, False):
        assert turns.take("ana", 0, writing=writing)
        turns.give_back("ana", writing=writing)

    assert not turns._calls
    assert not turns._changes


def test_who_leaves_in_the_midst_of_a_form(browser, desk):
    """Nobody is there to be answered, and nothing is wrong here: no traceback is logged."""
    with desk.begin_form(b"Last_Name=", 1000):
        time.sleep(0.3)
    deadline = time.monotonic() + 20
    while "POST /leads 400" not in desk.log():
        assert time.monotonic() < deadline, desk.log()
        time.sleep(0.1)

    assert "Traceback" not in desk.log()
    assert browser.get("/").status == 200
