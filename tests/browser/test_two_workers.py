"""Two server processes and busy people: what is one's never comes up at the other's."""

from __future__ import annotations

import os
import signal

import pytest
from desk_driver import DeskServer
from playwright.sync_api import expect

from .conftest import serving

ROUNDS = 6

BUSY = """
({rounds, mine, others, name}) => {
    const wrong = [], workers = new Set();
    let added = 0;
    async function page(path, options) {
        const answer = await fetch(path, options);
        const text = await answer.text();
        const where = `${path} ${answer.status}`;
        if (answer.status !== 200) wrong.push(where);
        for (const word of others) if (text.includes(word)) wrong.push(`${where}: ${word}`);
        if (!path.startsWith("/panel") && !text.includes(mine)) wrong.push(`${where}: not mine`);
        workers.add((text.match(/Made by process (\\d+)/) ?? [])[1]);
        return new DOMParser().parseFromString(text, "text/html");
    }
    async function tab(number) {
        for (let round = 0; round < rounds; round++) {
            const form = (await page("/leads/new")).querySelector("form.fields");
            const sent = new URLSearchParams(new FormData(form));
            sent.set("Last_Name", `${name} ${number}.${round}`);
            const list = await page("/leads", {method: "POST", body: sent});
            added += list.querySelector(".good") ? 1 : 0;
            for (const each of list.querySelectorAll("tbody th"))
                if (!each.innerText.trim().startsWith(name)) wrong.push(each.outerHTML);
            await page("/panel?seen=");
        }
    }
    window.busy = Promise.all([0, 1, 2].map(tab)).then(
        () => ({wrong, added, workers: [...workers].filter(Boolean)}),
        (error) => ({wrong: [...wrong, String(error)], added, workers: []}),
    );
}
"""
"""Three tabs at once; it goes on by itself, and what came of it is in window.busy."""


@pytest.fixture(scope="module")
def desk_of_two(zoho_of_all, tmp_path_factory):
    server = DeskServer(zoho_of_all, tmp_path_factory.mktemp("two"), workers=2)
    yield from serving(server)


def test_users_never_mix(visit, add_user, zoho, desk_of_two):
    """Two browsers at two data centres, three tabs each, renewals amid: to each their own."""
    ana = visit(add_user("Ana", "us", ["Alvarez"]), at=desk_of_two).arrive()
    eva = visit(add_user("Eva", "eu", ["Ekström"]), at=desk_of_two).arrive()
    sides = (ana, "Alvarez", eva, "Ekström"), (eva, "Ekström", ana, "Alvarez")
    zoho.counters.reset()
    for person, name, other, other_name in sides:
        person.page.evaluate(
            BUSY,
            {
                "rounds": ROUNDS,
                "mine": person.email,
                "others": [other.email, other_name],
                "name": name,
            },
        )
    for _ in range(3):
        # Meanwhile, each turn of a page ends some time after all had to be renewed.
        desk_of_two.expire()
        for person, name, _, _ in sides:
            with person.context.expect_page():
                tab = person.new_tab("/leads")
            expect(tab.get_by_role("rowheader").first).to_contain_text(name)
            tab.close()
    done = [person.page.evaluate("window.busy") for person, *_ in sides]

    assert [each["wrong"] for each in done] == [[], []]
    assert [each["added"] for each in done] == [3 * ROUNDS] * 2
    assert {int(one) for each in done for one in each["workers"]} == desk_of_two.processes(20)
    for person, name, _, _ in sides:
        records = [each["Last_Name"] for each in zoho.records(person.user).values()]
        assert len(records) == 1 + 3 * ROUNDS
        assert all(each.startswith(name) for each in records)
    # For each expiry one renewal of each login, whoever met it.
    assert 2 <= zoho.counters.token_calls("refresh_token") <= 6


def test_one_is_killed(visit, add_user, desk_of_two):
    """A worker dies: the login, the form that is open and its draft are there for the other."""
    person = visit(add_user(), at=desk_of_two).arrive()
    person.open("/leads/new")
    person.fill(Last_name="Typed")
    [made_by] = [
        pid
        for pid in desk_of_two.processes(20)
        if person.page.get_by_text(f"process {pid}").count()
    ]
    os.kill(made_by, signal.SIGKILL)
    desk_of_two.wait_until_ready()
    person.press("Add the lead")

    expect(person.lead("Typed")).to_be_visible()
