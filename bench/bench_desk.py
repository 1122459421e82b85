"""The CRM desk under load: 50 people on 2 workers, with access tokens that live 30 seconds."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from common import Case, folder, options, report

import tokenkeep
from tokenkeep.testing import EmulatorControl, ZohoEmulator, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))
sys.path.insert(0, str(HERE.parents[1] / "examples"))

PEOPLE = 50
WORKERS = 2
SECONDS = 90.0
LIFE = 30.0
"""How long an access token lives: 90 s are fewer renewals than Zoho allows in ten minutes."""

WINDOW = 15.0
"""With less left it is renewed: half of a life as short as this one."""

PAUSE = (1.0, 3.0)
"""How long a person looks at a page, in seconds."""

WRITES = 0.1
"""How many of the pages add a lead."""


@dataclass
class Person:
    """Somebody at a browser, and what they met."""

    user: str
    data_center: str
    browser: Any
    pages: list[tuple[float, float]] = field(default_factory=list)
    """Of each page: when it was asked for, in epoch seconds, and how long it took."""
    wrong: Counter[str] = field(default_factory=Counter)
    added: int = 0

    @property
    def email(self) -> str:
        return self.user.partition(":")[0]

    @property
    def mark(self) -> str:
        """What the names of their leads end with."""
        return f" of {self.email}"

    def look(self, path: str) -> None:
        at, start = time.time(), time.perf_counter()
        page = self.browser.get(path)
        self.pages.append((at, time.perf_counter() - start))
        self._judge(page, path)

    def add(self) -> None:
        form = self.browser.get("/leads/new")
        self._judge(form, "/leads/new")
        at, start = time.time(), time.perf_counter()
        answer = self.browser.send(form, "/leads/new", Last_Name=f"{self.added}{self.mark}")
        self.pages.append((at, time.perf_counter() - start))
        if answer.status == 303 and "done=added" in answer.location:
            self.added += 1
        else:
            self.wrong[f"add: {answer.status} {answer.trouble}"] += 1

    def work(self, until: float) -> None:
        luck = random.Random(self.user)
        time.sleep(luck.uniform(0, PAUSE[1]))
        while time.time() < until:
            try:
                self.add() if luck.random() < WRITES else self.look("/leads")
            except Exception as exc:  # noqa: BLE001  # what goes wrong is what is counted
                self.wrong[type(exc).__name__] += 1
            time.sleep(luck.uniform(*PAUSE))

    def _judge(self, page: Any, path: str) -> None:
        if page.status != 200:
            self.wrong[f"{path}: {page.status} {page.trouble}"] += 1
        elif self.email not in page.text:
            self.wrong["not theirs"] += 1
        if any(" of person" in n and not n.endswith(self.mark) for n in page.leads.values()):
            self.wrong["somebody else's lead"] += 1


def emulate(pipe: Any) -> None:
    """Run the emulator, in a process of its own."""
    emulator = ZohoEmulator(("us", "eu"))
    emulator.options.access_token_life = LIFE
    serve(emulator, lambda zoho: pipe.send(zoho.control_url))


@contextmanager
def emulator() -> Iterator[EmulatorControl]:
    spawn = multiprocessing.get_context("spawn")
    ours, its = spawn.Pipe()
    process = spawn.Process(target=emulate, args=(its,))
    process.start()
    try:
        yield EmulatorControl(ours.recv())
    finally:
        process.terminate()
        process.join()


class Probe(threading.Thread):
    """Ask the emulator for leads as the desk does: its own time, under the same load."""

    def __init__(self, zoho: EmulatorControl) -> None:
        super().__init__(daemon=True)
        self.user = zoho.add_user("probe@example.com", data_center="us", zgid="9000")
        self._zoho = zoho
        self._place = urlsplit(zoho["us"].api_url)
        self.took: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            access = self._zoho.access_token(self.user)
            connection = http.client.HTTPConnection(self._place.netloc, timeout=30)
            start = time.perf_counter()
            headers = {"Authorization": f"Zoho-oauthtoken {access}"}
            connection.request("GET", "/crm/v8/Leads?fields=Last_Name", headers=headers)
            json.loads(connection.getresponse().read() or b"{}")
            self.took.append(time.perf_counter() - start)
            connection.close()


def expiries(person: Person, end: float) -> int:
    """
    Count the ends of access tokens that a person met, from their pages' times alone.

    Args:
        person: With their pages.
        end: When the access token of before the load ends, in epoch seconds.
    """
    met = 0
    for at, _ in sorted(person.pages):
        if at >= end - WINDOW:
            met += 1
            end = at + LIFE
    return met


def logged_in(zoho: EmulatorControl, desk: Any) -> list[Person]:
    from desk_driver import Browser

    people = []
    for number in range(PEOPLE):
        center = ("us", "eu")[number % 2]
        email = f"person{number}@example.com"
        zoho.add_user(email, data_center=center, zgid=str(1000 + number))
        person = Person(f"{email}:{1000 + number}", center, Browser(desk))
        person.browser.log_in(person.user, data_center=center)
        people.append(person)
    return people


def load(zoho: EmulatorControl, people: list[Person], store: Any) -> tuple[int, int, list[float]]:
    """Let all people work; return their expiries, the calls for them, and the emulator's times."""
    probe = Probe(zoho)
    ends = {each.user: each.expires_at for each in store.iter_tokens()}
    zoho.counters.reset()
    until = time.time() + SECONDS
    threads = [threading.Thread(target=each.work, args=(until,)) for each in people]
    probe.start()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    probe.over.set()
    probe.join()
    met = sum(expiries(each, ends[each.user]) for each in people)
    return met, zoho.counters.token_calls("refresh_token"), probe.took


