"""The five rules that docs/policies.md says people ask for, each as it stands there."""

from __future__ import annotations

import pytest
from pages import labelled
from policy_stage import ANA, BEN, DAY, HOUR, MINUTE

from tokenkeep import Policies, PolicyEnded, Status

LABELS = ("rule: idle", "rule: session", "rule: dead", "rule: user", "rule: client")


@pytest.fixture
def set_rule(stage):
    """Set the rule of the page with this label, as its reader does."""

    def _set_rule(label):
        (text,) = labelled("docs/policies.md", label)
        stage.here.vault.set_policies(Policies.from_toml(f"tokenkeep = 1\n{text}", label))
        stage.settle()

    return _set_rule


def left(stage):
    """Sweep, and return the tokens that are there, by user and client, with their status."""
    stage.here.keeper.sweep()
    found = stage.here.keeper.tokens()
    return {(each.user, each.client_id, each.data_center): each.status.value for each in found}


def test_idle(stage, set_rule):
    """Who has not been seen for 30 days is out; who was seen on the 29th is not."""
    idle, used = stage.here.login(), stage.here.login(user=BEN)
    set_rule("rule: idle")
    stage.clock.advance(29 * DAY)
    assert stage.here.get(used) == "ok"
    stage.clock.advance(DAY - 122)
    assert set(left(stage).values()) == {"ok"}

    stage.clock.advance(2 * HOUR)

    assert left(stage) == {(ANA, "client", "example"): "revoked", (BEN, "client", "example"): "ok"}
    assert stage.here.get(idle).policy == "idle"
    stage.clock.advance(28 * DAY)
    assert stage.here.get(used) == "ok"


def test_session(stage, set_rule):
    """Twelve hours after the login it is over, however often it was used; a login begins anew."""
    set_rule("rule: session")
    token = stage.here.login()
    for _ in range(12):
        assert stage.here.get(token) == "ok"
        stage.clock.advance(HOUR)
    assert stage.here.get(token).policy == "sessions"

    stage.here.login()

    stage.clock.advance(12 * HOUR - 1)
    assert stage.here.get(token) == "ok"
    stage.clock.advance(1)
    assert left(stage) == {(ANA, "client", "example"): "revoked"}


def test_dead(stage, set_rule):
    """Seven days after its end a row is deleted, not earlier; what works stays."""
    set_rule("rule: dead")
    dead, _, back = stage.here.login(), stage.here.login(user=BEN), stage.here.login(user="c@x:1")
    for each in (dead, back):
        stage.here.keeper.revoke(each.id)
    stage.clock.advance(6 * DAY)
    assert stage.here.login(user="c@x:1").id == back.id
    assert len(left(stage)) == 3

    stage.clock.advance(DAY)

    assert set(left(stage)) == {(BEN, "client", "example"), ("c@x:1", "client", "example")}


def test_user(stage, set_rule):
    """Whatever one user has, in every data centre and of every client, is gone; others stay."""
    for domain in ("https://api.us", "https://api.eu", "https://api.in"):
        for client in ("one", "two"):
            stage.here.login(client_id=client, api_domain=domain)
    stage.here.login(user=BEN)
    set_rule("rule: user")
    tokens = [each for each in stage.here.keeper.tokens() if each.user == ANA]
    assert len(tokens) == 6
    stage.clock.advance(5 * MINUTE)

    assert isinstance(stage.here.get(tokens[0]), PolicyEnded)
    assert left(stage) == {(BEN, "client", "example"): "ok"}
    assert {each.refresh_token for each in tokens} <= {*stage.revoked}

    again = stage.here.login()
    stage.clock.advance(5 * MINUTE)
    assert stage.here.get(again).policy == "has left"


def test_client(stage, set_rule):
    """Whatever one client has is gone; the same users' tokens of another client stay."""
    for user in (ANA, BEN):
        for client in ("1000.OLD", "1000.NEW"):
            stage.here.login(user=user, client_id=client)
    set_rule("rule: client")
    stage.clock.advance(5 * MINUTE)

    assert set(left(stage)) == {(user, "1000.NEW", "example") for user in (ANA, BEN)}
    assert all(each.status is Status.OK for each in stage.here.keeper.tokens())


def test_all_five(stage):
    """They can be set together."""
    texts = [labelled("docs/policies.md", label)[0] for label in LABELS]
    texts[1] = texts[1].replace("max", 'user = "*@x:*"\nmax')  # else idle would never take hold

    stage.here.vault.set_policies(Policies.from_toml("\n".join(["tokenkeep = 1", *texts]), "all"))

    assert len(stage.here.vault.policies.rules) == 5


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ({"user": ANA}, {(ANA, "one"), (ANA, "two")}),
        ({"client_id": "one"}, {(ANA, "one"), (BEN, "one")}),
    ],
)
def test_once_and_now(stage, asked, gone):
    """Everything of one user or client is revoked, in all data centres, and nothing else."""
    for domain in ("https://api.us", "https://api.eu"):
        for user in (ANA, BEN):
            for client in ("one", "two"):
                stage.here.login(user=user, client_id=client, api_domain=domain)

    confirmed = list(stage.here.keeper.revoke_all(**asked))

    assert len(confirmed) == 4
    tokens = list(stage.host().keeper.tokens())
    revoked = {(each.user, each.client_id) for each in tokens if each.status is Status.REVOKED}
    assert revoked == gone
    assert sum(each.status is Status.OK for each in tokens) == 4
