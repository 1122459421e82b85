"""The pictures of the README: `make screenshots` makes them, else they are made and forgotten."""

from __future__ import annotations

import os
import socket

import pytest
from desk_driver import ROOT, DeskServer, running
from playwright.sync_api import expect

KEPT = ROOT / "examples/crm_desk/screenshots"
SIZE = {"width": 1180, "height": 780}

MADE_UP = """
names => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode())
        for (const [from, to] of Object.entries(names))
            walker.currentNode.data = walker.currentNode.data.replaceAll(from, to);
}
"""
"""Where and on which machine they were made is no part of the pictures."""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    """A desk as it comes up, with an emulator, people and leads of its own."""
    with running(DeskServer(None, tmp_path_factory.mktemp("desk"))) as desk:
        yield desk


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots(visit, furnished, tmp_path, scheme):
    """The leads after a renewal, on a desk and on a phone."""
    folder = KEPT if os.environ.get("SCREENSHOTS") else tmp_path
    folder.mkdir(exist_ok=True)
    person = visit(at=furnished, color_scheme=scheme, viewport=SIZE, reduced_motion="reduce")
    person.open()
    person.ask_zoho()
    person.page.get_by_label("Account").select_option("ana@example.com:700001")
    person.press("Accept")
    expect(person.heading("Leads")).to_be_visible()
    person.make_happen("Expire now")
    person.open("/leads?page=2")
    expect(person.fact("History")).to_contain_text("renewed")
    made = [shot(person, folder / f"leads-{scheme}.png")]
    person.page.set_viewport_size({"width": 390, "height": 780})
    made.append(shot(person, folder / f"phone-{scheme}.png"))

    assert len({each.read_bytes() for each in made}) == 2
    assert all(10_000 < each.stat().st_size < 250_000 for each in made)
    said = person.page.locator("body").inner_text()
    assert str(furnished.folder) not in said
    assert f"{socket.gethostname()}/" not in said


def shot(person, path):
    """Take a picture of the top of the page, without the names of this machine."""
    names = {
        str(person.desk.folder): "/srv",
        f"{socket.gethostname()}/": "desk/",
    }
    person.page.evaluate("document.activeElement.blur()")
    person.page.evaluate(MADE_UP, names)
    person.page.screenshot(path=path, full_page=False)
    return path
