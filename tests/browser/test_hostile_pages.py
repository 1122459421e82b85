"""Pages of others in the browser of somebody who is logged in, and markup in what is shown."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .elsewhere import elsewhere

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
PLAIN = "application/x-www-form-urlencoded"
POSTS = [
    ("/leads", PLAIN),
    ("/leads", "multipart/form-data"),
    ("/leads", "text/plain"),
    ("/account/logout", PLAIN),
    ("/emulator/revoke", PLAIN),
]

HACK = "alert(hacked=1)"
SCRIPT = f"<script>{HACK}</script>"
IMAGE = f"<img/src=x/onerror={HACK}>"
BREAKOUT = f"\"'></textarea>{IMAGE}{SCRIPT}{{{{7*7}}}}"
NO_LOGIN = "This answer belongs to no login of this browser"


@pytest.fixture
def prize():
    with elsewhere() as server:
        yield server


@pytest.mark.parametrize("near", [True, False], ids=["another port", "another site"])
def test_form(person, prize, zoho, near):
    """A form elsewhere that posts to the desk is refused, even if it knew the form's token."""
    person.open("/leads/new")
    token = person.page.locator("form.fields input[name=form_token]").input_value()
    for path, enctype in POSTS:
        prize.html = FORM.format(action=person.desk.url + path, enctype=enctype, token=token)
        person.page.goto(prize.near_url if near else prize.url)
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


def test_frame(person, prize):
    """The desk is not shown inside another page."""
    prize.html = FRAME.format(url=person.desk.url)
    person.page.goto(prize.near_url)
    refused = re.compile("frame-ancestors")
    with person.page.expect_console_message(lambda each: refused.search(each.text)):
        person.page.reload()
    assert person.page.frames[1].get_by_text("Alvarez").count() == 0

    person.oddities.clear()


def test_reading(person, prize):
    """A script elsewhere learns nothing, with the cookie or without."""
    prize.html = READS.format(url=person.desk.url)
    for url in (prize.near_url, prize.url):
        person.page.goto(url)
        expect(person.page.locator("#got")).to_have_text("nothing nothing")

    assert any("CORS" in each for each in person.oddities)
    person.oddities.clear()


@pytest.mark.parametrize("bypass_csp", [False, True], ids=["as it is", "without its policy"])
def test_markup(visit, add_user, zoho, bypass_csp):
    """A user and a lead made of markup are text on every page, even to a browser without CSP."""
    person = visit(bypass_csp=bypass_csp)
    names = [f"{IMAGE}@{kind}.example" for kind in ("one", "two")]
    for name in names:
        person.arrive(add_user(email=name))
    person.open("/leads/new")
    person.fill(
        First_name="<b>x</b>", Last_name=SCRIPT, Company=BREAKOUT, Description=f"\n{BREAKOUT}\n"
    )
    person.press("Add the lead")
    shown = f"<b>x</b> {SCRIPT}"
    expect(person.lead(shown)).to_be_visible()
    expect(person.page.get_by_role("cell", name=BREAKOUT)).to_be_visible()
    person.page.locator("summary").click()
    expect(person.page.locator("summary")).to_contain_text(names[1])
    expect(person.page.get_by_role("button", name=f"Switch to {names[0]}")).to_be_visible()
    nothing_ran(person)

    [lead] = zoho.records(person.user)
    person.open(f"/leads/{lead}")
    expect(person.heading(shown)).to_be_visible()
    expect(person.page).to_have_title(f"{shown} · CRM desk")
    expect(person.page.get_by_label("Company")).to_have_value(BREAKOUT)
    expect(person.page.get_by_label("Description")).to_have_value(BREAKOUT)
    nothing_ran(person)
    for path, heading in (
        (f"/leads/{lead}/delete", f"Delete {shown}?"),
        ("/account/disconnect", "Disconnect from Zoho?"),
        (f"/leads/new?draft={BREAKOUT}&done={SCRIPT}", "New lead"),
        (f"/{SCRIPT}", "There is nothing here"),
        (f"/callback?error={SCRIPT}&state={BREAKOUT}&code={IMAGE}", NO_LOGIN),
    ):
        person.open(path)
        expect(person.heading(heading)).to_be_visible()
        nothing_ran(person)

    # What was typed is shown again, on a page about trouble and after it.
    person.open("/leads/new")
    person.fill(Last_name=SCRIPT, Company=BREAKOUT, Description=BREAKOUT)
    person.desk.withdraw(person.user)
    person.press("Add the lead")
    person.expect_trouble("login-needed")
    nothing_ran(person)
    person.ask_zoho()
    person.accept()
    expect(person.page.get_by_label("Last name")).to_have_value(SCRIPT)
    expect(person.page.get_by_label("Company")).to_have_value(BREAKOUT)
    nothing_ran(person)


def test_policy(person):
    """Should markup come through one day: the policy of the pages runs no script in them."""
    person.page.evaluate(
        """hack => {
            const script = document.createElement("script");
            script.textContent = hack;
            const image = document.createElement("div");
            image.innerHTML = `<img src="data:," onerror="${hack}"><a href="javascript:${hack}">x`;
            document.body.append(script, image);
            image.querySelector("a").click();
        }""",
        HACK,
    )
    person.page.locator("img[onerror]").evaluate("image => image.decode().catch(() => {})")
    nothing_ran(person)
    assert len([each for each in person.oddities if "Content Security Policy" in each]) >= 2

    person.oddities.clear()


def nothing_ran(person):
    """See that no script of theirs did anything, nor is there an element of theirs."""
    assert person.page.evaluate("window.hacked") is None
    ours = person.page.evaluate(
        "[...document.querySelectorAll('main script, main img, main b, .menu img, summary img')]"
        ".map(each => each.outerHTML)"
    )
    assert ours == []
