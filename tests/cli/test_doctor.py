"""The command that looks whether everything is in order."""

from __future__ import annotations

import json
import os
import time

import pytest

import tokenkeep
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.providers import Provider
from tokenkeep.providers.oauth2 import OAuth2

DAY = 86_400.0


@pytest.fixture
def checks(run):
    """Run the doctor; return the exit status, and the checks by their name."""

    def _checks():
        result = run("doctor", "--json")
        found = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, {check["name"]: check for check in reversed(found)}

    return _checks


@pytest.fixture
def failed(checks):
    """Run the doctor; return the check of this name, which has failed: status 1."""

    def _failed(name):
        status, found = checks()
        assert (status, found[name]["state"]) == (1, "failed")
        return found[name]

    return _failed


def test_all_in_order(run, checks, save):
    """Nothing to complain about: status 0; in a pipe a line each, without colours."""
    save()

    status, found = checks()

    assert status == 0
    assert {check["state"] for check in found.values()} == {"ok"}
    assert set(found) == {"configuration", "store", "key", "journal", "provider"}
    assert found["key"]["text"] == "opens the store and its tokens"
    lines = [line.split("\t")[:2] for line in run("doctor").output.splitlines()]
    assert lines == [["ok", name] for name in reversed(found)]
    assert "" == run("doctor", "--quiet").output


@pytest.mark.parametrize(
    ("wrong", "name", "said"),
    [
        ("another key", "key", "wrapped under key"),
        ("a changed row", "key", "tk_"),
        ("keys", "key", "keys"),
        ("provider down", "provider", "network"),
        ("nothing:", "store", "nothing"),
        ("no url", "configuration", "has no scheme"),
        ("file:///readonly/tokens.json", "store", "tokens.json can't be written"),
        ("sqlite:///tokens.db", "store", "tokens.db can't be written"),
    ],
)
def test_what_is_wrong(  # noqa: PLR0917  # its fixtures
    failed, save, environment, tmp_path, damage, configured, wrong, name, said
):
    """It is a failure, and says what it is of and what to do: status 1."""
    save()
    path = tmp_path / wrong
    if wrong == "another key":
        environment.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    elif wrong == "a changed row":
        damage()
    elif wrong == "keys":
        path.write_text(os.environ["TOKENKEEP_KEYS"])
        path.chmod(0o644)
        environment.setenv("TOKENKEEP_KEY_FILE", str(path))
        environment.delenv("TOKENKEEP_KEYS")
    elif wrong == "provider down":
        configured.stop()
    else:
        (tmp_path / "readonly").mkdir()
        (tmp_path / "readonly" / "tokens.json").touch()
        # Root may write anywhere.
        environment.setattr(os, "access", lambda path, _: path.name not in wrong)
        environment.setenv("TOKENKEEP_STORE", wrong)

    check = failed(name)

    assert said.format(path=path) in f"{check['text']} {check['hint']}"


def test_what_fails_hides_nothing(run, acme, endpoint, environment):
    """A server that can't say what it keeps, and an endpoint that is down: the rest is told."""

    def down(_):
        raise tokenkeep.StoreUnavailable("It does not answer")

    environment.setattr(SQLiteBackend, "risks", down)
    acme(issuer="http://127.0.0.1:9/token", user="bo")
    acme(issuer=endpoint().url, user="cy", refresh_token="r2")

    told = [line.split("\t")[:2] for line in run("doctor").output.splitlines()]

    assert [name for state, name in told if state == "failed"] == ["server", "provider"]
    assert {"key", "journal"} <= {name for state, name in told if state == "ok"}
    assert told[-1][1] in ("provider", "clock")


def test_no_place_for_an_answer(failed, acme, endpoint, tmp_path):
    """A journal that can't be made is a failure where a provider rotates refresh tokens."""
    acme(issuer=endpoint().url)
    (tmp_path / "tokens.db.journal").touch()

    assert "Not a directory" in failed("journal")["text"]