def kept(zoho: EmulatorControl, people: list[Person]) -> int:
    """Count the leads that are not with the person who added them, or not at all."""
    missing = 0
    for each in people:
        names = [lead["Last_Name"] for lead in zoho.records(each.user).values()]
        wanted = {f"{n}{each.mark}" for n in range(each.added)}
        # The emulator has leads of its own for everybody.
        missing += len({name for name in names if " of person" in name} ^ wanted)
    return missing


def p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1] * 1000


def main() -> None:
    given = options(__doc__)
    from desk_driver import DeskServer

    with folder() as path, emulator() as zoho:
        url = f"sqlite:///{path / 'tokens.db'}"
        environ = {"TOKENKEEP_KEYS": os.environ["TOKENKEEP_KEYS"], "TOKENKEEP_STORE": url}
        desk = DeskServer(zoho, path, workers=WORKERS, environ=environ)
        try:
            desk.start()
            people = logged_in(zoho, desk)
            store = tokenkeep.open_store(url)
            met, calls, its_own = load(zoho, people, store)
            store.close()
        finally:
            desk.stop()
        wrong = sum((each.wrong for each in people), Counter())
        wrong["leads lost or with somebody else"] += kept(zoho, people)
    pages = [took for each in people for _, took in each.pages]
    whole, own = p95(pages), p95(its_own)
    failed = dict(+wrong)
    print(f"{PEOPLE} people, {WORKERS} workers, {SECONDS:.0f} s: {len(pages)} pages", end="; ")
    print(f"what went wrong: {failed or 'nothing'}", flush=True)
    report(
        "the CRM desk under load",
        "calls, ms",
        [
            Case(
                "calls to the token endpoint", PEOPLE, calls, met, target=1, note="floor: expiries"
            ),
            Case("requests that failed or mixed", PEOPLE, sum(failed.values()), target=0),
            Case("page, p95", PEOPLE, whole, own, note="floor: the emulator's own answer, p95"),
            Case("page beyond the emulator, p95", PEOPLE, whole - own),
        ],
        given,
    )


if __name__ == "__main__":
    main()
