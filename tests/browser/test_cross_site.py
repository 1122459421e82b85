"""Pages of others, in the browser of somebody who is logged in."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .elsewhere import NAME, Elsewhere

FORM = """<!doctype html><title>Win a prize</title>
<form method="post" action="{action}" enctype="{enctype}">
<input name="Last_Name" value="Planted"><input name="form_token" value="{token}">
<button>Click here</button></form>"""
FRAME = """<!doctype html><title>Win a prize</title><iframe src="{url}/leads"></iframe>"""
READS = """<!doctype html><title>Win a prize</title><pre id="got"></pre><script>
(async () => {{
  let got = "";
  for (const path of ["/leads", "/panel"]) {{
    try {{ got += await (await fetch("{url}" + path, {{credentials: "include"}})).text(); }}
    catch (error) {{ got += "nothing "; }}
  }}
  document.getElementById("got").textContent = got;
}})();
</script>"""


@pytest.fixture
def elsewhere():
    with Elsewhere() as server:
        yield server


@pytest.fixture
def person(visit, add_user):
    return visit(add_user(leads=["Alvarez"])).arrive()


PLAIN = "application/x-www-form-urlencoded"
POSTS = [
    ("/leads", PLAIN),
    ("/leads", "multipart/form-data"),
    ("/leads", "text/plain"),
    ("/account/logout", PLAIN),
    ("/emulator/revoke", PLAIN),
]


@pytest.mark.parametrize("near", [True, False], ids=["another port", "another site"])
def test_form(person, elsewhere, zoho, near):
    """A form elsewhere that posts to the desk is refused, even if it knew the form's token."""
    person.open("/leads/new")
    token = person.page.locator("form.fields input[name=form_token]").input_value()
    for path, enctype in POSTS:
        elsewhere.html = FORM.format(action=person.desk.url + path, enctype=enctype, token=token)
        person.page.goto(elsewhere.near_url if near else elsewhere.url)
        with person.page.expect_request(person.desk.url + path) as sent:
            person.press("Click here")
        expect(
            person.page.get_by_text("This was not sent from a page of this desk")
        ).to_be_visible()
        assert sent.value.response().status == 403
        # To other ports of one machine a browser sends the cookie: what refuses it is the origin.
        assert ("cookie" in sent.value.all_headers()) is near

    assert [each["Last_Name"] for each in zoho.records(person.user).values()] == ["Alvarez"]
    person.open("/leads")
    expect(person.lead("Alvarez")).to_be_visible()


def test_form_without_its_token(person, zoho):
    """Nor is one from the desk's own origin taken without the token that its pages carry."""
    person.open("/leads/new")
    for value in ("", "0" * 64):
        person.fill(Last_name="Planted")
        hidden = person.page.locator("form.fields input[name=form_token]")
        hidden.evaluate("(input, value) => { input.value = value }", value)
        person.press("Add the lead")
        person.expect_trouble("stale-form", "nothing was sent")

    assert len(zoho.records(person.user)) == 1


def test_links_do_nothing(person, zoho):
    """Addresses that somebody is made to open ask first, or are none."""
    [lead] = zoho.records(person.user)
    for path in (f"/leads/{lead}/delete", "/account/disconnect"):
        person.open(path)
        expect(person.page.locator("form[data-once] button.danger")).to_be_visible()
    for path in ("/account/logout", "/account/use", "/login", "/emulator/revoke"):
        assert person.open(path).status == 405
    person.open("/leads")

    expect(person.lead("Alvarez")).to_be_visible()


def test_frame(person, elsewhere):
    """The desk is not shown inside another page."""
    elsewhere.html = FRAME.format(url=person.desk.url)
    person.page.goto(elsewhere.near_url)
    refused = re.compile("frame-ancestors")
    with person.page.expect_console_message(lambda each: refused.search(each.text)):
        person.page.reload()
    assert person.page.frames[1].get_by_text("Alvarez").count() == 0

    person.oddities.clear()


def test_reading(person, elsewhere):
    """A script elsewhere learns nothing, with the cookie or without."""
    elsewhere.html = READS.format(url=person.desk.url)
    for url in (elsewhere.near_url, elsewhere.url):
        person.page.goto(url)
        expect(person.page.locator("#got")).to_have_text("nothing nothing")

    assert any("CORS" in each for each in person.oddities)
    person.oddities.clear()


def test_foreign_host(person, desk):
    """Under another name (DNS rebinding) the desk shows nothing and gives out no cookie."""
    answer = person.page.goto(f"http://{NAME}:{desk.port}/leads")

    assert answer.status == 421
    expect(person.page.locator("body")).to_have_text(f"This desk is at {desk.url}")
    assert "set-cookie" not in answer.all_headers()
    assert {each["domain"] for each in person.context.cookies()} == {"127.0.0.1"}
    person.oddities.clear()  # on http under a name, Chromium says that it ignores a header
