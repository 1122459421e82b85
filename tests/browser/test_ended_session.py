"""A session that a policy has ended, as its user sees it."""

from __future__ import annotations

import re
import time

from axe_playwright_python.sync_playwright import Axe
from desk_driver import DeskServer, running
from playwright.sync_api import expect

import tokenkeep
from tokenkeep import Policies, Policy


def test_ended_session(visit, add_user, zoho, tmp_path):
    """They are told since when and why, log in with the button right there, and go on."""
    desk = DeskServer(zoho, tmp_path)
    rules = Policies([Policy(name="sessions", max_session=12 * 3600.0)])
    url = desk.environ["TOKENKEEP_STORE"]
    with tokenkeep.open_store(url, environ=desk.environ, make=True) as store:
        store.set_policies(rules)
    with running(desk):
        person = visit(add_user(leads=["Alvarez"]), at=desk).arrive()
        with desk.open_store() as store:
            (token,) = store.get_tokens()
            store.swap(token.but(logged_in_at=time.time() - 12 * 3600 - 60))

        person.open("/leads")

        expect(person.heading("Your session has ended")).to_be_visible()
        told = person.page.get_by_role("status").first
        expect(told).to_contain_text(re.compile("ended at .* by the policy 'sessions': log in"))
        assert person.page.get_by_role("alert").count() == 0
        found = Axe().run(person.page)
        assert found.response["violations"] == []
        person.page.screenshot(path=tmp_path / "ended.png")
        person.ask_zoho()
        person.accept()
        expect(person.heading("Leads")).to_be_visible()
        assert person.leads() == ["Alvarez"]
