"""How the sample application starts, what it is told, and how it ends: soon, with all saved."""

from __future__ import annotations

import re
import socket
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk_driver import ANA, ROOT, Browser, DeskServer, consent, running

import crm_desk.settings
import tokenkeep

PERSON = "ana@example.com:700001"
DESK = ROOT / "examples/crm_desk"


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
    assert is_gone(first, within=10)
    alone.start()
    again = browser.get("/leads")

    assert len(page.leads) == 10
    assert emulator_of(alone) != first
    assert (again.status, list(again.leads.values())) == (200, list(page.leads.values()))


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
        ({"CRM_DESK_SESSION_KEY": "secret-but-short"}, "The session key is none"),
        ({"TOKENKEEP_STORE": "mysterious://x"}, "mysterious"),
        (
            {"TOKENKEEP_STORE": "memory:", "TOKENKEEP_KEYS": tokenkeep.generate_key()},
            "2 workers can't share tokens in the memory of one",
        ),
        (
            {
                "TOKENKEEP_CLIENT_ID": "1",
                "TOKENKEEP_CLIENT_SECRET": "2",
                "CRM_DESK_DATA_CENTER": "mars",
            },
            "There is no data centre 'mars'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_what_it_can_not_start_with(alone, environ, said):
    """Each is said in a sentence before a worker starts, and what is secret is not repeated."""
    alone.workers = 2
    alone.environ |= environ
    alone.launch()

    assert alone.end() == 2
    assert said in alone.log()
    assert "The desk can't start." in alone.log()
    assert "Traceback" not in alone.log()
    assert "secret-but-short" not in alone.log()


def test_a_session_key_that_others_can_read(alone):
    """It is refused: whoever reads it can be anybody."""
    folder = alone.folder / "desk/emulated"
    folder.mkdir(parents=True)
    (folder / "session.key").write_text("x" * 43 + "=")
    alone.launch()

    assert alone.end() == 2
    assert "Others can read the session key" in alone.log()


def test_behind_https(zoho, tmp_path):
    """
    With an https address cookies travel by https only, and only its own name is answered.

    However that is written, it is what browsers make of it.
    """
    environ = {"CRM_DESK_URL": "HTTPS://Desk.Example.COM:443/"}
    server = DeskServer(zoho, tmp_path, environ=environ)
    server.host = "desk.example.com"
    with running(server) as desk:
        browser = Browser(desk)
        page = browser.get("/", Host="desk.example.com")
        begun = browser.post(
            "/login",
            {"form_token": page.form_token},
            Host="desk.example.com",
            Origin="https://desk.example.com",
        )
        other = browser.get("/")

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
        ("https://desk:80", "https://desk:80"),
        ("https://[::1]:443", "https://[::1]"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_address_as_browsers_write_it(given, url):
    """A browser's Host and Origin are compared with it letter for letter."""
    assert crm_desk.settings.url({"CRM_DESK_URL": given}) == url


@pytest.mark.parametrize("end", ["/path", "?a=b", "#a", ":https"])
def test_no_address_of_a_desk(end):
    """What has more than a name and a port is none."""
    with pytest.raises(tokenkeep.ConfigurationError, match="is no address of a desk"):
        crm_desk.settings.url({"CRM_DESK_URL": f"https://desk.example.com{end}"})


def test_readme():
    """It names every setting, and the parts there are."""
    page = (DESK / "README.md").read_text()
    source = "\n".join(path.read_text() for path in DESK.glob("*.py"))
    settings = set(re.findall(r"CRM_DESK_[A-Z_]+", source)) - {"CRM_DESK_SCRATCH"}
    parts = {path.name for path in DESK.glob("*.py")} - {"__init__.py"}

    assert [name for name in settings if f"`{name}`" not in page] == []
    assert parts == set(re.findall(r"`(\w+\.py)`", page)) - {"record.py", "custom_store.py"}


# Ending


@pytest.fixture(params=[1, 2], ids=["one", "two"])
def ending(zoho, tmp_path, request):
    """A desk of one process or two, to be told to end by the test."""
    with running(DeskServer(zoho, tmp_path, workers=request.param)) as desk:
        yield desk
        zoho.faults.clear()


def answered_at_the_end(desk, fault, ask):
    """Ask for something that a fault holds up; end the desk then; return answer and seconds."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        assert fault.wait()
        desk.tell_to_end()
        began = time.monotonic()
        desk.end()
        return asked.result(), time.monotonic() - began


def test_while_a_change_hangs(ending, zoho):
    """It ends; who waits has what was typed back, and is told that it may have been sent."""
    browser = Browser(ending)
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    fault = zoho.faults.add(endpoint="records", kind="hang", times=None)
    typed = {"Last_Name": "Typed", "Company": "Long text"}
    # Half a form is not waited for either.
    with ending.begin_form(b"Last_Name=", 1000) as slow:
        answer, took = answered_at_the_end(
            ending, fault, lambda: browser.send(page, "/leads", **typed)
        )
        half = slow.recv(100_000).decode()

    assert took < 12
    assert (answer.status, answer.trouble) == (503, "ending")
    assert {name: answer.value(name) for name in typed} == typed
    assert "not known whether what you sent was done" in answer.text
    assert "503 Service Unavailable" in half
    assert "Cancel " not in ending.log()


def test_while_a_page_is_slow(ending, zoho):
    """What takes a few seconds is waited for."""
    browser = Browser(ending)
    browser.log_in(ANA)
    browser.get("/leads")
    fault = zoho.faults.add(endpoint="records", kind="slow", delay=2.0)
    answer, took = answered_at_the_end(ending, fault, lambda: browser.get("/leads"))

    assert took < 6
    assert answer.status == 200


@pytest.mark.slow(part="ci")
def test_while_a_renewal_is_slow(ending, zoho):
    """The answer to a renewal is saved before the end, though nobody waits for it any more."""
    browser = Browser(ending)
    browser.log_in(ANA)
    ending.expire(ANA)
    zoho.counters.reset()
    fault = zoho.faults.add(endpoint="token", kind="slow", delay=8.5)
    answer, _ = answered_at_the_end(ending, fault, lambda: browser.get("/leads"))
    ending.start()

    assert answer.trouble == "ending"
    assert browser.get("/leads").status == 200
    assert zoho.counters.token_calls("refresh_token") == 1


@pytest.mark.slow(part="ci")
def test_while_a_login_is_slow(ending, zoho):
    """The tokens that Zoho has given are stored before the end: nobody else knows them."""
    browser = Browser(ending)
    code = consent(browser.begin(), user=ANA)
    fault = zoho.faults.add(endpoint="token", kind="slow", delay=8.5)
    answer, _ = answered_at_the_end(ending, fault, lambda: browser.callback(code))

    assert answer.status == 503
    with ending.open_store() as store:
        assert [ANA] == [token.user for token in store.get_tokens()]
