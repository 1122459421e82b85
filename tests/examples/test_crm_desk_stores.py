"""The sample application on server stores: the choice is one line of its configuration."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk_driver import ANA, EVA, Browser, DeskServer

import tokenkeep


def serving(zoho, folder, url, **given):
    environ = {"TOKENKEEP_STORE": url, "TOKENKEEP_KEYS": tokenkeep.generate_key()}
    return DeskServer(zoho, folder, environ=environ, **given)


def test_postgresql(zoho, postgres, tmp_path):
    """On PostgreSQL, with two workers: log in, work, renew; the footer names the store."""
    desk = serving(zoho, tmp_path, postgres.url(), workers=2)
    try:
        desk.start()
        browsers = {user: Browser(desk) for user in (ANA, EVA)}
        for user, browser in browsers.items():
            browser.log_in(user)
            assert browser.add_lead("On PostgreSQL").status == 303
        zoho.counters.reset()
        desk.expire()
        pages = [browser.get("/leads") for browser in browsers.values() for _ in range(8)]
    finally:
        desk.stop()

    assert {each.status for each in pages} == {200}
    assert len({each.process for each in pages}) == 2
    assert zoho.counters.token_calls("refresh_token") == 2
    assert "PostgreSQL" in pages[0].text
    assert postgres.password not in "".join(each.source for each in pages) + desk.log()


def test_store_goes_away_and_comes_back(zoho, redis_server, tmp_path):
    """Without its store the desk says so and keeps what is typed; then it goes on."""
    desk = serving(zoho, tmp_path, redis_server.url())
    try:
        desk.start()
        browser = Browser(desk)
        browser.log_in(ANA)
        page = browser.get("/leads/new")
        redis_server.stop()
        try:
            away = browser.get("/leads")
            typed = browser.send(page, "/leads", Last_Name="Typed", Description="Long text")
            first = Browser(desk).get("/")
        finally:
            redis_server.start()
        deadline = time.monotonic() + 20
        while (back := browser.get("/leads")).status != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        sent = browser.send(typed, "/leads", Last_Name="Typed")
    finally:
        desk.stop()

    assert (away.status, away.trouble) == (503, "store-unavailable")
    assert (typed.status, typed.value("Last_Name")) == (503, "Typed")
    assert typed.value("Description") == "Long text"
    assert first.status == 200
    assert back.status == 200
    assert sent.status == 303
    assert redis_server.password not in away.source + typed.source + desk.log()


def test_starts_before_its_store(zoho, redis_server, tmp_path):
    """A desk whose store is not there yet comes up, says so, and works once it is."""
    desk = serving(zoho, tmp_path, redis_server.url())
    redis_server.stop()
    try:
        desk.start()
        browser = Browser(desk)
        begun = browser.get("/leads")
        assert begun.trouble == "not-logged-in"
        assert browser.get("/").status == 200
        redis_server.start()
        browser.log_in(ANA)
        status = browser.get("/leads").status
    finally:
        redis_server.start()
        desk.stop()

    assert status == 200


def at_once(*asks):
    with ThreadPoolExecutor(max_workers=len(asks)) as pool:
        return [each.result() for each in [pool.submit(ask) for ask in asks]]


def test_store_that_never_answered(zoho, tmp_path):
    """One request at a time tries to open it; the others have their page at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        desk = serving(zoho, tmp_path, f"postgresql://app@127.0.0.1:{port}/app?timeout=4")
        try:
            desk.start()
            time.sleep(4.5)  # so long nobody tries again
            began = time.monotonic()
            pages = at_once(*[lambda: Browser(desk).get("/")] * 4)
            took = time.monotonic() - began
        finally:
            desk.stop()

    assert [each.status for each in pages] == [200] * 4
    assert took < 7
    assert "Traceback" not in desk.log()


def test_store_that_hangs(zoho, postgres, tmp_path):
    """That is said of the store, not of Zoho; pages come all the same, with what was typed."""
    desk = serving(zoho, tmp_path, postgres.url())
    try:
        browser = Browser(desk.start())
        browser.log_in(ANA)
        browser.log_in(EVA)
        page = browser.get("/leads/new")
        postgres.pause()
        try:
            began = time.monotonic()
            read, wrong, typed, first = at_once(
                lambda: browser.get("/leads"),
                lambda: browser.send(page, "/leads", Last_Name="", Company="Kept"),
                lambda: browser.send(page, "/leads", Last_Name="Typed"),
                lambda: browser.get("/?more"),
            )
            took = time.monotonic() - began
        finally:
            postgres.resume()
        deadline = time.monotonic() + 40
        while (back := browser.get("/leads")).status != 200 and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        desk.stop()

    assert (read.status, read.trouble) == (503, "store-unavailable")
    assert (typed.trouble, typed.value("Last_Name")) == ("store-unavailable", "Typed")
    assert (wrong.status, wrong.value("Company")) == (422, "Kept")
    assert first.status == 200
    assert took < 20
    assert back.status == 200
    assert "Traceback" not in desk.log()


@pytest.mark.parametrize("url", ["postgresql://app@127.0.0.1:1/x?mystery=1", "mysterious://x"])
def test_what_is_wrong_is_said_at_once(zoho, tmp_path, url):
    """A store that there can't be is one sentence, before any worker starts."""
    desk = DeskServer(zoho, tmp_path, environ={"TOKENKEEP_STORE": url})
    try:
        with pytest.raises(AssertionError):
            desk.start()
    finally:
        desk.stop()

    assert "The desk can't start." in desk.log()
    assert "Traceback" not in desk.log()
    assert "Uvicorn" not in desk.log()
