"""How the sample application starts, ends, and what it is told."""

from __future__ import annotations

import re
import socket
import time
import urllib.parse
from pathlib import Path

import pytest
from desk_driver import Browser, DeskServer

import crm_desk.settings
import tokenkeep

PERSON = "ana@example.com:700001"


ROOT = Path(__file__).parents[2] / "examples" / "crm_desk"


@pytest.fixture
def alone(tmp_path):
    """A desk that brings its own emulator."""
    server = DeskServer(None, tmp_path)
    yield server
    server.stop()


def emulator_of(desk):
    """Return where the emulator of the last start is."""
    return urllib.parse.urlsplit(re.findall(r"emulator of Zoho \((.*)\)", desk.log())[-1])


def is_gone(address, *, within):
    """Tell whether nobody listens there any more, soon."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address.hostname, address.port), timeout=1).close()
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_with_an_emulator_of_its_own(alone):
    """It has people and leads from the start; after a restart nobody logs in again."""
    browser = Browser(alone.start())
    browser.log_in(PERSON)
    page = browser.get("/leads")
    first = emulator_of(alone)
    alone.stop()
    stopped = is_gone(first, within=10)
    alone.start()
    again = browser.get("/leads")

    assert len(page.leads) == 10
    assert 'rel="next"' in page.source
    assert stopped
    assert emulator_of(alone) != first
    assert (again.status, list(again.leads.values())) == (200, list(page.leads.values()))
    assert browser.add_lead("Added").status == 303


def test_the_emulator_ends_with_the_desk(alone):
    """Also with one that is killed; and so do its workers, which would hold its port."""
    alone.workers = 2
    alone.start()
    emulator = emulator_of(alone)
    alone.kill()

    assert is_gone(emulator, within=10)
    assert is_gone(urllib.parse.urlsplit(alone.url), within=20)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TOKENKEEP_CLIENT_ID": "1000.X"}, "TOKENKEEP_CLIENT_SECRET"),
        ({"CRM_DESK_URL": "desk.example.com"}, "is no address of a desk"),
        ({"CRM_DESK_URL": "https://desk.example.com/path"}, "is no address of a desk"),
        ({"CRM_DESK_URL": "https://desk.example.com?a=b"}, "is no address of a desk"),
        ({"CRM_DESK_URL": "https://desk.example.com#a"}, "is no address of a desk"),
        ({"CRM_DESK_URL": "https://desk.example.com:https"}, "is no address of a desk"),
        ({"CRM_DESK_SESSION_KEY": "secret-but-short"}, "The session key is none"),
        (
            {"TOKENKEEP_CLIENT_ID": "1", "TOKENKEEP_CLIENT_SECRET": "2",
             "CRM_DESK_DATA_CENTER": "mars"},
            "There is no data centre 'mars'",
        ),
    ],
)  # fmt: skip
def test_what_it_can_not_start_with(tmp_path, environ, said):
    """Each is said in a sentence, and what is secret is not repeated."""
    desk = DeskServer(None, tmp_path, environ=environ)
    desk.launch()

    assert desk.end() == 2
    assert said in desk.log()
    assert "Traceback" not in desk.log()
    assert "secret-but-short" not in desk.log()


def test_a_session_key_that_others_can_read(alone):
    """It is refused: whoever reads it can be anybody."""
    folder = alone.folder / "desk/emulated"
    folder.mkdir(parents=True)
    (folder / "session.key").write_text("x" * 43 + "=")
    alone.launch()

    assert alone.end() == 2
    assert "Others can read the session key" in alone.log()


def test_tokens_in_memory_and_two_workers(alone):
    """Each worker would have tokens of its own: that is refused."""
    alone.workers = 2
    alone.environ |= {"TOKENKEEP_STORE": "memory:", "TOKENKEEP_KEYS": tokenkeep.generate_key()}
    alone.launch()

    assert alone.end() == 2
    assert "2 workers can't share tokens in the memory of one" in alone.log()


@pytest.mark.parametrize(
    "url", ["https://desk.example.com", "HTTPS://Desk.Example.COM:443/"], ids=["plain", "odd"]
)
def test_behind_https(zoho, tmp_path, url):
    """
    With an https address cookies travel by https only, and only its own name is answered.

    However that is written, it is what browsers make of it.
    """
    desk = DeskServer(zoho, tmp_path, environ={"CRM_DESK_URL": url})
    desk.host = "desk.example.com"
    try:
        desk.start()
        browser = Browser(desk)
        page = browser.get("/", Host="desk.example.com")
        begun = browser.post(
            "/login",
            {"form_token": page.form_token},
            Host="desk.example.com",
            Origin="https://desk.example.com",
        )
        other = browser.get("/")
    finally:
        desk.stop()

    assert page.headers["Set-Cookie"].startswith("__Host-crm_desk=")
    assert "; Secure" in page.headers["Set-Cookie"]
    assert page.headers["Strict-Transport-Security"]
    assert urllib.parse.quote("https://desk.example.com/callback", safe="") in begun.location
    assert other.status == 421


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", "http://127.0.0.1:8418"),
        ("http://Desk:80/", "http://desk"),
        ("http://desk:8080", "http://desk:8080"),
        ("https://desk:80", "https://desk:80"),
        ("https://[::1]:443", "https://[::1]"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_address_as_browsers_write_it(given, url):
    """A browser's Host and Origin are compared with it letter for letter."""
    assert crm_desk.settings.url({"CRM_DESK_URL": given}) == url


def test_readme():
    """It names every setting, and the parts there are."""
    page = (ROOT / "README.md").read_text()
    source = "\n".join(path.read_text() for path in ROOT.glob("*.py"))
    settings = set(re.findall(r"CRM_DESK_[A-Z_]+", source)) - {"CRM_DESK_SCRATCH"}
    parts = {path.name for path in ROOT.glob("*.py")} - {"__init__.py"}

    assert [name for name in settings if f"`{name}`" not in page] == []
    assert parts == set(re.findall(r"`(\w+\.py)`", page)) - {"record.py", "custom_store.py"}
