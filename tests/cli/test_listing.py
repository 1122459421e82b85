"""Which tokens there are: filters, orders, pages, narrow terminals, and who is logged in."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time

import pytest

from tokenkeep import Policies, Policy, Status, Token, records

DAY = 86_400.0
ANA, BOB, DORA = "ana@example.com:6000123", "bob@example.com:6000124", "dora@example.com:6000123"


@pytest.fixture
def people(save, store, configured):
    """Tokens of three people, by short names."""
    now, eu = time.time(), {"api_domain": configured.eu.api_url, "issuer": None}
    saved = {
        "ana": save(ANA, refresh_token="1", refresh_expires_at=now + 10 * DAY, access_token="1"),
        "ana eu": save(ANA, refresh_token="2", client_id="c2", **eu),
        "bob": save(BOB, refresh_token="3", refresh_expires_at=now + 2 * DAY),
        "dora": save(DORA, refresh_token="4", refresh_expires_at=now - 60),
        "acme": store.save_token(Token(provider="oauth2", user="eva", access_token="5")),
    }
    saved["dora"] = store.swap(saved["dora"].but(status=Status.REVOKED, logged_in_at=now + 5))
    for at, name in enumerate(("ana", "acme", "ana eu", "bob")):
        store.touch(saved[name].id, now + 100 + at)
    return saved


@pytest.fixture
def listed(run, people):
    """List, and return the short names of what comes out, with what is said besides."""
    names = {token.id: name for name, token in people.items()}

    def _listed(*args):
        result = run("list", *args, "--json")
        assert 0 == result.exit_code, result.stderr
        documents = map(json.loads, result.stdout.splitlines())
        return [names[each["id"]] for each in documents], result.stderr

    return _listed


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (f"--user {ANA}", "ana, ana eu"),
        ("--user ana@example.com", "ana, ana eu"),
        ("--user eva", "acme"),
        ("--user eve", ""),
        (f"--user {ANA} --data-center eu", "ana eu"),
        ("--client-id c2", "ana eu"),
        ("--organisation 6000123", "ana, ana eu, dora"),
        ("--organisation 6000123 --state ok", "ana, ana eu"),
        ("--state revoked", "dora"),
        ("--state login_needed", ""),
        ("--provider oauth2", "acme"),
        ("--data-center us --environment production", "ana, bob, dora"),
        ("--ends-within 7d", "bob"),
        ("--ends-within 2w --sort ends", "bob, ana"),
    ],
)
def test_only_those(listed, args, expected):
    """Each filter leaves those it names, and several those that all of them leave."""
    assert sorted(filter(None, expected.split(", "))) == sorted(listed(*args.split())[0])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("user", "ana, bob, dora, acme"),
        ("ends", "bob, ana"),
        ("used", "bob, ana eu, acme, ana, dora"),
        ("logged-in", "dora"),
    ],
)
def test_orders(listed, order, expected):
    """By name; what ends first, was used last or is the newest login comes first."""
    found = [name for name in listed("--sort", order)[0] if order != "user" or name != "ana eu"]

    expected = expected.split(", ")
    assert expected == found[: len(expected)]


@pytest.mark.parametrize("order", ["id", "user", "ends", "used", "logged-in"])
def test_pages(listed, people, order):
    """Page by page, as each one tells, all come once and in the same order as at once."""
    whole, told = listed("--sort", order)
    pages, options = [], []
    for _ in people:
        page, said = listed("--sort", order, "--limit", "2", *options)
        pages += page
        if not said:
            break
        options = re.fullmatch(r"There are more: .* (--after tk_\w+)\n", said)[1].split()

    assert (whole, "") == (pages, told)
    assert len(people) == len(whole)


def test_what_can_t_be_asked(run, people):
    """What is mistyped is named; nothing else is listed instead."""
    for args, status, said in (
        (
            "--ends-within 7days",
            2,
            "'7days' is no time span. Write a number with its unit: 90s, 15min, 12h, 7d, 2w",
        ),
        ("--data-center mars", 2, "no data centre 'mars'. Known are us, eu"),
        ("--environment prod", 2, "no environment 'prod'"),
        ("--provider acme", 2, "acme"),
        ("--state dead", 2, "'dead'"),
        ("--after tk_0123", 2, "'tk_0123' is no id that a list can go on behind"),
        (f"--sort user --after tk_{'0' * 32}", 3, "begin anew"),
    ):
        result = run("list", *args.split())
        assert (status, "") == (result.exit_code, result.stdout), args
        assert said in result.stderr
    gone = f"tk_{'0' * 32}"
    assert len(people) == run("list", "--after", gone).stdout.count("\n")


def test_a_page_reads_by_marks(run, people, environment):
    """Of an organisation, a client or a state no other row is opened."""
    opened, unseal = [], records.unseal
    environment.setattr(records, "unseal", lambda *args: opened.append(1) or unseal(*args))

    for args, most in (
        ("--state revoked", 1),
        ("--client-id c2 --state ok", 1),
        (f"--client-id {people['ana'].client_id} --state revoked", 1),
        (f"--user {ANA} --organisation 6000123", 2),
        ("", 5),
    ):
        opened.clear()
        run("list", *args.split())
        assert len(opened) == most, args


@pytest.mark.parametrize(
    ("width", "heading"),
    [
        (120, "id place status expires refresh user"),
        (80, "id place status expires refresh user"),
        (70, "id place status refresh user"),
        (60, "id status user"),
        (40, "status user"),
    ],
)
@pytest.mark.usefixtures("people")
def test_narrow_terminals(environment, width, heading):
    """Each token is one line; what it is known by goes last; who it is of never does."""
    environment.setenv("NO_COLOR", "1")
    lines = drawn(width, "list")

    assert heading.split() == lines[0].split()
    assert max(map(len, lines)) <= width
    assert 2 == sum(ANA in line for line in lines)


def drawn(width, *args):
    """Run a command on a terminal of a width, and return the lines it draws."""
    main, side = pty.openpty()
    words = [sys.executable, "-m", "tokenkeep", *args]
    with_width = {**os.environ, "COLUMNS": str(width)}
    subprocess.run(words, stdout=side, stderr=subprocess.DEVNULL, env=with_width, check=False)
    os.close(side)
    shown = ""
    try:
        while more := os.read(main, 10_000).decode():
            shown += more
    except OSError:
        pass
    os.close(main)
    return shown.splitlines()


def test_wide_letters(store, environment):
    """What takes two places is cut by what is seen; who has no name is shown by the id."""
    environment.setenv("NO_COLOR", "1")
    store.save_token(Token(user="北" * 25, access_token="a", client_id="c"))
    nameless = store.save_token(Token(access_token="b", client_id="c"))

    lines = drawn(60, "list")

    (wide,) = [line for line in lines if "北" in line]
    assert wide.endswith("北~")
    assert len(wide) + wide.count("北") <= 60
    assert any(line.endswith(f" {nameless.id[:11]}") for line in lines)
    used = drawn(80, "list", "--sort", "used")
    assert ["id", "status", "last", "user"] == used[0].split()
    assert "just now" in used[1] or "ago" in used[1]


# Whether anybody is logged in


def test_status(run, run_json, people, store):
    """Whoever is logged in is told with place and end, and what else there is is counted."""
    found, told = run_json("status"), run("status").stdout

    assert {"works": 4, "login_needed": 0, "revoked": 1} == {
        name: found[name] for name in ("works", "login_needed", "revoked")
    }
    assert sorted(token.id for token in people.values()) == [
        each["id"] for each in found["logins"]
    ]
    assert told.startswith("You are logged in: 4 logins work, 1 was revoked\nStore: a SQLite ")
    assert f"works\teu\t\t{ANA}\n" in told
    assert re.search(rf"works\tus\t20\S+Z\t{BOB}\n", told)
    store.swap(people["bob"].but(refresh_expires_at=1.0))
    assert 1 == run_json("status")["login_needed"]
    store.set_policies(Policies([Policy(name="day", max_session=DAY)]))
    ends = [
        each["ends_at"] - time.time() for each in run_json("status")["logins"] if each["ends_at"]
    ]
    assert max(ends) <= DAY
    ana = store.reread(people["ana"].id)
    store.swap(ana.but(logged_in_at=time.time() - 2 * DAY))
    assert 2 == run_json("status")["login_needed"]
    assert (0, "") == (run("status", "--quiet").exit_code, run("status", "-q").output)


def test_status_of_many(run, run_json, save):
    """Where there are many they are counted only."""
    for number in range(11):
        save(f"user{number}@example.com:1", refresh_token=f"{number}")

    assert [] == run_json("status")["logins"]
    assert 2 == run("status").stdout.count("\n")


def test_status_says_by_its_exit(run, save, store):
    """None there, or no store: 3; a login is needed: 4; one works: 0."""
    none = run("status")
    token = save(refresh_token="r")
    dead = store.swap(token.but(status=Status.LOGIN_NEEDED))
    needed = run("status")
    store.swap(dead.but(status=Status.OK))

    assert (3, "Nobody is logged in\n") == (none.exit_code, none.stdout[:20])
    assert (4, True) == (needed.exit_code, "Nobody is logged in: 1 needs a" in needed.stdout)
    assert 0 == run("status").exit_code
    missing = run("status", "--store", "sqlite:///nothing.db")
    assert (3, True) == (missing.exit_code, "There is no store yet" in missing.stderr)


def test_status_with_damage(run, save, damage):
    """What does not open is an error, not nobody."""
    save(refresh_token="r")
    damage()

    result = run("status")

    assert (1, 1) == (result.exit_code, result.stderr.count("tokenkeep: "))


# By the e-mail address alone


@pytest.mark.parametrize("command", ["show", "token", "renew", "revoke", "logout", "delete --yes"])
def test_an_email_alone(run, save, configured, command):
    """It means the only user who has it, in every command that takes one."""
    token, other = save(), save(configured.users[1].name)
    email = token.user.partition(":")[0]

    done = run(*command.split(), "--user", email)

    assert 0 == done.exit_code, done.stderr
    still = {line.split("\t")[0]: line.split("\t")[5] for line in run("list").stdout.splitlines()}
    assert "ok" == still[other.id]
    if command in ("revoke", "logout", "delete --yes"):
        assert "ok" != still.get(token.id)


@pytest.mark.parametrize("command", ["token", "revoke", "logout", "delete --yes"])
def test_an_email_of_several(run, store, save, command):
    """Several users with it, or who may have it: nobody is hit, and they are named."""
    for zgid in range(7):
        save(f"ana@example.com:{zgid}", refresh_token=f"r{zgid}")
    save("ana@example.com.org:1", refresh_token="not hers")

    several = run(*command.split(), "--user", "ana@example.com")
    save("dora@example.com:5", refresh_token="only", client_id="another")

    assert (2, "") == (several.exit_code, several.stdout)
    assert "7 stored users have this e-mail address (user ana@example.com)" in several.stderr
    assert "Say which: --user ana@example.com:0 or --user ana@example.com:1 or" in several.stderr
    assert "see: tokenkeep list --user ana@example.com" in several.stderr
    assert {Status.OK} == {token.status for token in store.iter_tokens()}
    assert 3 == run("show", "--user", "nobody@example.com").exit_code
    assert 3 == run("show", "--user", "dora@example.com", "--data-center", "eu").exit_code
    assert 0 == run("show", "--user", "dora@example.com", "--client-id", "another").exit_code


def test_a_name_that_is_an_email(run_json, run, save):
    """Who is stored under just that is meant, not who has an organisation besides."""
    save("ana@example.com:1", refresh_token="r1")
    plain = save("ana@example.com", refresh_token="r2")

    assert plain.id == run_json("show", "--user", "ana@example.com")["id"]
    assert plain.id in run("list", "--user", "ana@example.com").stdout
    assert 1 == run("list", "--user", "ana@example.com").stdout.count("\n")


def test_an_email_beside_a_closed_row(run, save, damage, store):
    """A row that does not open may be of the same user: the whole name has to be said."""
    save("bob@example.com:1", refresh_token="r1")
    damage()
    token = save("ana@example.com:1", refresh_token="r2")

    refused = run("delete", "--yes", "--user", "ana@example.com")

    assert (2, "") == (refused.exit_code, refused.stdout)
    assert "does not open" in refused.stderr
    assert "Say who is meant: --user ana@example.com:1" in refused.stderr
    assert token.id == store.find_token_by_id(token.id).id
    assert 0 == run("delete", "--yes", "--user", "ana@example.com:1").exit_code
