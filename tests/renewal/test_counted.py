"""What a keeper counts for OpenTelemetry: each thing once, and nobody's name."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from renewal_scenario import USER, World

from tokenkeep import Keeper, LoginNeeded, Policies, Policy, TokenKeepError, errors
from tokenkeep.metrics import (
    BUDGET,
    CLAIMS,
    DUE,
    EVENTS,
    HANDED_OUT,
    OUTCOMES,
    PENDING,
    RENEWALS,
    REVOCATIONS,
    TOKENS,
    WAIT,
    Meters,
)


class Seen:
    """What OpenTelemetry's own reader collects of one keeper."""

    def __init__(self):
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader])
        self.meters = Meters(self._provider.get_meter("tokenkeep"))

    def points(self, metric):
        """Return what was collected of a metric, by the values of its attributes."""
        data = self._reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else []
        (found,) = [
            each.data.data_points for scope in scopes for each in scope.metrics
            if (each.name, each.unit) == (metric.name, metric.unit)
        ] or [[]]  # fmt: skip
        for point in found:
            assert sorted(point.attributes) == sorted(metric.attributes)
        return {
            "/".join(point.attributes[name] for name in metric.attributes): point
            for point in found
        }

    def values(self, metric):
        return {name: point.value for name, point in self.points(metric).items()}

    def sums(self, metric):
        return {name: (point.count, point.sum) for name, point in self.points(metric).items()}

    def words(self):
        """Return the values of all attributes."""
        scopes = self._reader.get_metrics_data().resource_metrics[0].scope_metrics
        metrics = [each for scope in scopes for each in scope.metrics]
        points = [point for each in metrics for point in each.data.data_points]
        return {word for point in points for word in point.attributes.values()}

    def close(self):
        self._provider.shutdown()


@pytest.fixture
def seen():
    made = Seen()
    yield made
    made.close()


@pytest.fixture
def keeper_of(seen):
    """Return a keeper on the stage of a world that is counted."""

    def make(world):
        return Keeper(
            world.here.store,
            providers=world.here.providers,
            clock=world.clock,
            meters=seen.meters,
        )

    return make


def test_handed_out(world, keeper_of, seen):
    """Each valid token is counted, however it was asked for; what failed is not."""
    keeper = keeper_of(world)
    valid = [keeper.get(user=USER) for _ in range(3)][-1]
    keeper.rejected(world.id, "another")
    keeper.renew(world.id)
    world.step("revoke")()
    with pytest.raises(TokenKeepError):
        keeper.get(id=valid.id)

    assert {"scripted": 5} == seen.values(HANDED_OUT)


