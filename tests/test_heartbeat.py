"""The heartbeat in a store's own record: a proof that it can be written, in the way of nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest.mock import Mock

import pytest
from faulty_backend import Faulty, Named, vault_over

from tokenkeep import Keeper, KeyRing, StoreTampered, StoreUnavailable, Token
from tokenkeep.backends.base import HEADER
from tokenkeep.decision import CLOCK_SKEW
from tokenkeep.header import LOOK_EVERY
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock

OLD_KEY, NEW_KEY = bytes([1]) * 32, bytes([2]) * 32
OLD, BOTH = KeyRing([OLD_KEY]), KeyRing([NEW_KEY, OLD_KEY])
ANA = Token(user="ana", client_id="c", access_token="a", refresh_token="r")


@pytest.fixture(params=[Faulty, Named], ids=["random ids", "ids of owners"])
def backend(request):
    return request.param()


@pytest.fixture
def clock():
    return FakeClock(1_800_000_000.0)


@pytest.fixture
def vault(backend, clock):
    return vault_over(backend, OLD, clock=clock)


def outside(backend):
    return json.loads(backend.read(HEADER).sealed)


def put(backend, **changes):
    """Change what stands in the header in clear, as anybody can who may write there."""
    was = backend.read(HEADER)
    sealed = json.dumps({**outside(backend), **changes}).encode()
    backend.write(replace(was, sealed=sealed, version="a" * 32), replaces=was.version)


def test_it_is_written_beside_the_keys(vault, backend, clock):
    """A time that the next one finds; what is wrapped stays as it is."""
    before = outside(backend)

    assert [None, clock.now()] == [vault.beat(clock.now()), vault.beat(clock.now() + 7)]

    assert {**before, "heartbeat": clock.now() + 7} == outside(backend)
    backend.trips.clear()
    vault.beat(clock.now())
    assert ["read", "write"] == backend.trips


def test_nobody_unwraps_for_it(backend, clock):
    """A key service is asked as a store is opened, and not for each heartbeat of others."""
    service = Mock(wraps=OLD, key_ids=OLD.key_ids)
    vault, other = (vault_over(backend, service, clock=clock) for _ in "ab")
    service.reset_mock()

    for _ in range(3):
        vault.beat(clock.now())
        clock.advance(LOOK_EVERY)
        other.save_token(ANA)

    assert [] == service.method_calls


def test_two_at_once(vault, backend, clock):
    """Who loses the compare tries again: another's write proves nothing of this one's right."""
    other = vault_over(backend, OLD)
    backend.before_write = lambda: other.beat(clock.now())

    assert clock.now() == vault.beat(clock.now() + 1)

    assert clock.now() + 1 == outside(backend)["heartbeat"]


def test_where_writes_are_counted(vault, backend, clock):
    """A heartbeat of the last half hour is good enough there; an older one is written anew."""
    backend.beats_every = 1800.0
    begun = clock.now()

    assert [None, begun, begun] == [vault.beat(begun + each) for each in (0, 1799, 1800)]

    assert begun + 1800 == outside(backend)["heartbeat"]


def rotate(vault):
    assert vault.rotate()
    assert vault.key_status()[0] == BOTH.key_ids[0]


def rotate_data(vault):
    assert [True] == list(vault.rotate_data())
    assert vault.key_status()[1] == {1: 0, 2: 1}


@pytest.mark.parametrize("deed", [rotate, rotate_data])
def test_keys_are_rotated_all_the_same(vault, backend, clock, deed):
    """A heartbeat between the look and the write of a rotation is no conflict."""
    row = vault.save_token(ANA)
    other = vault_over(backend, BOTH, clock=clock)
    backend.before_write = lambda: vault.beat(clock.now())

    deed(other)

    assert row.access_token == vault_over(backend, BOTH).find_token_by_id(row.id).access_token
    other.beat(clock.now())


@pytest.mark.parametrize(
    "odd", ["soon", None, True, [], float("nan"), pytest.param(10**400, id="huge"), -1e300]
)
def test_what_is_no_time(vault, backend, clock, odd):
    """It stands in clear: what somebody else has put there is no clock, and harms nobody."""
    put(backend, heartbeat=odd)

    assert Keeper(vault, clock=clock).health().ok

    assert clock.now() == outside(backend)["heartbeat"]


# Health


def troubles(health):
    return [each.check for each in health.troubles]


def test_all_is_well(vault, clock):
    """Nothing to tell, and how long it took, by the clock of the keeper."""
    health = Keeper(vault, clock=clock).health()

    assert (True, (), 0.0) == (health.ok, health.troubles, health.seconds)


@pytest.mark.parametrize(("ahead", "found"), [(CLOCK_SKEW, []), (CLOCK_SKEW + 1, ["clock"])])
def test_a_heartbeat_of_the_future(vault, backend, clock, ahead, found):
    """A clock is wrong, this host's or that of the one who wrote it: both times are told."""
    vault_over(backend, OLD).beat(clock.now() + ahead)
    health = Keeper(vault, clock=clock).health()

    assert found == troubles(health)
    if found:
        assert "2027-01-15T08:00:00Z" in health.troubles[0].text
        assert "2027-01-15T08:05:01Z" in health.troubles[0].text


