"""A session that a policy ends: whoever comes back is told so, and logs in again."""

from __future__ import annotations

import re
import time

import pytest
from desk_driver import ANA, BEN, ROOT, Browser, DeskServer, running

import tokenkeep
from tokenkeep import Policies, Status

POLICIES = ROOT / "examples" / "crm_desk" / "policies.toml"
ENDED = r"Your session ended at \d\d:\d\d UTC on \d\d \w+ by the policy 'sessions': log in again\."


@pytest.fixture(scope="module")
def ruled_desk(zoho_of_all, tmp_path_factory):
    """A desk in two processes whose store has the policy that its README sets."""
    server = DeskServer(zoho_of_all, tmp_path_factory.mktemp("ruled"), workers=2)
    url = server.environ["TOKENKEEP_STORE"]
    with tokenkeep.open_store(url, environ=server.environ, make=True) as store:
        store.set_policies(Policies.from_toml(POLICIES.read_text(), "policies.toml"))
    with running(server) as desk:
        yield desk


@pytest.fixture
def five_minutes_pass(ruled_desk, zoho):  # noqa: ARG001  # as it is at the start of a test
    """Let a user's login be five minutes old."""

    def _pass(user):
        with ruled_desk.open_store() as store:
            token = store.find_token(tokenkeep.Token(user=user))
            store.swap(token.but(logged_in_at=time.time() - 301))

    return _pass


def test_ended(ruled_desk, five_minutes_pass):
    """No error page: when, by which policy, and the button to log in; then all is as before."""
    browser, other = Browser(ruled_desk), Browser(ruled_desk)
    browser.log_in(ANA)
    other.log_in(BEN)
    assert browser.get("/leads").status == 200

    five_minutes_pass(ANA)
    pages = [browser.get("/leads") for _ in range(4)]

    for page in pages:  # from both processes
        assert page.status == 401
        assert page.trouble is None
        assert "<h1>Your session has ended</h1>" in page.source
        assert re.search(ENDED, page.text)
        assert "Log in with Zoho" in page.text
    assert other.get("/leads").status == 200
    with ruled_desk.open_store() as store:
        row = store.find_token(tokenkeep.Token(user=ANA))
        assert (row.status, row.history[-1].by) == (Status.REVOKED, "policy sessions")

    assert browser.log_in(ANA) == "/leads"
    assert "Boyle" in browser.get("/leads").leads.values()


def test_ended_while_somebody_types(ruled_desk, five_minutes_pass):
    """What was typed comes back after the login."""
    browser = Browser(ruled_desk)
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    five_minutes_pass(ANA)

    ended = browser.send(page, "/leads/new", Last_Name="Typed & Söhne")

    assert re.search(f"{ENDED} What you typed is kept until then.", ended.text)
    assert browser.log_in(ANA) == "/leads/new"
    assert browser.get("/leads/new").value("Last_Name") == "Typed & Söhne"
