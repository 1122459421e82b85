"""The sample application on server stores: the choice is one line of its configuration."""

from __future__ import annotations

import time

import pytest
from conftest import ANA, EVA
from desk_driver import Browser, DeskServer

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
        zoho.expire_access_tokens()
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
            time.sleep(1.5)  # longer than a token is handed out without asking the server
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