def test_a_clock_is_put_back(vault, clock):
    """By a day: this process's own last heartbeat is of the future then."""
    keeper = Keeper(vault, clock=clock)
    assert keeper.health().ok
    clock.set(clock.now() - 86_400)

    assert ["clock"] == troubles(keeper.health())


def test_a_machine_that_slept(vault, clock):
    """Nothing is wrong with its clock: the monotonic one stood still, the other one did not."""
    keeper = Keeper(vault, clock=clock)
    assert keeper.health().ok
    clock.set(clock.now() + 86_400)

    assert keeper.health().ok


def test_a_providers_clock(vault, clock):
    """What the last renewal has learnt of this host's clock is told, without a call."""
    keeper = Keeper(vault, clock=clock)
    keeper.clock_errors.learn("https://a", 20.0)
    keeper.clock_errors.learn("https://b", -3000.0)

    (trouble,) = keeper.health().troubles

    assert ("clock", True) == (trouble.check, "3000 s ahead of" in trouble.text)


def test_no_store_is_made(backend, clock):
    """By a look at one that is not there, which is told with what makes it."""
    keeper = Keeper(vault_over(backend, OLD, make=False), clock=clock)

    (trouble,) = keeper.health().troubles

    assert "store" == trouble.check
    assert "There is no store yet" in trouble.text
    assert "make=True" in trouble.hint
    assert [] == backend.scan(None, 10)


def gone(backend):
    backend.delete(HEADER)


def cleared(backend):
    """Another store has taken the place of this one."""
    backend.delete(HEADER)
    vault_over(backend, KeyRing([NEW_KEY]))


def damaged(backend):
    put(backend, wrapped="AAAA")


def away(backend):
    backend.write = Mock(side_effect=StoreUnavailable("It is read-only", hint="Name another"))


@pytest.mark.parametrize(
    ("deed", "check"), [(gone, "store"), (cleared, "key"), (damaged, "store"), (away, "store")]
)
def test_what_is_wrong(vault, backend, clock, deed, check):
    """The header is gone, another store's, damaged; or the store can't be written."""
    keeper = Keeper(vault, clock=clock)
    deed(backend)

    assert [check] == troubles(keeper.health())


def test_a_header_that_is_gone_for_a_new_process(vault, backend):
    """It does not open a store that has records and no header, and makes none."""
    vault.save_token(ANA)
    gone(backend)

    with pytest.raises(StoreTampered):
        vault_over(backend, OLD, make=False)


def test_a_store_of_six_methods():
    """It has no place for a heartbeat, and is not asked; its tokens are counted all the same."""
    keeper = Keeper(ListStore())
    keeper.save(ANA.but(provider="zoho"))

    assert keeper.health().ok
    assert {"ok": 1, "login_needed": 0, "revoked": 0} == keeper.census().tokens
