"""What is away, hangs or ends while people use the sample application: nothing typed is lost."""

from __future__ import annotations

import asyncio
import re
import socket
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from desk_driver import ANA, BEN, ROOT, Browser, DeskServer, running
from emulated import consent

import crm_desk.app
import tokenkeep

SILENT = {"CrmSilent", "SDKException"}
TYPED = {"First_Name": "Zoë", "Last_Name": "Typed", "Company": "Typed & Söhne"}


def until(condition):
    """Wait until something is so."""
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def typed_in(page):
    return {name: page.value(name) for name in TYPED}


# Zoho


@pytest.mark.parametrize(
    ("fault", "status", "troubles"),
    [
        ({"kind": "status"}, 503, SILENT),
        ({"kind": "drop"}, 503, SILENT),
        ({"kind": "refused", "status": 429, "code": "TOO_MANY_REQUESTS"}, 400, {"CrmSaid"}),
        ({"kind": "refused", "status": 403, "code": "NO_PERMISSION"}, 400, {"CrmSaid"}),
    ],
    ids=["down", "drops", "busy", "not allowed"],
)
def test_crm_down(browser, zoho, fault, status, troubles):
    """The form comes back as it was typed, and can be sent again."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    zoho.faults.add(endpoint="records", times=None, **fault)
    answer = browser.send(page, "/leads/new", **TYPED)
    read = browser.get("/leads")

    assert {answer.status, read.status} == {status}
    assert {answer.trouble, read.trouble} <= troubles
    assert fault.get("code", "did not answer") in answer.text
    assert typed_in(answer) == TYPED
    zoho.faults.clear()
    assert browser.send(answer, "/leads/new", **TYPED).location == "/leads?done=added"


def test_login_server_down(browser, desk, zoho):
    """A good token goes on working; then a page says so, and nobody logs in again."""
    browser.log_in(BEN)
    zoho.faults.add(endpoint="accounts", kind="status", times=None)
    assert browser.get("/leads").status == 200
    desk.expire(BEN)
    answer = browser.send(browser.get("/leads/new"), "/leads/new", **TYPED)
    assert (answer.status, typed_in(answer)) == (503, TYPED)
    assert "Your login stays" in answer.text
    assert "Log in with Zoho" not in answer.text
    zoho.faults.clear()

    until(lambda: browser.send(answer, "/leads/new", **TYPED).status == 303)


def test_revoked_while_typing(browser, desk, zoho):
    """The form is kept over the login as it was typed, for the same person only."""
    other = browser.tab()
    for each in (browser, other):
        each.log_in(ANA)
    pages = [each.get("/leads/new") for each in (browser, other)]
    desk.withdraw(ANA)
    gone = [
        each.send(page, "/leads/new", **TYPED)
        for each, page in zip((browser, other), pages, strict=True)
    ]
    assert {(each.status, each.trouble) for each in gone} == {(401, "LoginNeeded")}
    assert "What you typed is kept" in gone[0].text
    other.log_in(BEN)
    assert typed_in(other.get("/leads/new")) == dict.fromkeys(TYPED, "")

    assert browser.log_in(ANA) == "/leads/new"
    page = browser.get("/leads/new")
    assert typed_in(page) == TYPED
    before = len(zoho.records(ANA))
    assert browser.send(page, "/leads/new", **TYPED).location == "/leads?done=added"
    assert len(zoho.records(ANA)) == before + 1
    assert typed_in(browser.get("/leads/new")) == dict.fromkeys(TYPED, "")


# Stores


@pytest.mark.parametrize(
    ("kind", "leave", "come_back"),
    [
        ("redis_server", "stop", "start"),
        # It holds a page up for a while.
        pytest.param("mariadb", "pause", "resume", marks=pytest.mark.slow),
    ],
)
def test_store_goes_away_and_comes_back(  # noqa: PLR0917
    request, zoho, tmp_path, kind, leave, come_back
):
    """Pages come all the same, say so, and keep what is typed; then all goes on."""
    server = request.getfixturevalue(kind)
    elsewhere = {"TOKENKEEP_STORE": server.url()}
    with running(DeskServer(zoho, tmp_path, environ=elsewhere)) as desk:
        browser = Browser(desk)
        browser.log_in(ANA)
        page = browser.get("/leads/new")
        getattr(server, leave)()
        try:
            began = time.monotonic()
            away = [browser.get("/leads"), browser.send(page, "/leads/new", **TYPED)]
            took = time.monotonic() - began
            first = Browser(desk).get("/")
        finally:
            getattr(server, come_back)()
        until(lambda: browser.get("/leads").status == 200)
        sent = browser.send(away[1], "/leads/new", **TYPED)

    assert [(each.status, each.trouble) for each in away] == [(503, "StoreUnavailable")] * 2
    assert typed_in(away[1]) == TYPED
    assert (first.status, sent.status) == (200, 303)
    assert took < 60
    assert server.password not in "".join(each.source for each in away) + desk.log()


@pytest.mark.parametrize(
    "error", [tokenkeep.StoreUnavailable("not now"), OSError("no more files")]
)
def test_sweeping_goes_on(monkeypatch, error):
    """What one sweep could not do, for whatever reason, a later one tries again."""
    monkeypatch.setattr(crm_desk.app, "SWEEP_EVERY", 0.01)
    store = Mock()
    store.keeper.sweep.side_effect = error

    async def some_time():
        async with crm_desk.app.sweeping(Mock(state=Mock(store=store))):
            while store.keeper.sweep.call_count < 3:  # noqa: ASYNC110 - a thread counts
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(some_time(), 30))

    store.close.assert_called_once()


# Starting and ending


@pytest.fixture
def alone(tmp_path):
    """A desk that brings its own emulator."""
    server = DeskServer(None, tmp_path)
    yield server
    server.stop()


def test_with_an_emulator_of_its_own(alone):
    """It has people and leads from the start, and ends with the desk, also with a killed one."""
    browser = Browser(alone.start())
    browser.log_in("ana@example.com:700001")
    assert len(browser.get("/leads").leads) == 10
    emulator = urllib.parse.urlsplit(browser.begin())
    revoked = browser.send(browser.get("/leads/new"), "/emulator/revoke")
    assert (revoked.status, browser.get("/leads").trouble) == (204, "LoginNeeded")
    alone.kill()

    until(lambda: not is_open(emulator))


def is_open(address):
    with socket.socket() as asking:
        return asking.connect_ex((address.hostname, address.port)) == 0


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TOKENKEEP_STORE": "mysterious://x"}, "mysterious"),
        ({"TOKENKEEP_STORE": "redis://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
    ids=["unknown store", "store down"],
)
def test_what_it_can_not_start_with(alone, environ, said):
    """Each is said in a sentence before a worker starts; whatever starts it tries again."""
    alone.environ |= {"TOKENKEEP_KEYS": tokenkeep.generate_key()} | environ
    alone.launch()

    assert alone.end() == 2
    assert said in alone.log()
    assert "The desk can't start." in alone.log()
    assert "Traceback" not in alone.log()


@pytest.mark.parametrize(
    ("endpoint", "delay"),
    [
        ("records", 2.0),
        pytest.param("refresh_token", 8.5, marks=pytest.mark.slow(part="ci")),
        pytest.param("authorization_code", 8.5, marks=pytest.mark.slow(part="ci")),
    ],
)
def test_told_to_end(zoho, tmp_path, endpoint, delay):
    """What is under way is finished first: a change, a renewal, a login; nothing is lost."""
    with running(DeskServer(zoho, tmp_path, workers=2)) as desk:
        browser = Browser(desk)
        browser.log_in(ANA)
        page = browser.get("/leads/new")
        answer = consent(browser.begin(), user=BEN)
        desk.expire(ANA)
        kind = {"grant_type": endpoint} if delay > 2 else {"endpoint": endpoint}
        fault = zoho.faults.add(kind="slow", delay=delay, **kind)
        zoho.counters.reset()
        with ThreadPoolExecutor(1) as pool:
            if endpoint == "authorization_code":
                asked = pool.submit(browser.callback, answer)
            else:
                asked = pool.submit(browser.send, page, "/leads/new", **TYPED)
            assert fault.wait()
            desk.tell_to_end()
            assert asked.result().status == 303
        desk.end()
        desk.start()

        page, who = browser.get("/leads"), BEN if endpoint == "authorization_code" else ANA
        assert (page.status, who.partition(":")[0] in page.text) == (200, True)
        assert zoho.counters.token_calls() == 1


def test_behind_https(zoho, tmp_path):
    """With an https address cookies travel by https only, and only its own name is answered."""
    server = DeskServer(zoho, tmp_path, environ={"CRM_DESK_URL": "https://desk.example.com"})
    with running(server) as desk:
        browser = Browser(desk)
        page = browser.get("/", Host="desk.example.com")
        form = {"form_token": page.form_token}
        begun = browser.post("/login", form, Host="desk.example.com")
        other = browser.get("/")

    assert "; secure" in page.headers["Set-Cookie"]
    assert urllib.parse.quote("https://desk.example.com/callback", safe="") in begun.location
    assert other.status == 400


def test_readme():
    """It names every setting and every file."""
    folder = ROOT / "examples/crm_desk"
    page = (folder / "README.md").read_text()
    source = "\n".join(path.read_text() for path in folder.glob("*.py"))

    for name in {
        *re.findall(r"CRM_DESK_[A-Z_]+", source),
        *(each.name for each in folder.glob("[a-z]*.py")),
    }:
        assert f"`{name}`" in page
    assert len(page.splitlines()) < 60
