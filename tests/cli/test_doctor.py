"""The command that looks whether everything is in order."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest

import tokenkeep
from tokenkeep.cli import checks as checks_module
from tokenkeep.testing import FakeClock


@pytest.fixture
def checks(run):
    """Run the doctor; return the exit status, and the checks by their name."""

    def _checks():
        result = run("doctor", "--json")
        found = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, {check["name"]: check for check in found}

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
    assert set(found) == {"configuration", "modes", "store", "key", "journal", "provider"}
    assert found["key"]["text"] == "opens the store and its tokens"
    lines = [line.split("\t")[:2] for line in run("doctor").output.splitlines()]
    assert lines == [["ok", name] for name in found]


@pytest.mark.usefixtures("configured")
def test_looking_makes_nothing(checks, environment, tmp_path):
    """A store and a key that are not there are not made by looking."""
    environment.delenv("TOKENKEEP_KEYS")
    before = sorted(tmp_path.rglob("*"))

    status, found = checks()

    assert status == 0
    assert "nothing yet" in found["store"]["text"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_wrong_key(failed, save, environment):
    """The key that is missing is named."""
    save()
    environment.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())

    assert "wrapped under key" in failed("key")["text"]


def test_a_changed_row(failed, save, damage):
    """A row that does not open is a failure, by its id."""
    token = save()
    damage()

    assert token.id in failed("key")["text"]


@pytest.mark.parametrize("name", ["tokens.db", "tokens.db.journal"])
def test_others_can_read(failed, save, tmp_path, name):
    """A file or folder that others have rights to is a failure, with the cure."""
    save()
    path = tmp_path / name
    if name.endswith("journal"):
        path.mkdir()
    path.chmod(0o755)

    assert failed("modes")["hint"] == f"chmod go= {path}"


def test_the_provider_is_down(failed, save, configured):
    """Nobody answers there."""
    save()
    configured.stop()

    assert "network" in failed("provider")["hint"]


def test_the_clock_is_off(checks, save, monkeypatch):
    """More than 30 seconds between this machine's clock and the provider's."""
    save()
    behind = partial(checks_module.post_form, clock=lambda: time.time() - 100)
    monkeypatch.setattr(checks_module, "post_form", behind)

    status, found = checks()

    assert (status, found["clock"]["state"]) == (0, "warning")
    assert "s behind that of" in found["clock"]["text"]


def test_what_is_left_to_do(run, checks, save, configured):
    """Unconfirmed revocations and dead tokens are warnings, with the command to run."""
    revoked, dead = save(), save(configured.users[1].name)
    configured.revoke(configured.users[1])
    run("renew", dead.id)
    configured.stop()
    run("revoke", revoked.id)
    configured.start()

    status, found = checks()

    assert status == 0
    assert found["revocations"]["hint"] == "tokenkeep sweep"
    assert found["tokens"]["text"] == "1 token needs a new login"


@pytest.mark.parametrize(("url", "name"), [("nothing:", "store"), ("no url", "configuration")])
def test_a_wrong_url(failed, environment, url, name):
    """A URL that names no store is a failure."""
    environment.setenv("TOKENKEEP_STORE", url)

    assert failed(name)


DAY = 86_400.0


@pytest.mark.parametrize(
    ("since", "days", "state", "left"),
    [
        (90, -2, "warning", "expired"),
        (90, 0.5, "warning", "11 h"),
        (90, 6.5, "warning", "6 d"),
        (90, 8, None, "7 d"),
        (3, 0.9, "warning", "21 h"),
        (1, 3, None, "2 d"),
        (1, None, None, None),
    ],
)
def test_a_login_that_ends(run, run_json, checks, save, store, since, days, state, left):  # noqa: PLR0917
    """Told a week before, or a quarter of its life; by whom it is. list and show say when."""
    ends = None if days is None else time.time() + days * DAY
    ana = tokenkeep.Token(user="ana", client_id="c", refresh_token="r", refresh_expires_at=ends)
    with tokenkeep.open_store(clock=FakeClock(time.time() - since * DAY)) as then:
        row = then.save_token(ana)
    save("later@example.com:1", refresh_token="later", refresh_expires_at=time.time() + 90 * DAY)
    dead = save("dead@example.com:2", refresh_token="dead", refresh_expires_at=1.0)
    store.save_token(dead.but(status=tokenkeep.Status.REVOKED))

    status, found = checks()

    assert (0, state) == (status, found.get("logins", {}).get("state"))
    if state:
        assert "1 login ends soon by itself, or has ended" in found["logins"]["text"]
        assert row.user in found["logins"]["text"]
    shown = run_json("show", row.id)
    assert ends == shown["refresh_expires_at"]
    lines = (line.split("\t") for line in run("list").stdout.splitlines())
    listed = {each[0]: each for each in lines}
    cell = listed[row.id][7]
    assert (cell == "") == (days is None)
    if days is not None:
        assert abs(int(cell) - days * DAY) < 60
        assert left in run("show", row.id).stdout
    assert "" == listed[dead.id][7]
