"""HTML and script in names, shown as they are written; nothing of it runs."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

HACK = "alert(hacked=1)"
SCRIPT = f"<script>{HACK}</script>"
IMAGE = f"<img/src=x/onerror={HACK}>"
BREAKOUT = f"\"'></textarea>{IMAGE}{SCRIPT}{{{{7*7}}}}"


@pytest.mark.parametrize("bypass_csp", [False, True], ids=["as it is", "without its policy"])
def test_names(visit, add_user, zoho, bypass_csp):
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
    person.open(f"/leads/{lead}/delete")
    expect(person.heading(f"Delete {shown}?")).to_be_visible()
    nothing_ran(person)
    person.open("/account/disconnect")
    expect(person.page.get_by_role("main")).to_contain_text(names[1])
    nothing_ran(person)


@pytest.mark.parametrize("bypass_csp", [False, True], ids=["as it is", "without its policy"])
def test_what_is_shown_again(visit, add_user, zoho, bypass_csp):
    """What was typed, and what an address says, is text on the pages about trouble, too."""
    person = visit(add_user(), bypass_csp=bypass_csp).arrive()
    person.open("/leads/new")
    person.fill(Last_name=SCRIPT, Company=BREAKOUT, Description=BREAKOUT)
    person.desk.withdraw(person.user)
    person.press("Add the lead")
    person.expect_trouble("login-needed")
    expect(person.page.get_by_label("Company")).to_have_value(BREAKOUT)
    nothing_ran(person)
    person.ask_zoho()
    person.accept()
    expect(person.page.get_by_label("Last name")).to_have_value(SCRIPT)
    nothing_ran(person)

    person.open(f"/leads/new?draft={BREAKOUT}&done={SCRIPT}")
    expect(person.heading("New lead")).to_be_visible()
    nothing_ran(person)
    zoho.faults.add(endpoint="records", kind="status", times=None)
    person.open(f"/leads?page=2&x={BREAKOUT}&done={SCRIPT}")
    person.expect_trouble("crm-silent")
    nothing_ran(person)
    person.open(f"/callback?error={SCRIPT}&state={BREAKOUT}&code={IMAGE}")
    person.expect_trouble("not-this-login")
    nothing_ran(person)
    person.open(f"/{SCRIPT}")
    person.expect_trouble("not-here")
    nothing_ran(person)


def test_policy(visit, add_user):
    """Should markup come through one day: the policy of the pages runs no script in them."""
    person = visit(add_user()).arrive()
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
