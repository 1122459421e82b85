"""The whole story of two people, and of logins in several tabs and browsers."""

from __future__ import annotations

import re

from playwright.sync_api import expect

GONE = "This login is not there any more"


def test_two_people(visit, add_user, zoho):
    """Log in, read, add, change, delete, leave: each in their data centre, among their leads."""
    ana = visit(add_user("Ana", "us", [f"Alvarez {n:02}" for n in range(12)]))
    eva = visit(add_user("Eva", "eu", [f"Ekström {n:02}" for n in range(3)]))
    both = (ana, "Alvarez", "US"), (eva, "Ekström", "EU")

    for person, where in ((ana, "United States"), (eva, "Europe")):
        person.open()
        expect(person.page).to_have_title("Log in · CRM desk")
        person.ask_zoho(where)
    assert ana.page.url.startswith(zoho.us.auth_url)
    assert eva.page.url.startswith(zoho.eu.auth_url)
    for person, _, _ in both:
        person.accept()
    for person, name, data_center in both:
        expect(person.heading("Leads")).to_be_visible()
        assert all(each.startswith(name) for each in person.leads())
        expect(person.fact("Data centre")).to_have_text(f"{data_center}, production")
        expect(person.page.locator("footer")).to_contain_text("sealed")

    # Ten on a page.
    seen = ana.leads()
    ana.page.get_by_role("link", name="Next").click()
    expect(ana.page.get_by_text("Page 2", exact=True)).to_be_visible()
    assert len(seen) == 10
    assert sorted(seen + ana.leads()) == [f"Alvarez {n:02}" for n in range(12)]
    expect(ana.page.get_by_role("link", name="Next")).to_have_count(0)
    ana.page.get_by_role("link", name="Previous").click()
    expect(ana.page.get_by_text("Page 1", exact=True)).to_be_visible()
    expect(eva.page.get_by_role("navigation", name="Pages")).to_have_count(0)

    for person, name, _ in both:
        person.page.get_by_role("navigation", name="Leads").get_by_text("New lead").click()
        person.fill(First_name="New", Last_name=name, Company=f"{name} & Söhne")
    for person, name, _ in both:
        person.press("Add the lead")
        expect(person.page.get_by_role("status").first).to_have_text("The lead was added.")
        person.lead(f"New {name}").get_by_role("link").click()
        expect(person.page.get_by_label("Company")).to_have_value(f"{name} & Söhne")
        person.fill(Last_name=f"{name} the Second")
        person.press("Save")
        expect(person.page.get_by_role("status").first).to_have_text("The lead was changed.")
    for person, name, _ in both:
        person.lead(f"New {name} the Second").get_by_role("link").click()
        person.page.get_by_role("link", name="Delete…").click()
        expect(person.heading(f"Delete New {name} the Second?")).to_be_visible()
        person.press("Delete the lead")
        expect(person.page.get_by_role("status").first).to_have_text("The lead was deleted.")
        expect(person.lead(f"New {name} the Second")).to_have_count(0)
    assert len(zoho.records(ana.user)) == 12
    assert len(zoho.records(eva.user)) == 3


def test_two_logins_in_one_browser(visit, add_user):
    """Switch and see the other's leads; log out, and pages from before say so and send nothing."""
    ana, eva = add_user("Ana", "us", ["Alvarez"]), add_user("Eva", "eu", ["Ekström"])
    person = visit()
    person.log_in(ana)
    assert person.leads() == ["Alvarez"]
    person.menu("Log in as somebody else")
    person.user = eva
    person.ask_zoho()
    person.accept()
    expect(person.lead("Ekström")).to_be_visible()
    person.menu(f"Switch to {ana.name.partition(':')[0]}")
    expect(person.lead("Alvarez")).to_be_visible()
    assert person.leads() == ["Alvarez"]

    before = person.new_tab("/leads/new")
    before.get_by_label("Last name").fill("Too late")
    person.menu("Log out of this browser")
    expect(person.page.get_by_role("status").first).to_have_text(
        "You are logged out of this browser."
    )
    expect(before.locator("#panel .state")).to_have_text(GONE)
    person.open("/leads")
    person.expect_trouble("not-logged-in", "You are not logged in")
    before.get_by_role("button", name="Add the lead").click()
    expect(before.get_by_role("alert")).to_contain_text("nothing was sent")
    expect(before.get_by_label("Last name")).to_have_value("Too late")
    before.go_back()
    expect(before.get_by_role("heading", name="You are not logged in")).to_be_visible()


def test_disconnect(visit, add_user, zoho):
    """Revoked at Zoho and deleted here, for all browsers; nobody else's login ends."""
    ana = add_user("Ana")
    there, here = visit(ana).log_in(), visit(ana).log_in()
    other = visit(add_user("Ben")).log_in()
    here.menu("Disconnect from Zoho…")
    expect(here.heading("Disconnect from Zoho?")).to_be_visible()
    here.page.get_by_role("link", name="Stay connected").click()
    expect(here.heading("Leads")).to_be_visible()
    here.menu("Disconnect from Zoho…")
    here.press("Revoke and delete")

    expect(here.page.get_by_role("status").first).to_contain_text("Zoho has revoked")
    logins = [each["status"] for each in zoho.state()["logins"] if each["user"] == ana.name]
    assert logins[-1] == "revoked"
    # It says so by itself.
    expect(there.panel().locator(".state")).to_have_text(GONE)
    there.page.reload()
    there.expect_trouble("disconnected", "Log in again to go on.")
    other.page.reload()
    expect(other.heading("Leads")).to_be_visible()


def test_another_login_in_another_tab(person, add_user):
    """A page of one login never shows what is behind another; back in use, its own comes back."""
    ben = add_user("Ben", leads=["Okafor"])
    page, mine = person.page, person.fact("Token id").inner_text()
    before = person.email
    person.page = person.new_tab("/leads")
    person.log_in(ben)
    state = page.locator("#panel .state")
    expect(state).to_have_text(re.compile("This page is of another login"))
    expect(page.locator("#panel code")).to_have_text(mine)
    expect(page.get_by_role("status").get_by_text("was renewed")).to_have_count(0)

    person.menu(f"Switch to {before}")
    expect(person.lead("Alvarez")).to_be_visible()
    expect(state).to_contain_text("Access token valid")
