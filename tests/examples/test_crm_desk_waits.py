"""What hangs or is away while people use the sample application, and whom that holds up."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from types import SimpleNamespace

import pytest
import requests
from desk_driver import ANA, BEN, EVA, Browser, DeskServer, running
from zohocrmsdk.src.com.zoho.crm.api.util import api_http_connector

import crm_desk.app
import crm_desk.guard
import tokenkeep
from crm_desk.crm import CrmRefused
from crm_desk.guard import Guard
from crm_desk.sdk_limits import limit_changes
from crm_desk.threads import AT_ONCE, Threads
from crm_desk.trouble import trouble_of
from tokenkeep.errors import StoreUnavailable
from tokenkeep.integrations.zoho_sdk import REFUSED


def timed(ask):
    began = time.monotonic()
    return ask(), time.monotonic() - began


def on(url, zoho, folder, **given):
    """Run a desk whose tokens are in another store."""
    environ = {"TOKENKEEP_STORE": url, "TOKENKEEP_KEYS": tokenkeep.generate_key()}
    return running(DeskServer(zoho, folder, environ=environ, **given))


# Zoho


def test_a_crm_that_hangs_holds_nobody_else_up(browser, desk, zoho):
    """One login has so many calls and is told of more; people of another data centre work."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    other = Browser(desk)
    other.log_in(EVA)
    other.get("/leads")
    zoho.faults.add(endpoint="records", kind="hang", times=None, data_center="us")
    with ThreadPoolExecutor(AT_ONCE + 10) as pool:
        asked = [pool.submit(browser.get, "/leads") for _ in range(AT_ONCE + 10)]
        refused = [each.result() for each in islice(as_completed(asked), 10)]
        typed = browser.send(page, "/leads", Last_Name="Typed")
        served, took = timed(lambda: other.get("/leads"))
        panel = browser.get("/panel")
        zoho.faults.clear()

    assert {(each.status, each.trouble) for each in (*refused, typed)} == {(429, "desk-busy")}
    assert "nothing was sent" in typed.text
    assert typed.value("Last_Name") == "Typed"
    assert (served.status, panel.status) == (200, 200)
    assert took < 5


