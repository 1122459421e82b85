"""The sample application in two processes: users never mix, and nobody notices a crash."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from desk_driver import ANA, BEN, EVA, Browser

WORKERS = 2
PEOPLE = (ANA, BEN, EVA)


class Expiries:
    """How often access tokens were ended so far; begun and done, as that takes its time too."""

    begun = done = 0


class Person:
    """Somebody at a browser, who notes whatever is not theirs or not as it should be."""

    def __init__(self, desk, user, expiries=None):
        self.user = user
        self.email = user.partition(":")[0]
        self.browser = Browser(desk)
        self.expiries = expiries or Expiries()
        self.complaints = []
        self.unlucky = 0
        self.served_by = set()
        self.added = 0

    def look(self, path="/leads"):
        before = self.expiries.done
        page = self.browser.get(path)
        if self.was_unlucky(page, before):
            return page
        mine, others = self.email in page.text, [u for u in PEOPLE if u != self.user]
        if page.status != 200 or not mine:
            self.complaints.append(f"{path}: {page.status} {page.trouble} {mine}")
        for other in others:
            if other.partition(":")[0] in page.text or f"of {other}" in page.text:
                self.complaints.append(f"{path} shows {other}")
        self.served_by.add(page.process)
        return page

    def was_unlucky(self, answer, before):
        """
        Whether the access token it was asked with once more was ended as well.

        That one was good when the first was reported, so it was ended while
        this was asked for; the first may have been before. Without an end
        within there is no excuse.
        """
        if answer.trouble != "token-refused" or self.expiries.begun == before:
            return False
        self.unlucky += 1
        return True

    def add(self):
        before = self.expiries.done
        answer = self.browser.add_lead(f"{self.added} of {self.user}")
        if self.was_unlucky(answer, before):
            return
        if answer.location != "/leads?done=created":
            self.complaints.append(f"not added: {answer.status} {answer.trouble}")
        self.added += 1


def together(*works):
    threads = [threading.Thread(target=each) for each in works]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def test_users_never_mix(desk, zoho):
    """Invariant 8: in threads and two processes, renewals amid, each has their own."""
    expiries = Expiries()
    people = [Person(desk, user, expiries) for user in PEOPLE for _ in range(2)]
    for each in people:
        each.browser.log_in(each.user)
    before = {user: len(zoho.records(user)) for user in PEOPLE}
    zoho.counters.reset()
    over = threading.Event()

    def expire():
        # Within what Zoho allows for one login.
        for _ in range(4):
            time.sleep(0.7)
            expiries.begun += 1
            desk.expire()
            expiries.done += 1
        over.set()

    def work(someone):
        while not over.is_set():
            someone.look()
            someone.add()
            someone.look("/leads/new")

    # Each browser twice at the same time, as a person has several tabs.
    together(expire, *(lambda p=person: work(p) for person in people for _ in range(2)))

    assert [each.complaints for each in people] == [[]] * len(people)
    assert {worker for each in people for worker in each.served_by} == desk.processes(20)
    for user in PEOPLE:
        names = [each["Last_Name"] for each in zoho.records(user).values()]
        added = sum(each.added for each in people if each.user == user)
        assert len(names) == before[user] + added
        assert not [name for name in names if " of " in name and not name.endswith(f"of {user}")]
    # An end excuses what is asked for as it comes: one page of each tab.
    assert max(each.unlucky for each in people) <= 2 * expiries.done
    # One call to the token endpoint for each expiry that somebody met.
    assert len(PEOPLE) <= zoho.counters.token_calls("refresh_token") <= 4 * len(PEOPLE)
    assert zoho.counters.errors.get("Access Denied", 0) == 0


def test_kill_one(desk):
    """A worker that is killed is replaced; whoever looks at pages notices nothing."""
    person = Person(desk, ANA)
    person.browser.log_in(ANA)
    [victim, other] = sorted(desk.processes(20))
    over = threading.Event()
    resets = []

    def read():
        while not over.is_set():
            try:
                person.look()
            except OSError as exc:
                # Of a page that was being made as the worker died; a browser asks again.
                resets.append(type(exc).__name__)

    def kill():
        time.sleep(0.5)
        os.kill(victim, signal.SIGKILL)
        desk.wait_until_ready()
        over.set()

    together(kill, read)

    assert person.complaints == []
    assert len(resets) <= 1
    replaced = desk.processes(20)
    assert len(replaced) == 2
    assert victim not in replaced
    assert other in replaced


def test_restart(desk, zoho):
    """After a restart nobody logs in again, and nobody's login has moved."""
    people = [Person(desk, user) for user in PEOPLE]
    for each in people:
        each.browser.log_in(each.user)
        each.add()
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


def test_a_login_begun_at_one_worker_ends_at_the_other(desk):
    """What a login waits with, and a form that could not be sent, are there for all workers."""
    workers = desk.processes(20)
    met, logins = set(), 0
    # Which worker is the quicker one is nobody's choice.
    while logins < 12 or (met != workers and logins < 60):
        someone = Person(desk, BEN)
        someone.browser.log_in(BEN)
        someone.look()
        met |= someone.served_by
        logins += 1
        assert someone.complaints == []

    assert met == workers
