"""Pages of others in the browser of somebody who is logged in, and markup in what is shown."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

FORM = """<form method="post" action="{action}" enctype="{enctype}">
<input name="Last_Name" value="Planted"><button>Click here</button></form>"""
READS = """<pre id="got"></pre><script>
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
    ("/leads/new", PLAIN),
    ("/leads/new", "multipart/form-data"),
    ("/leads/new", "text/plain"),
    ("/logout", PLAIN),
    ("/emulator/revoke", PLAIN),
]

HACK = "alert(hacked=1)"
SCRIPT = f"<script>{HACK}</script>"
IMAGE = f"<img/src=x/onerror={HACK}>"
BREAKOUT = f"\"'></textarea>{IMAGE}{SCRIPT}{{{{7*7}}}}"


@pytest.mark.parametrize("near", [True, False], ids=["another port", "another site"])
def test_pages_elsewhere(person, elsewhere, zoho, near):
    """They can't send a form, show the desk in a frame, or read it; with its cookie or without."""
    at = elsewhere.near_url if near else elsewhere.url
    for path, enctype in POSTS:
        elsewhere.html = FORM.format(action=person.desk.url + path, enctype=enctype)
        person.page.goto(at)
        with person.page.expect_request(person.desk.url + path) as sent:
            person.press("Click here")
        expect(person.page.get_by_text("This page is from before")).to_be_visible()
        assert sent.value.response().status == 403
        # To other ports of one machine a browser sends the cookie.
        assert ("cookie" in sent.value.all_headers()) is near
    elsewhere.html = READS.format(url=person.desk.url)
    person.page.goto(at)
    expect(person.page.locator("#got")).to_have_text("nothing nothing")
    assert any("CORS" in each for each in person.oddities)
    elsewhere.html = f'<iframe src="{person.desk.url}/leads"></iframe>'
    refused = re.compile("frame-ancestors")
    with person.page.expect_console_message(lambda each: refused.search(each.text)):
        person.page.goto(at)
    assert person.page.frames[1].get_by_text("Alvarez").count() == 0

    assert [each["Last_Name"] for each in zoho.records(person.user).values()] == ["Alvarez"]
    person.open("/leads")
    expect(person.lead("Alvarez")).to_be_visible()
    person.oddities.clear()


@pytest.mark.parametrize("bypass_csp", [False, True], ids=["as it is", "without its policy"])
def test_markup(visit, add_user, zoho, bypass_csp):
    """A user and a lead made of markup are text on every page, even to a browser without CSP."""
    name = f"{IMAGE}@{bypass_csp}.example"
    person = visit(bypass_csp=bypass_csp).arrive(add_user(email=name))
    person.open("/leads/new")
    person.fill(First_name="<b>x</b>", Last_name=SCRIPT, Company=BREAKOUT)
    person.press("Save")
    expect(person.lead(SCRIPT)).to_be_visible()
    expect(person.page.get_by_role("cell", name=BREAKOUT)).to_be_visible()
    expect(person.page.get_by_role("navigation", name="Account")).to_contain_text(name)
    nothing_ran(person)

    [lead] = zoho.records(person.user)
    person.open(f"/leads/{lead}")
    expect(person.page.get_by_label("Company")).to_have_value(BREAKOUT)
    nothing_ran(person)
    for path, heading in (
        (f"/leads?page={SCRIPT}&done={SCRIPT}", "Leads"),
        (f"/{SCRIPT}", "That did not work"),
        (f"/callback?error={SCRIPT}&state={BREAKOUT}&code={IMAGE}", "That did not work"),
    ):
        person.open(path)
        expect(person.heading(heading)).to_be_visible()
        nothing_ran(person)

    # What was typed is shown again after the next login, and sent once.
    person.open(f"/leads/{lead}")
    person.fill(Company=f"{BREAKOUT}!")
    person.desk.withdraw(person.user)
    person.press("Save")
    nothing_ran(person)
    person.ask_zoho()
    person.accept()
    expect(person.heading("Change the lead")).to_be_visible()
    expect(person.page.get_by_label("Company")).to_have_value(f"{BREAKOUT}!")
    assert zoho.records(person.user)[lead]["Company"] == BREAKOUT
    nothing_ran(person)
    person.press("Save")
    expect(person.page.get_by_role("cell", name=f"{BREAKOUT}!")).to_be_visible()


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
    assert person.page.locator("main :is(script, img, b), nav img").count() == 0
