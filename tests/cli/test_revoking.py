"""Revoking all that have something in common, as a person and as a script do it."""

from __future__ import annotations

import json
import signal

import pytest

from tokenkeep import Status


@pytest.fixture
def three(save, configured):
    """Three people who are logged in, one of them in the EU."""
    eu = {"issuer": configured.eu.token_url, "api_domain": configured.eu.api_url}
    zgid = configured.user.name.partition(":")[2]
    ana, bo = (
        configured.add_user(f"{n}@x.com", data_center="us", zgid=zgid) for n in ("ana", "bo")
    )
    return [save(ana.name), save(bo.name), save(configured.users[1].name, **eu)]


def ids(lines):
    return {line.split("\t")[1] for line in lines.splitlines()}


def test_a_line_each_and_a_summary(run, three, configured):
    """In a pipe: outcome, id, user, why; on standard error how many of which."""
    *here, there = three
    configured.revoke(here[0].user)

    planned = run("revoke", "--all", "--data-center", "us", "--dry-run")
    done = run("revoke", "--all", "--data-center", "us", "--yes")
    again = run("revoke", "--all", "--data-center", "us", "--yes")

    both = {token.id for token in here}
    assert (0, both) == (planned.exit_code, ids(planned.stdout))
    assert "2 tokens would be revoked. Dry run, nothing was done\n" == planned.stderr
    lines = {line.split("\t")[2]: line.split("\t") for line in done.stdout.splitlines()}
    assert ["unknown", here[0].id, here[0].user, ""] == lines[here[0].user]
    assert ["confirmed", here[1].id, here[1].user, ""] == lines[here[1].user]
    assert (0, "1 confirmed, 1 not known to the provider\n") == (done.exit_code, done.stderr)
    assert (0, "") == (again.exit_code, again.stdout)
    assert "Nothing to revoke" in again.stderr
    assert configured.is_active(there.refresh_token)
    assert 0 == run("token", there.id).exit_code


def test_of_an_email_alone(run, three, save, store):
    """All of the only user who has it; of several who have it, nobody's."""
    ana, *others = three
    email = ana.user.partition(":")[0]

    done = run("revoke", "--all", "--user", email, "--yes")
    save(f"{others[0].user.partition(':')[0]}:1", refresh_token="another's")
    several = run("revoke", "--all", "--user", others[0].user.partition(":")[0], "--yes")

    assert (0, {ana.id}) == (done.exit_code, ids(done.stdout))
    assert (2, "") == (several.exit_code, several.stdout)
    assert "2 stored users have this e-mail address" in several.stderr
    assert [ana.id] == [each.id for each in store.iter_tokens(status=Status.REVOKED)]


def test_pending_is_not_done(run, three, configured):
    """Status 5, and why; each is told once, and a sweep asks again."""
    configured.faults.add(endpoint="revoke", kind="drop", times=None)

    done = run("--json", "revoke", "--all", "--everything", "--yes")
    *lines, last = map(json.loads, done.stdout.splitlines())

    assert 5 == done.exit_code
    assert ["pending"] * 3 == [each["outcome"] for each in lines]
    assert {token.id for token in three} == {each["id"] for each in lines}
    assert "without an answer" in lines[0]["why"]
    counts = {"confirmed": 0, "unknown": 0, "pending": 3, "planned": 0}
    assert {"dry_run": False, "tokens": counts} == last
    assert "" == done.stderr
    configured.faults.clear()
    assert "revoked: 3" in run("sweep").stdout
    assert not [token for token in three if configured.is_active(token.refresh_token)]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("--all", "Say what the tokens have in common, or --everything"),
        ("--all --everything --user ana", "not both"),
        ("--all tk_0123", "An ID is one token"),
        ("--all --client-id=", "It is empty"),
        ("--all --data-center mars", "Known are us, eu"),
        ("--all --provider mars", "Known are zoho"),
        ("--all --state dead", "'ok', 'login_needed', 'revoked'"),
        ("tk_0123 --organisation 1", "--organisation goes with --all"),
        ("--dry-run tk_0123", "--dry-run goes with --all"),
        ("--all --everything", "Use --yes"),
    ],
)
def test_what_is_refused(run, three, store, args, said):
    """Nothing that is not clear revokes anything; nor where nobody can be asked."""
    done = run("revoke", *args.split())

    assert (2, True) == (done.exit_code, said in done.stderr)
    assert [Status.OK] * len(three) == [token.status for token in store.get_tokens()]


@pytest.mark.parametrize("args", ["--client-id typo", "--organisation 999", "--user no@x.com:1"])
def test_a_name_that_nobody_has(run, three, args):  # noqa: ARG001  # there are others
    """A typo in an emergency must not look like success."""
    done = run("revoke", "--all", *args.split(), "--yes")

    assert (3, True) == (done.exit_code, "No token has" in done.stderr)


def test_it_asks_how_many(at_terminal, three, store):
    """No revokes nothing; yes, all that were counted; and then there is nobody to ask for."""
    words = ["revoke", "--all", "--client-id", three[0].client_id]

    refused, shown = at_terminal(words, {"[y/N]: ": "n"})
    assert (1, True) == (refused, "Revoke 3 tokens, here and at the provider? [y/N]" in shown)
    assert [Status.OK] * 3 == [token.status for token in store.get_tokens()]
    done, shown = at_terminal(words, {"[y/N]: ": "y"})
    assert (0, True) == (done, "3 confirmed" in shown)
    nothing, shown = at_terminal(words, {})
    assert (0, True) == (nothing, "Nothing to revoke" in shown)


def test_a_row_that_does_not_open(*, run, three, damage, save, configured):
    """It is told last, with status 1; what opens is revoked."""
    damage()
    other = save(configured.add_user("eli@x.com", data_center="us").name)

    done = run("revoke", "--all", "--everything", "--yes")

    assert (1, {other.id}) == (done.exit_code, ids(done.stdout))
    assert f"and {len(three) - 1} more" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_broken_off(*, start, run, three, configured, store, how):
    """It ends at once, though the provider does not answer; what is revoked here stays so."""
    hangs = configured.faults.add(endpoint="revoke", kind="hang", times=None)

    process = start("revoke", "--all", "--everything", "--yes")
    assert hangs.wait(30)
    process.send_signal(how)
    _, err = process.communicate(timeout=8)
    configured.faults.clear()

    assert (130, True) == (process.returncode, "Broken off. What is revoked here" in err)
    assert [Status.REVOKED] * 3 == [token.status for token in store.get_tokens()]
    again = run("revoke", "--all", "--everything", "--yes")
    assert (0, {token.id for token in three}) == (again.exit_code, ids(again.stdout))
