"""The desk without a mouse."""

from __future__ import annotations

from playwright.sync_api import expect

FOCUS = """
() => {
    const each = document.activeElement, style = getComputedStyle(each);
    const box = each.getBoundingClientRect();
    return {
        name: (each.labels?.[0] ?? each).innerText.trim(),
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    };
}
"""


def tab_to(page, name, *, ours=True):
    """Press Tab until something of this name has the focus, which is seen at each step."""
    met = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        met.append(focus["name"])
        if ours and page.evaluate("document.activeElement !== document.body"):
            assert focus["outlined"], met
            assert focus["inView"], met
        if focus["name"].startswith(name):
            return met
    raise AssertionError(met)


def test_log_in_and_add_a_lead(visit, add_user, zoho):
    """All of it with Tab, Enter and letters; the focus is seen wherever it is."""
    person = visit(add_user(leads=["Alvarez"]))
    page, keys = person.page, person.page.keyboard
    person.open()
    assert tab_to(page, "Where your Zoho account is") == [
        "Skip to the content",
        "CRM desk",
        "Where your Zoho account is",
    ]
    keys.type("Europe")
    tab_to(page, "Log in with Zoho")
    keys.press("Enter")
    expect(person.heading("CRM desk asks for access")).to_be_visible()
    assert page.url.startswith(zoho.eu.auth_url)
    tab_to(page, "Account", ours=False)
    keys.type(person.user.name)
    tab_to(page, "Accept", ours=False)
    keys.press("Enter")
    expect(person.lead("Alvarez")).to_be_visible()

    # Past the header, with the first link of the page.
    assert tab_to(page, "Skip") == ["Skip to the content"]
    keys.press("Enter")
    assert tab_to(page, "New lead") == ["New lead"]
    keys.press("Enter")
    expect(person.heading("New lead")).to_be_visible()
    for label, text in {
        "Last name": "Typed",
        "Company": "Keys & Co",
        "Description": "By hand",
    }.items():
        tab_to(page, label)
        keys.type(text)
    tab_to(page, "Add the lead")
    keys.press("Enter")
    expect(person.lead("Typed")).to_be_visible()
    assert sorted(person.leads()) == ["Alvarez", "Typed"]


def test_menu(visit, add_user):
    """The account's menu opens and closes by keys, and gives the focus back."""
    person = visit(add_user()).arrive()
    page, keys = person.page, person.page.keyboard
    tab_to(page, f"Account: {person.email}"[:8])
    keys.press("Enter")
    expect(page.locator(".menu")).to_be_visible()
    assert tab_to(page, "Log out") == ["Log in as somebody else", "Log out of this browser"]
    keys.press("Escape")
    expect(page.locator(".menu")).to_be_hidden()
    expect(page.locator("summary")).to_be_focused()


def test_a_form_that_is_not_complete(visit, add_user):
    """The list of what is missing leads to the field, and the field says so itself."""
    person = visit(add_user()).arrive()
    person.open("/leads/new")
    person.page.locator("form.fields").evaluate("form => { form.noValidate = true }")
    tab_to(person.page, "Company")
    person.page.keyboard.type("Kept")
    person.page.keyboard.press("Enter")
    expect(person.page.get_by_role("alert")).to_contain_text("Not sent yet.")
    tab_to(person.page, "Last name is missing")
    person.page.keyboard.press("Enter")

    field = person.page.get_by_label("Last name")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description("Last name is missing")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(person.page.get_by_label("Company")).to_have_value("Kept")