def test_handed_out_by_threads(world, keeper_of, seen):
    """None is lost among threads."""
    keeper = keeper_of(world)
    keeper.get(id=world.id)

    def ask():
        for _ in range(500):
            keeper.get(id=world.id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert {"scripted": 2001} == seen.values(HANDED_OUT)


def refuses(world):
    world.provider.trouble.append(errors.ProviderRefused("Wrong secret", error="invalid_client"))


def misconfigured(world):
    world.provider.trouble.append(errors.ConfigurationError("There is no issuer"))


OUTCOME_OF = {
    "ok": lambda _: None,
    "unsaved": lambda world: world.provider.during.append(world.step("store down")),
    "unavailable": lambda world: world.down(),
    "throttled": lambda world: world.step("throttled")(),
    "refused": refuses,
    "login_needed": lambda world: world.step("consent withdrawn")(),
    "store": lambda world: world.here.store.before["claim"].append(world.step("store down")),
    "configuration": misconfigured,
}


@pytest.mark.parametrize("outcome", OUTCOME_OF)
def test_outcomes(world, keeper_of, seen, outcome):
    """Whose fault it was is told apart: ours, the provider's, or that the login is over."""
    OUTCOME_OF[outcome](world)

    world.outcome(lambda: keeper_of(world).get(id=world.id))

    assert {f"scripted/{outcome}": 1} == seen.values(RENEWALS)
    assert {"scripted": 0} == seen.values(CLAIMS) or outcome == "store"


def test_timeout(world, keeper_of, seen):
    """A caller who gave up is counted with how long it has waited; it has renewed nothing."""
    world.claim()
    world.here.store.before["read"].extend([lambda: world.clock.advance(15)] * 4)

    assert errors.RenewalTimeout is world.outcome(lambda: keeper_of(world).get(id=world.id))

    assert {} == seen.values(RENEWALS)
    (waited,) = seen.sums(WAIT).items()
    assert ("scripted/timeout", 1) == (waited[0], waited[1][0])
    assert 45 <= waited[1][1] < 65


def test_all_outcomes_are_seen():
    """Each of those there are has a case above; the last is for what nobody thought of."""
    assert {*OUTCOME_OF, "timeout", "other"} == set(OUTCOMES)


def test_a_failed_listener(world, keeper_of, seen):
    """An error that is none of ours is "other"; the caller gets it as it is."""

    def odd():
        raise ZeroDivisionError

    world.provider.before.append(odd)
    with pytest.raises(ZeroDivisionError):
        keeper_of(world).get(id=world.id)

    assert {"scripted/other": 1} == seen.values(RENEWALS)


def test_how_long_callers_wait(world, keeper_of, seen):
    """From the question to the answer; who finds a good token has not waited."""
    keeper = keeper_of(world)
    world.provider.before.append(lambda: world.clock.advance(2))
    keeper.get(id=world.id)
    keeper.get(id=world.id)

    assert {"scripted/ok": (1, 2.0)} == seen.sums(WAIT)


def test_claims_are_held(world, keeper_of, seen):
    """As long as the provider is asked, and not after it has failed."""
    during = []
    world.provider.before.append(lambda: during.append(seen.values(CLAIMS)))
    world.down()

    world.outcome(lambda: keeper_of(world).get(id=world.id))

    assert [{"scripted": 1}] == during
    assert {"scripted": 0} == seen.values(CLAIMS)


def test_ahead_of_need(world, keeper_of, seen):
    """A renewal that nobody has asked for is one; nobody has waited for it, nor been served."""
    world.here.store.set_policies(Policies((Policy(name="fresh", keep_fresh=True),)))
    keeper = keeper_of(world)

    assert 1 == keeper.keep_fresh().renewed

    assert {"scripted/ok": 1} == seen.values(RENEWALS)
    assert ({}, {}) == (seen.sums(WAIT), seen.values(HANDED_OUT))


def test_the_budget(limited, keeper_of, seen):
    """What is left of ten calls after this one; a provider without a limit has none."""
    keeper = keeper_of(limited)
    keeper.renew(limited.id)
    keeper.renew(limited.id)

    assert {"scripted": (2, 9.0 + 8.0)} == seen.sums(BUDGET)


def test_no_budget(world, keeper_of, seen):
    """A provider without a limit has none."""
    keeper_of(world).renew(world.id)

    assert {} == seen.sums(BUDGET)


def test_revocations(world, keeper_of, seen):
    """Those the provider has confirmed, and each question that it has not."""
    keeper = keeper_of(world)
    world.provider.unreachable = True
    keeper.revoke(world.id)
    assert {"scripted/pending": 1} == seen.values(REVOCATIONS)
    waiting = keeper.census()
    world.provider.unreachable = False
    keeper.sweep()

    assert waiting.revocations == seen.values(REVOCATIONS)["scripted/confirmed"] > 0
    assert {"revoked": 1, "revocation_pending": 1} == seen.values(EVENTS)


def test_census(world, keeper_of, seen):
    """What the store holds is set when somebody counts it, and not before."""
    world.login("login-2", user="bo@example.com:1")
    world.provider.unreachable = True
    keeper = keeper_of(world)
    keeper.revoke(world.id)
    assert {} == seen.values(TOKENS)

    census = keeper.census()

    assert {"ok": 1, "login_needed": 0, "revoked": 1} == seen.values(TOKENS) == census.tokens
    assert {"": 1} == seen.values(DUE)
    assert {"": census.revocations} == seen.values(PENDING)


@pytest.mark.parametrize("rotates", [False, True])
def test_invariant_9(keeper_of, seen, rotates):
    """Nobody's name, id or secret is among the attributes, which are few: also invariant 9."""
    world = World(rotates=rotates, mint_limit=10)
    keeper = keeper_of(world)
    keeper.get(user=USER)
    world.down()
    world.outcome(lambda: keeper.renew(world.id))
    world.clock.advance(100)
    world.step("consent withdrawn")()
    with pytest.raises(LoginNeeded):
        keeper.renew(world.id)
    keeper.revoke(world.id)
    keeper.delete(world.id)
    keeper.census()

    words = seen.words()

    assert words <= {
        "scripted", *OUTCOMES, "pending", "confirmed", "ok", "login_needed", "revoked",
        "renewed", "renewal_failed", "deleted", "alias", "lease", "note", "ended",
    }  # fmt: skip
    assert {"ok", "unavailable", "login_needed", "deleted"} <= words


WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
import tokenkeep
with tokenkeep.Keeper(tokenkeep.open_store("memory:", environ={})) as keeper:
    row = keeper.save(tokenkeep.Token(user="ana", client_id="c", access_token="a"))
    keeper.get(id=row.id)
    print(keeper.census().tokens["ok"], keeper.delete(row.id).user)
assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
"""
GLOBAL = """
import tokenkeep
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
stores = [tokenkeep.open_store("memory:", environ={}) for _ in "ab"]
keepers = [tokenkeep.Keeper(store) for store in stores]
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
for keeper in keepers:
    row = keeper.save(tokenkeep.Token(user="ana", client_id="c", access_token="a"))
    keeper.get(id=row.id)
    keeper.delete(row.id)
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
found = {each.name: sum(point.value for point in each.data.data_points) for each in scope.metrics}
print(scope.scope.name, found["tokenkeep.tokens.handed_out"], found["tokenkeep.events"])
"""


@pytest.mark.parametrize(
    ("program", "said"), [(WITHOUT, "1 ana"), (GLOBAL, "tokenkeep 2 2")], ids=["without", "global"]
)
def test_a_program(program, said):
    """
    Without the extra nothing is counted and all else works.

    With it what counts is the program's own OpenTelemetry, also one that is set up after
    the keepers; they share the instruments.
    """
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )

    assert (said, "") == (ran.stdout.strip(), ran.stderr)
