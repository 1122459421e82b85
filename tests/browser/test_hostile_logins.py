"""Answers that no login of this browser waits for, and cookies that the desk did not write."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from cryptography.fernet import Fernet
from desk_driver import consent
from playwright.sync_api import expect

from .elsewhere import Elsewhere


def answer_of(person):
    """Let somebody log in up to Zoho's answer, which their browser does not get yet."""
    person.open("/?more")
    person.ask_zoho()
    return consent(person.page.url, user=person.user.name)


def replaced(answer, name, value):
    found = re.sub(rf"([?&]){name}=[^&]*", rf"\g<1>{name}={quote(value, safe='')}", answer)
    assert found != answer
    return found


@pytest.fixture
def person(visit, add_user):
    return visit(add_user(leads=["Alvarez"]))


def test_forged_state(person, zoho):
    """Refused in plain words, and nothing is used up: the true answer still logs in."""
    answer = answer_of(person)
    person.page.goto(replaced(answer, "state", "A" * 43))
    person.expect_trouble("not-this-login", "It was not used for anything.")
    person.page.goto(re.sub("state=[^&]*&", "", answer))
    person.expect_trouble("not-this-login")
    assert zoho.counters.token_calls() == 0

    person.page.goto(answer)
    expect(person.lead("Alvarez")).to_be_visible()


def test_replayed(person, visit, add_user, zoho):
    """An answer opened again, here or in another browser, logs nobody in and asks nobody."""
    answer = answer_of(person)
    waiting = person.context.cookies()
    person.page.goto(answer)
    expect(person.lead("Alvarez")).to_be_visible()
    other, stranger, earlier = visit(add_user("Ben")).arrive(), visit(), visit()
    # Even with the cookie of when the login was under way.
    earlier.context.add_cookies(waiting)
    zoho.counters.reset()
    for each in (person, other, stranger, earlier):
        each.page.goto(answer)
        each.expect_trouble("not-this-login", "Start the login again from here.")

    assert zoho.counters.token_calls() == 0
    for each, email in ((person, person.email), (other, other.email)):
        each.open("/leads")
        expect(each.page.locator("summary")).to_contain_text(email)
    stranger.open("/leads")
    stranger.expect_trouble("not-logged-in")


def test_code_replayed_under_a_state_of_ones_own(person, visit, add_user):
    """The code of somebody else, brought back in one's own login, is refused by its proof key."""
    [code] = parse_qs(urlsplit(answer_of(person)).query)["code"]
    thief = visit(add_user("Mallory"))
    thief.page.goto(replaced(answer_of(thief), "code", code))

    thief.expect_trouble("code-rejected", "Zoho did not accept this login")
    thief.open("/leads")
    thief.expect_trouble("not-logged-in")


def test_answer_pushed_on_somebody(person, visit, add_user):
    """Whoever is sent the unused answer of another's login does not become them."""
    mallory = visit(add_user("Mallory"))
    answer = answer_of(mallory)
    person.arrive()
    person.page.goto(answer)
    person.expect_trouble("not-this-login")
    person.open("/leads")

    expect(person.lead("Alvarez")).to_be_visible()


def test_accounts_server_elsewhere(person, zoho):
    """An answer that names another server's address: nothing is sent there, and it says so."""
    with Elsewhere() as elsewhere:
        answer = replaced(answer_of(person), "accounts-server", elsewhere.url)
        person.page.goto(answer)
        person.expect_trouble("unknown-server", "Nothing was sent there.")
        assert elsewhere.requests == []

    assert zoho.counters.token_calls() == 0
    person.log_in()


def test_tampered_cookie(person, visit, add_user):
    """A cookie changed by one letter, or made by oneself, is that of a stranger."""
    person.arrive()
    [cookie] = person.context.cookies()
    mine = visit(add_user("Mallory")).arrive()
    value = cookie["value"]
    middle = len(value) // 2
    content = {"browser": "x", "token_id": _token_id(person), "others": []}
    forged = {
        "changed": f"{value[:middle]}{'A' if value[middle] != 'A' else 'B'}{value[middle + 1 :]}",
        "cut": value[:-4],
        "other key": Fernet(Fernet.generate_key()).encrypt(json.dumps(content).encode()).decode(),
        "plain": quote(json.dumps(content)),
        "empty": "",
    }
    for each in forged.values():
        mine.context.clear_cookies()
        mine.context.add_cookies([{**cookie, "value": each}])
        mine.open("/leads")
        mine.expect_trouble("not-logged-in", "This browser has no login here")
        expect(mine.page.get_by_text("Alvarez")).to_have_count(0)

    mine.context.clear_cookies()
    mine.context.add_cookies([cookie])
    mine.open("/leads")
    expect(mine.lead("Alvarez")).to_be_visible()


def _token_id(person):
    return person.panel().locator("code").inner_text()


def test_open_redirect(person):
    """No address leads elsewhere, however it is asked: not after a login, not by its path."""
    with Elsewhere() as elsewhere:
        away = elsewhere.url
        person.open(f"/?more&next={quote(away)}&return_to={quote(away)}")
        hidden = person.page.locator("input[name=draft]")
        hidden.evaluate("(input, value) => { input.value = value }", away)
        person.ask_zoho()
        answer = consent(person.page.url, user=person.user.name)
        person.page.goto(f"{answer}next={quote(away)}&draft={quote(away)}")
        expect(person.lead("Alvarez")).to_be_visible()
        assert person.page.url == f"{person.desk.url}/leads"

        host = urlsplit(away).netloc
        for path in (
            f"//{host}",
            f"//{host}/leads/",
            f"/\\{host}",
            f"/%2f{host}",
            f"/leads//{host}/",
        ):
            person.open(path)
            assert person.page.url.startswith(f"{person.desk.url}/")
        assert elsewhere.requests == []