def test_the_clock_is_off(checks, acme, endpoint):
    """More than 30 seconds between this machine's clock and the provider's."""
    acme(issuer=endpoint(clock=lambda: time.time() + 100).url)

    status, found = checks()

    assert (status, found["clock"]["state"]) == (0, "warning")
    assert "s behind that of" in found["clock"]["text"]


def test_what_is_left_to_do(run, checks, save, configured):
    """
    Unconfirmed revocations and dead tokens are warnings, with the command to run.

    And so is a provider in trouble; its home is asked where no living token says where it is.
    """
    revoked, dead = save(), save(configured.users[1].name)
    configured.revoke(configured.users[1])
    run("renew", dead.id)
    configured.stop()
    run("revoke", revoked.id)
    configured.start()
    configured.faults.add(endpoint="token", kind="status", status=503)

    status, found = checks()

    assert status == 0
    assert found["revocations"]["hint"] == "tokenkeep sweep"
    assert found["revocations"]["text"] == "the provider has not confirmed 1 revocation"
    assert ("warning", True) == (found["provider"]["state"], "503" in found["provider"]["text"])
    assert found["tokens"]["text"] == "1 token needs a new login"
    assert "tokenkeep login" in found["tokens"]["hint"]


@pytest.mark.parametrize(("days", "words"), [(-2, "expired"), (8.5, "8 d"), (None, None)])
def test_a_login_that_ends(*, run, save, days, words):
    """List and show say when, where the provider has said it."""
    row = save(refresh_expires_at=days and time.time() + days * DAY)

    left = run("list").stdout.rstrip("\n").split("\t")[7]

    assert (left == "") == (days is None)
    if days:
        assert abs(int(left) - days * DAY) < 60
        assert f"refresh_expires_in\t{words}" in run("show", row.id).stdout


@pytest.mark.parametrize("issuer", [None, "https://127.0.0.1:9/token"])
def test_a_provider_that_is_not_configured(run, failed, acme, issuer):
    """Tokens that nobody can renew are a failure; the remedy is named, here and there."""
    token = acme(provider="Acme", issuer=issuer)

    check = failed("provider")

    assert check["text"] == "There is no provider 'Acme'"
    assert "[providers.Acme]" in check["hint"]
    assert "[providers.Acme]" in run("token", token.id).stderr
    assert "provider\tAcme" in run("show", token.id).stdout


def test_headers(checks, acme, endpoint):
    """The endpoint is tried as a renewal asks it: with headers."""
    server = endpoint()
    acme(issuer=server.url, options='headers = { X-Api-Key = "k" }\n')

    status, found = checks()

    assert (0, "ok") == (status, found["provider"]["state"])
    assert ["k"] == [each["X-Api-Key"] for each in server.asked]


def test_a_provider_that_can_not_be_asked(checks, acme, environment):
    """A provider of another package that has no probe is not asked."""
    environment.setattr(OAuth2, "probe", Provider.probe)
    acme(issuer="https://127.0.0.1:9/token")

    status, found = checks()

    assert (0, "ok") == (status, found["provider"]["state"])
    assert "is not asked" in found["provider"]["text"]


@pytest.mark.parametrize(
    ("provider", "why"),
    [("acme", "No revocation endpoint"), ("gone", "There is no provider")],
)
def test_what_can_not_be_revoked(*, run, acme, endpoint, checks, provider, why):
    """Why the provider does not confirm is told, at once and by a sweep; what is left is seen."""
    token = acme(issuer=endpoint().url, provider=provider)

    revoked, swept = run("revoke", token.id), run("sweep")

    assert "tokenkeep sweep" in revoked.stdout
    assert why in revoked.stderr
    assert why in swept.stderr
    check = checks()[1]["revocations"]
    assert ("warning", "tokenkeep sweep") == (check["state"], check["hint"])