def test_the_sdk_gives_up_on_a_change(monkeypatch):
    """Of itself it would wait for ever, and a thread of its login would be gone for good."""
    monkeypatch.setattr(api_http_connector, "requests", requests)
    limit_changes(1.0, 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name in ("post", "put", "patch", "delete"):
            with pytest.raises(requests.Timeout):
                getattr(api_http_connector.requests, name)(url)

    assert requests.post is not api_http_connector.requests.post


@pytest.mark.parametrize("endpoint", ["settings", "records"])
def test_refused_once(zoho, tmp_path, endpoint):
    """A refused access token is not seen, whatever the code, also while fields are asked for."""
    with running(DeskServer(zoho, tmp_path)) as desk:
        for user, code in zip((ANA, BEN, EVA), sorted(REFUSED), strict=True):
            browser = Browser(desk)
            browser.log_in(user)
            before = len(zoho.records(user))
            fault = zoho.faults.add(endpoint=endpoint, kind="refused", code=code)
            added = browser.add_lead("Refused once")

            assert (added.status, fault.hits) == (303, 1), desk.log()
            assert len(zoho.records(user)) == before + 1


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_refused_twice(code):
    """A token that was renewed and is refused again is no reason to log in again."""
    trouble = trouble_of(CrmRefused(code))

    assert ("token-refused", 503) == (trouble.name, trouble.status)
    assert trouble.retry
    assert not trouble.login


# Stores


def test_postgresql(zoho, postgres, tmp_path):
    """On PostgreSQL, with two workers: log in, work, renew; the footer names the store."""
    with on(postgres.url(), zoho, tmp_path, workers=2) as desk:
        browsers = {user: Browser(desk) for user in (ANA, EVA)}
        for user, browser in browsers.items():
            browser.log_in(user)
            assert browser.add_lead("On PostgreSQL").status == 303
        zoho.counters.reset()
        desk.expire()
        pages = [browser.get("/leads") for browser in browsers.values() for _ in range(8)]

    assert {each.status for each in pages} == {200}
    assert len({each.process for each in pages}) == 2
    assert zoho.counters.token_calls("refresh_token") == 2
    assert "PostgreSQL" in pages[0].text
    assert postgres.password not in "".join(each.source for each in pages) + desk.log()


def until_back(browser):
    """Wait until the leads are there again."""
    deadline = time.monotonic() + 40
    while browser.get("/leads").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_store_goes_away_and_comes_back(zoho, redis_server, tmp_path):
    """Without its store, at the start or later, the desk says so and keeps what is typed."""
    url = redis_server.url()
    redis_server.stop()
    with on(url, zoho, tmp_path) as desk:
        browser = Browser(desk)
        assert browser.get("/leads").trouble == "not-logged-in"
        redis_server.start()
        browser.log_in(ANA)
        page = browser.get("/leads/new")
        redis_server.stop()
        away = browser.get("/leads")
        typed = browser.send(page, "/leads", Last_Name="Typed", Description="Long text")
        first = Browser(desk).get("/")
        redis_server.start()
        until_back(browser)
        sent = browser.send(typed, "/leads", Last_Name="Typed")

    assert (away.status, away.trouble) == (503, "store-unavailable")
    assert (typed.status, typed.value("Last_Name")) == (503, "Typed")
    assert typed.value("Description") == "Long text"
    assert (first.status, sent.status) == (200, 303)
    assert redis_server.password not in away.source + typed.source + desk.log()


def test_store_that_hangs(zoho, postgres, tmp_path):
    """That is said of the store, not of Zoho; pages come all the same, with what was typed."""
    with on(postgres.url(), zoho, tmp_path) as desk:
        browser = Browser(desk)
        browser.log_in(ANA)
        page = browser.get("/leads/new")
        postgres.pause()
        try:
            asks = (
                lambda: browser.get("/leads"),
                lambda: browser.send(page, "/leads", Last_Name="", Company="Kept"),
                lambda: browser.send(page, "/leads", Last_Name="Typed"),
                lambda: browser.get("/?more"),
            )
            with ThreadPoolExecutor() as pool:
                answers, took = timed(lambda: list(pool.map(lambda ask: ask(), asks)))
        finally:
            postgres.resume()
        until_back(browser)

    read, wrong, typed, first = answers
    assert (read.status, read.trouble) == (503, "store-unavailable")
    assert (typed.trouble, typed.value("Last_Name")) == ("store-unavailable", "Typed")
    assert (wrong.status, wrong.value("Company")) == (422, "Kept")
    assert first.status == 200
    assert took < 20


# What is done beside


def test_sweeping_goes_on(monkeypatch, caplog):
    """Whatever goes wrong in one sweep, there is a next one."""
    monkeypatch.setattr(crm_desk.app, "SWEEP_EVERY", 0.01)
    tries = []

    def sweep():
        tries.append(1)
        raise {1: TimeoutError, 2: RuntimeError}.get(len(tries), StoreUnavailable)("not now")

    keeper = SimpleNamespace(sweep=sweep)
    desk = SimpleNamespace(
        threads=Threads(), crm=SimpleNamespace(store=SimpleNamespace(keeper=keeper))
    )

    async def some_time():
        sweeping = asyncio.create_task(crm_desk.app._sweep(desk))
        await asyncio.sleep(0.5)
        sweeping.cancel()

    asyncio.run(some_time())

    assert len(tries) >= 4
    assert "RuntimeError: not now" in caplog.text


def test_a_form_that_takes_for_ever(monkeypatch):
    """It is given up after a while."""
    monkeypatch.setattr(crm_desk.guard, "PATIENCE", 0.1)
    settings = SimpleNamespace(host="desk", url="http://desk", is_secure=False)
    guard = Guard(None, settings, (), Threads())
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/leads",
        "headers": [(b"host", b"desk"), (b"origin", b"http://desk"), (b"content-length", b"9")],
    }
    answers = []

    async def answer(message):
        answers.append(message)

    asyncio.run(guard(scope, asyncio.Event().wait, answer))

    assert answers[0]["status"] == 408
