"""A token's life, in sentences and for export."""

from __future__ import annotations

import json
import time

import pytest

from tokenkeep import Happening, Token
from tokenkeep.cli.life import told
from tokenkeep.testing import FakeClock

NOW = 1_796_040_000.0  # 2026-11-30 12:00 UTC
DAY = 86_400.0


@pytest.mark.parametrize(
    ("happened", "sentence"),
    [
        ({"what": "login", "at": NOW - 3 * DAY}, "logged in 3 days ago (2026-11-27 12:00 UTC)"),
        (
            {"what": "renewed", "at": NOW - 65, "since": NOW - DAY, "count": 214, "by": "web-3/8"},
            (
                "renewed 214 times since 2026-11-29 12:00 UTC, last by web-3/8 1 minute ago "
                "(2026-11-30 11:58 UTC)"
            ),
        ),
        (
            {"what": "failed", "at": NOW - 7200, "by": "web-3/8"},
            "could not be renewed by web-3/8 2 hours ago (2026-11-30 10:00 UTC)",
        ),
        (
            {"what": "login_needed", "at": NOW, "since": NOW - 60, "count": 2},
            (
                "refused by the provider twice since 2026-11-30 11:59 UTC, last just now "
                "(2026-11-30 12:00 UTC)"
            ),
        ),
        (
            {"what": "login_needed", "at": NOW - 1, "by": "web-3/8"},
            "refused by the provider asked by web-3/8 1 second ago (2026-11-30 11:59 UTC)",
        ),
        (
            {"what": "revoked", "at": NOW - 59, "by": "desk/77"},
            "revoked by desk/77 59 seconds ago (2026-11-30 11:59 UTC)",
        ),
        (
            {"what": "revoked", "at": NOW, "by": "policy idle-30"},
            "ended by policy idle-30 just now (2026-11-30 12:00 UTC)",
        ),
        ({"what": "moved", "at": NOW + 7200}, "moved at 2026-11-30 14:00 UTC"),
        ({"what": "login", "at": 1e30}, "logged in at 1e+30 s after 1970"),
    ],
)
def test_sentences(happened, sentence):
    """Each run is told as a person would, whoever wrote it and by whatever clock."""
    assert [sentence] == told([Happening(**happened)], NOW)


def test_nothing_is_known():
    """A token without a history has a sentence too."""
    assert ["nothing is known of its life"] == told((), NOW)


def test_show_tells_a_life(run, run_json, save, configured):
    """A login, renewals and the end are a line each; in JSON they are facts."""
    token = save()
    for _ in range(2):
        run("renew", token.id)
    run("revoke", token.id)

    shown = [line for line in run("show", token.id).stdout.splitlines() if "history" in line]
    facts = run_json("show", token.id)["history"]

    assert [line.split("\t")[0] for line in shown] == ["history"] * 3
    words = [line.split("\t")[1] for line in shown]
    for sentence, begins in zip(
        words, ("logged in ", "renewed twice since 20", "revoked by "), strict=True
    ):
        assert sentence.startswith(begins)
    assert ["login", "renewed", "revoked"] == [each["what"] for each in facts]
    assert {"what", "at", "since", "by", "count"} == facts[0].keys()
    assert facts[1]["since"] < facts[1]["at"]
    assert configured.counters.token_calls() == 2


def test_export(run, run_json, save, configured):
    """Of one token one document; of all, or those of one client, one a line."""
    token, other = save(), save(configured.users[1].name, client_id="c2", refresh_token="r")

    one = run_json("history", "--user", token.user)
    every = [json.loads(each) for each in run("history", "--all", "--json").stdout.splitlines()]
    lines = [line.split("\t") for line in run("history", "--all").stdout.splitlines()]
    some = run("history", "--all", "--client-id", "c2").stdout

    assert (token.id, token.user, ["login"]) == (
        one["id"], one["user"], [each["what"] for each in one["history"]],
    )  # fmt: skip
    assert one in every
    assert {token.id, other.id} == {each["id"] for each in every} == {line[0] for line in lines}
    assert {3} == {len(line) for line in lines}
    assert (other.id, 1) == (some.split("\t")[0], some.count("\n"))
    assert run("history", token.id).stdout.startswith("logged in ")
    assert 2 == run("history", token.id, "--all").exit_code
    assert 2 == run("history").exit_code
    assert token.refresh_token not in json.dumps(every)


def test_all_stream(run, store, environment):
    """A row that does not open holds none up; memory does not grow with what is read."""
    stored = store.save_token(Token(user="u", access_token="x"))

    def endless(*_, **__):
        yield from [stored] * 20_000
        raise KeyboardInterrupt

    environment.setattr(type(store), "iter_tokens", endless)

    result = run("history", "--all", "--json")

    assert (130, 20_000) == (result.exit_code, result.stdout.count("\n"))


def test_the_clock_moves(store):
    """What is stored keeps the first and the last time of a run."""
    clock = FakeClock(time.time())
    token = store.save_token(Token(user="u", access_token="x"))
    for _ in range(3):
        clock.advance(60)
        token = store.swap(token.having("renewed", clock.now(), "web-1/2"))

    (_, run) = store.reread(token.id).history

    assert (120.0, 3, "web-1/2") == (run.at - run.since, run.count, run.by)
