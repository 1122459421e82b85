"""People at work on the sample application, in two processes; forms of theirs and of others."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk_driver import ANA, BEN, EVA, Browser, DeskServer, running
from emulated import consent

from tokenkeep.integrations.zoho_sdk import REFUSED

PEOPLE = (ANA, BEN, EVA)
ROUNDS = 4
"""Fewer renewals than Zoho allows for one login."""

TYPED = {"First_Name": "Zoë", "Last_Name": "Typed", "Company": '"Söhne" & <b>Co</b>'}


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
        if answer.location != "/leads?done=added":
            self.complaints.append(f"not added: {answer.status} {answer.trouble}")


def last_names(zoho, user):
    return [each["Last_Name"] for each in zoho.records(user).values()]


# Two processes


def test_users_never_mix(desk, zoho):
    """All ask at once as their tokens end: one renewal each, and each sees their own."""
    tabs = [Person(desk, user) for user in PEOPLE for _ in range(4)]
    before = {user: len(last_names(zoho, user)) for user in PEOPLE}
    zoho.counters.reset()
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
    assert desk.processes() <= {worker for each in tabs for worker in each.served_by}
    for user in PEOPLE:
        names = last_names(zoho, user)
        assert len(names) == before[user] + 4 * ROUNDS
        assert not [name for name in names if " of " in name and not name.endswith(f"of {user}")]
    assert zoho.counters.token_calls("refresh_token") == ROUNDS * len(PEOPLE)
    assert zoho.counters.errors.get("Access Denied", 0) == 0


@pytest.mark.parametrize("endpoint", ["records", "token"])
def test_kill_one(desk, zoho, endpoint):
    """A worker is killed in a request, or in a renewal: the other and the next one go on."""
    person = Person(desk, ANA)
    page = person.browser.get("/leads/new")
    workers = desk.processes()
    if endpoint == "token":
        desk.expire(ANA)
    fault = zoho.faults.add(endpoint=endpoint, kind="hang")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(person.browser.tab().get, "/leads")  # is cut off
        assert fault.wait()
        # Who renews is killed first; of a request nobody can see whose it is.
        for each in sorted(workers, key=lambda pid: pid not in renewing(desk)):
            os.kill(each, signal.SIGKILL)
            desk.processes()
            person.look()

    assert person.complaints == [], desk.log()
    assert not workers & desk.processes(), desk.log()
    assert person.browser.send(page, "/leads/new", **TYPED).location == "/leads?done=added"


def renewing(desk):
    """Return the ids of the processes that hold a claim."""
    with desk.open_store() as store:
        claims = [token.renewal.claim for token in store.get_tokens()]
    return {json.loads(claim.holder)["pid"] for claim in claims if claim}


@pytest.mark.parametrize("endpoint", ["settings", "records"])
def test_refused_once(zoho, tmp_path, endpoint):
    """A refused access token is not seen, whatever the code, also while fields are asked for."""
    with running(DeskServer(zoho, tmp_path)) as desk:
        for user, code in zip(PEOPLE, sorted(REFUSED), strict=True):
            browser = Browser(desk)
            browser.log_in(user)
            before = len(last_names(zoho, user))
            fault = zoho.faults.add(endpoint=endpoint, kind="refused", code=code)

            assert (browser.add_lead("Refused once").status, fault.hits) == (303, 1)
            assert len(last_names(zoho, user)) == before + 1


# What is typed


def test_a_lead(browser, zoho):
    """Add, change, empty a field, delete: it is in the CRM, and on the pages as text."""
    browser.log_in(ANA)
    before = set(zoho.records(ANA))
    form = browser.get("/leads/new")
    assert browser.send(form, "/leads/new", **TYPED).location == "/leads?done=added"
    [lead] = set(zoho.records(ANA)) - before
    assert TYPED.items() <= zoho.records(ANA)[lead].items()
    page = browser.get(f"/leads/{lead}")
    assert {name: page.value(name) for name in TYPED} == TYPED
    assert "<b>" not in page.source
    wrong = browser.send(page, f"/leads/{lead}", **TYPED | {"Last_Name": " "})
    assert (wrong.status, wrong.value("Company")) == (422, TYPED["Company"])
    changed = browser.send(page, f"/leads/{lead}", **TYPED | {"Company": ""})
    assert changed.location == "/leads?done=changed"
    assert not zoho.records(ANA)[lead]["Company"]
    assert "The lead was changed." in browser.get(changed.location).text
    assert browser.send(page, f"/leads/{lead}/delete").location == "/leads?done=deleted"

    # Sent twice: what is gone is said to be gone.
    assert browser.send(page, f"/leads/{lead}/delete").trouble == "CrmSaid"
    assert set(zoho.records(ANA)) == before


# Forms


def test_forms_of_others(browser, desk, zoho):
    """What another site lets a browser send has no token of its pages; GET changes nothing."""
    browser.log_in(ANA)
    other = Browser(desk)
    other.log_in(BEN)
    paths = ("/leads/new", "/leads/1/delete", "/login", "/logout", "/disconnect")
    for path in (*paths, "/emulator/revoke"):
        for token in ("", "0" * 22, "\u00fc", other.get("/leads/new").form_token):
            forged = browser.post(path, {"form_token": token, "Last_Name": "Forged"})
            assert forged.status == 403
        assert "nothing was done" in forged.text
        assert Browser(desk).post(path, {}).headers["Set-Cookie"] is None
        assert browser.get(path).status in {200, 404, 405}

    assert "Forged" not in last_names(zoho, ANA)
    assert browser.get("/leads").status == 200
    too_long = browser.send(browser.get("/leads/new"), "/leads/new", Last_Name="x" * 200_000)
    assert too_long.status == 413


def test_each_sees_their_own(browser, desk, zoho):
    """Organisations are apart: another's lead is none, whatever is asked for."""
    other = Browser(desk)
    browser.log_in(ANA)
    other.log_in(BEN)
    other.add_lead("Ben's")
    [lead] = [key for key, each in zoho.records(BEN).items() if each["Last_Name"] == "Ben's"]

    assert "Ben's" not in browser.get("/leads").text
    assert browser.get(f"/leads/{lead}").status == 404
    form = browser.get("/leads/new")
    assert browser.send(form, f"/leads/{lead}", Last_Name="Stolen").trouble == "CrmSaid"
    assert browser.send(form, f"/leads/{lead}/delete").trouble == "CrmSaid"
    assert zoho.records(BEN)[lead]["Last_Name"] == "Ben's"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("//evil.example/leads/", 404),
        ("/%2fevil.example", 404),
        ("/static/../app.py", 404),
        ("/static/%2e%2e/app.py", 404),
        ("/static/%00", 404),
        (f"/leads/{'9' * 5000}", 404),
        (f"/leads?page={'9' * 5000}", 200),
        ("/leads?page=-1", 200),
        ("/leads?page=9999", 400),
        ("/emulator/nothing", 405),
    ],
    ids=lambda value: str(value)[:30],
)
def test_odd_addresses(browser, path, status):
    """What there is not, or can't be, is answered plainly, and leads nowhere else."""
    browser.log_in(ANA)
    answer = browser.get(path)

    assert (answer.status, answer.location) == (status, None)


def test_addresses_of_others(browser, zoho):
    """Neither a host nor anything else that a request names is where a browser is sent to."""
    for host in ("evil.example", "localhost", ""):
        assert browser.get("/", Host=host).status == 400
    elsewhere = dict.fromkeys(("next", "url", "back", "redirect_uri"), "https://evil.example/")
    begun = browser.send(browser.get("/"), "/login", **elsewhere)
    assert begun.location.startswith(zoho.us.auth_url)
    answer = consent(begun.location, user=ANA)

    assert browser.callback(f"{answer}&{urllib.parse.urlencode(elsewhere)}").location == "/leads"
    out = browser.send(browser.get("/leads"), "/logout", **elsewhere)
    assert out.location == "/?done=out"
