"""What may be sent to the sample application, from where, and whose it is then."""

from __future__ import annotations

import time
import urllib.parse

import pytest
from desk_driver import ANA, BEN, Browser, consent

PATHS = (
    "/leads",
    "/login",
    "/account/use",
    "/account/disconnect",
    "/emulator/revoke",
    "/leads/1/delete",
)


def last_names(zoho, user):
    return [each["Last_Name"] for each in zoho.records(user).values()]


def test_cross_site_post(browser, zoho):
    """What another site lets a browser send is refused, whatever it claims."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    form = {"form_token": page.form_token, "Last_Name": "Forged"}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": None, "Sec_Fetch_Site": "cross-site"},
        {"Origin": None, "Sec_Fetch_Site": "same-site"},
    ):
        assert browser.post("/leads", form, **headers).status == 403
        assert browser.post("/account/logout", form, **headers).status == 403
    for token in ("", "0" * 64):
        for path in PATHS:
            answer = browser.post(path, form | {"form_token": token})
            assert (answer.status, answer.trouble) == (403, "stale-form"), path
    for path in ("/login", "/account/use", "/account/logout", "/emulator/revoke"):
        assert browser.get(path).status == 405

    assert "Forged" not in last_names(zoho, ANA)
    assert browser.get("/leads").status == 200


def test_foreign_host(browser, desk):
    """A name that somebody else let point here is no name of the desk."""
    for host in ("evil.example", f"evil.example:{desk.port}", f"localhost:{desk.port}", ""):
        answer = browser.get("/", Host=host)
        assert answer.status == 421
        assert "evil" not in answer.source
        assert not answer.headers.get_all("Set-Cookie")


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"]
)
def test_no_open_redirect(browser, zoho, elsewhere):
    """Nothing that a request names is where a browser is sent to."""
    names = dict.fromkeys(("next", "url", "back", "draft", "location", "redirect_uri"), elsewhere)
    begun = browser.send(browser.get("/"), "/login", **names)
    assert begun.location.startswith(zoho.us.auth_url)
    answer = consent(begun.location, user=ANA)
    extra = urllib.parse.urlencode({k: v for k, v in names.items() if k != "location"})

    assert browser.callback(f"{answer}&{extra}").location == "/leads"
    out = browser.send(browser.get("/leads"), "/account/logout", **names)
    assert out.location == "/?done=out"


@pytest.mark.parametrize(
    "path", ["//evil.example/leads/", "/%2fevil.example", "/leads//evil.example/"]
)
def test_no_address_leads_elsewhere(browser, desk, path):
    """A path that begins like an address is not completed to one."""
    sent_to = browser.get(path).headers.get("Location", "")

    assert urllib.parse.urljoin(desk.url, sent_to).startswith(desk.url)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/static/../app.py", 404),
        ("/static/%2e%2e/app.py", 404),
        ("/static/%00", 404),
        (f"/leads/{'9' * 5000}", 404),
        (f"/leads?page={'9' * 5000}", 200),
        ("/leads?page=-1", 200),
        ("/leads?page=999999", 400),
    ],
    ids=lambda value: str(value)[:30],
)
def test_odd_addresses(browser, path, status):
    """What there is not, or can't be, is answered plainly."""
    browser.log_in(ANA)

    assert browser.get(path).status == status


def test_too_long(browser):
    """What no form of the desk can be is not read."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")

    assert browser.send(page, "/leads", Last_Name="x" * 600_000).status == 413
    assert browser.get("/leads").status == 200


@pytest.mark.parametrize("typed", ["Whose?", "  "], ids=["as it is", "with a mistake"])
def test_a_form_is_of_the_login_it_was_opened_with(browser, zoho, typed):
    """Opened as one user and sent as another, it is shown again instead of sent."""
    browser.log_in(ANA)
    browser.log_in(BEN)
    form = browser.get("/leads/new")
    browser.send(form, "/account/use", token_id=form.value("token_id"))
    before = [last_names(zoho, user) for user in (ANA, BEN)]
    refused = browser.send(form, "/leads", Last_Name=typed, Company="Kept & Co")

    assert (refused.status, refused.trouble) == (403, "stale-form")
    assert refused.value("Company") == "Kept & Co"
    assert [last_names(zoho, user) for user in (ANA, BEN)] == before


def test_log_out_while_a_form_is_on_its_way(browser, desk, zoho):
    """Who it is from is looked at when all of it is there."""
    browser.log_in(ANA)
    form = {"form_token": browser.get("/leads/new").form_token, "Last_Name": "After the logout"}
    body = urllib.parse.urlencode(form).encode()
    with desk.begin_form(body[:10], len(body), browser.cookies) as held:
        time.sleep(0.3)
        browser.send(browser.get("/leads"), "/account/logout")
        held.sendall(body[10:])
        answer = held.recv(100_000).decode()

    assert answer.startswith("HTTP/1.1 403")
    assert "After the logout" not in last_names(zoho, ANA)


def test_each_sees_their_own(browser, desk, zoho):
    """Organisations are apart: another's lead is none, whatever is asked for."""
    other = Browser(desk)
    browser.log_in(ANA)
    other.log_in(BEN)
    other.add_lead("Ben's")
    [lead] = [each for each, name in other.get("/leads").leads.items() if name == "Ben's"]

    assert "Ben's" not in browser.get("/leads").text
    assert browser.get(f"/leads/{lead}").trouble == "no-such-lead"
    form = browser.get("/leads/new")
    assert browser.send(form, f"/leads/{lead}", Last_Name="Stolen").trouble == "no-such-lead"
    assert browser.send(form, f"/leads/{lead}/delete").trouble == "no-such-lead"
    assert zoho.records(BEN)[lead]["Last_Name"] == "Ben's"
