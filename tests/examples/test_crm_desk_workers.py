"""The sample application in two processes: users never mix, and nobody notices a crash."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk_driver import ANA, BEN, EVA, Browser

WORKERS = 2
PEOPLE = (ANA, BEN, EVA)
ROUNDS = 4
"""Fewer renewals than Zoho allows for one login."""


class Person:
    """Somebody at a browser, who notes whatever is not theirs or not as it should be."""

    def __init__(self, desk, user):
        self.user = user
        self.browser = Browser(desk)
        self.browser.log_in(user)
        self.complaints = []
        self.served_by = set()

    def look(self, path="/leads"):
        page = self.browser.get(path)
        if page.status != 200 or self.user.partition(":")[0] not in page.text:
            self.complaints.append(f"{path}: {page.status} {page.trouble}")
        for other in PEOPLE:
            shown = other.partition(":")[0] in page.text or f"of {other}" in page.text
            if shown and other != self.user:
                self.complaints.append(f"{path} shows {other}")
        self.served_by.add(page.process)

    def add(self):
        answer = self.browser.add_lead(f"A lead of {self.user}")
        if answer.location != "/leads?done=created":
            self.complaints.append(f"not added: {answer.status} {answer.trouble}")


def test_users_never_mix(desk, zoho):
    """Invariant 8: in threads and two processes, renewals amid, each has their own."""
    tabs = [person for user in PEOPLE for person in (Person(desk, user), Person(desk, user))] * 2
    before = {user: len(zoho.records(user)) for user in PEOPLE}
    zoho.counters.reset()
    # All of them ask at once, and each token has to be renewed.
    begin = threading.Barrier(len(tabs), desk.expire, timeout=60)

    def work(someone):
        for _ in range(ROUNDS):
            begin.wait()
            someone.look()
            someone.add()
            someone.look("/leads/new")

    with ThreadPoolExecutor(len(tabs)) as pool:
        list(pool.map(work, tabs))

    assert [each.complaints for each in tabs] == [[]] * len(tabs)
    served_by = {worker for each in tabs for worker in each.served_by}
    assert desk.processes(20) <= served_by
    assert 2 == len(served_by)
    for user in PEOPLE:
        names = [each["Last_Name"] for each in zoho.records(user).values()]
        assert len(names) == before[user] + 4 * ROUNDS
        assert not [name for name in names if " of " in name and not name.endswith(f"of {user}")]
    assert zoho.counters.token_calls("refresh_token") == ROUNDS * len(PEOPLE)
    assert zoho.counters.errors.get("Access Denied", 0) == 0


def test_kill_one(desk):
    """A worker that is killed is replaced; whoever looks at pages notices nothing."""
    person = Person(desk, ANA)
    form = person.browser.get("/leads/new")
    workers = desk.processes(20)
    over = threading.Event()
    resets = []

    def read():
        while not over.is_set():
            try:
                person.look()
            except OSError as exc:
                # Of a page that was being made as the worker died; a browser asks again.
                resets.append(type(exc).__name__)

    reading = threading.Thread(target=read)
    reading.start()
    time.sleep(0.5)
    os.kill(form.process, signal.SIGKILL)
    desk.wait_until_ready()
    over.set()
    reading.join()

    assert person.complaints == []
    assert len(resets) <= 1
    replaced = desk.processes(20)
    assert len(replaced) == 2
    assert workers - replaced == {form.process}
    sent = person.browser.send(form, "/leads", Last_Name="Typed at the other")
    assert sent.location == "/leads?done=created"


def test_restart(desk, zoho):
    """After a restart nobody logs in again, and nobody's login has moved."""
    people = [Person(desk, user) for user in PEOPLE]
    zoho.counters.reset()
    workers = desk.processes(20)

    desk.stop()
    with pytest.raises(OSError, match="refused"):
        people[0].look()
    desk.start()
    for each in people:
        each.look()

    assert [each.complaints for each in people] == [[]] * 3
    assert not workers & desk.processes(20)
    assert zoho.counters.token_calls() == 0
