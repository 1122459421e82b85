"""The store's own record: made once, found by all; its keys change while it is used."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from unittest.mock import Mock

import pytest
from faulty_backend import Faulty, vault_over
from reported import reported

from tokenkeep import (
    KeyMissing,
    KeyRing,
    Policies,
    Policy,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
    Token,
)
from tokenkeep.backends.base import HEADER
from tokenkeep.header import LOOK_EVERY
from tokenkeep.lookup import first_login_of
from tokenkeep.testing import FakeClock
from tokenkeep.token import Claim

OLD_KEY, NEW_KEY = bytes([1]) * 32, bytes([2]) * 32
OLD, BOTH, NEW = KeyRing([OLD_KEY]), KeyRing([NEW_KEY, OLD_KEY]), KeyRing([NEW_KEY])
CLAIM = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)


def token(number, **changes):
    return Token(user=f"user {number}", client_id="c", access_token=f"a{number}",
                 refresh_token=f"r{number}").but(**changes)  # fmt: skip


@pytest.fixture
def backend():
    return Faulty()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def vault(backend, clock):
    return vault_over(backend, OLD, clock=clock)


@pytest.fixture
def full(vault):
    """A store with something of every kind."""
    rows = [vault.save_token(token(number)) for number in range(3)]
    vault.add_id("customer-42", rows[0])
    vault.delete_token(vault.swap(rows[2].with_renewal(to_revoke=(("refresh_token", "x"),))).id)
    vault.hold(first_login_of(token(7)), CLAIM)
    return vault


def put(backend, *records):
    """Put records in the place of all there are."""
    for record in backend.scan(None, 100):
        backend.delete(record.id)
    for record in records:
        backend.write(record, replaces=None)


def edit(backend, record_id=HEADER, **changes):
    """Change a record past the library; return it as it was."""
    was = backend.read(record_id)
    backend.write(replace(was, **changes), replaces=was.version)
    return was


# It is made


@pytest.mark.parametrize("ring", [OLD, NEW], ids=["same ring", "another ring"])
def test_two_first_processes(backend, ring):
    """The header of one is inserted, and the other finds it; or says which key it lacks."""
    first = []
    backend.before_write = lambda: first.append(vault_over(backend, ring))

    with pytest.raises(KeyMissing, match=NEW.key_ids[0]) if ring is NEW else nullcontext():
        assert (
            vault_over(backend, OLD).store_id == first[0].store_id != vault_over(Faulty()).store_id
        )

    assert first[0].store_id not in repr(backend.read(HEADER))
    assert [first[0].save_token(token(1))] == vault_over(backend, ring).get_tokens()


def opens(plain):
    """Return a header that opens, with this in it."""
    key_id, wrapped = OLD.wrap(json.dumps(plain).encode(), b"tokenkeep 2 header")
    outside = {"tokenkeep": 2, "key": key_id, "wrapped": b64encode(wrapped).decode()}
    return json.dumps(outside).encode()


KEY = b64encode(b"k" * 32).decode()
DAMAGED = [
    b"[]",
    b"\xff" * 9,
    b'{"tokenkeep": 2, "key": "k", "wrapped": "%"}',
    opens(["s3cret"]),
    *(opens({"store": "s", "keys": keys, "index": "s3cret"}) for keys in ({"1": KEY}, "s3cret")),
]
NOT_READ = [(b'{"tokenkeep": 2, "key": "k", "wrapped": ""}', KeyMissing),
            (b'{"tokenkeep": 3, "key": "k", "wrapped": ""}', StoreTooNew)]  # fmt: skip


@pytest.mark.parametrize(
    ("sealed", "error"), [*((each, StoreTampered) for each in DAMAGED), *NOT_READ]
)
@pytest.mark.usefixtures("vault")
def test_what_is_no_header(backend, sealed, error):
    """Damaged, or of a newer format: the store does not open, is left alone, and shows no key."""
    edit(backend, sealed=sealed, version="1" * 32)

    with pytest.raises(error) as caught:
        vault_over(backend, OLD)

    assert sealed == backend.read(HEADER).sealed
    for secret in ("s3cret", repr(b"k" * 32), KEY):
        assert secret not in reported(caught.value)


def test_a_key_source_of_ones_own(backend):
    """It is asked as a store is opened, and never for a token."""
    service = Mock(wraps=OLD, key_ids=OLD.key_ids)
    vault = vault_over(backend, service)
    row = vault.save_token(token(1))

    assert row == vault_over(backend, service).find_token_by_id(row.id)
    assert ["wrap", "unwrap", "unwrap"] == [call[0] for call in service.method_calls]
    assert not vault.rotate()


# While a store is open


def test_it_is_looked_at_once_a_minute(vault, backend, clock):
    """Before a write, and no more often."""
    row = vault.save_token(token(1))
    backend.trips.clear()

    for _ in range(10):
        clock.advance(LOOK_EVERY / 10)
        row = vault.swap(row)

    assert 1 == backend.trips.count("read")


def gone(backend):
    backend.delete(HEADER)


def another_stores(backend):
    other = Faulty()
    vault_over(other, OLD)
    edit(backend, sealed=other.read(HEADER).sealed, version="a" * 32)


def replaced(backend):
    put(backend)
    vault_over(backend, OLD)


@pytest.mark.parametrize("deed", [gone, another_stores, replaced])
def test_the_ground_is_taken_away(vault, backend, clock, deed):
    """Nothing is sealed under keys that nobody else finds; it goes on once all is put back."""
    row = vault.save_token(token(1))
    was = backend.scan(None, 10)
    deed(backend)
    clock.advance(LOOK_EVERY)
    before = backend.scan(None, 10)

    with pytest.raises(StoreUnavailable, match="nothing was written"):
        vault.save_token(token(2))
    with pytest.raises(StoreUnavailable):
        vault.swap(row.but(scope="x"))

    assert before == backend.scan(None, 10)
    put(backend, *was)
    assert "user 2" == vault.save_token(token(2)).user


def test_no_header_is_made_beside_records(vault, backend):
    """A store whose header is gone gets no other one: what is there would never open again."""
    vault.save_token(token(1))
    backend.delete(HEADER)

    with pytest.raises(StoreTampered, match="Restore the store from a backup"):
        vault_over(backend, OLD)

    assert backend.read(HEADER) is None


# Another key of the ring


def test_a_ring_key_takes_over_at_once(full, backend):
    """One write, however many tokens; the old ring opens nothing afterwards."""
    before = backend.scan(None, 100)
    backend.trips.clear()
    vault = vault_over(backend, BOTH)

    assert vault.rotate()

    assert 1 == backend.trips.count("write")
    after = backend.scan(None, 100)
    assert [HEADER] == [new.id for old, new in zip(before, after, strict=True) if old != new]
    with pytest.raises(KeyMissing, match=NEW.key_ids[0]):
        vault_over(backend, OLD)
    assert full.get_tokens() == vault_over(backend, NEW).get_tokens()
    assert (NEW.key_ids[0], vault.store_id) == (vault.key_status()[0], full.store_id)
    assert not vault.rotate()


@pytest.mark.parametrize("ring", [BOTH, OLD], ids=["has it", "lacks it"])
def test_other_open_processes(backend, clock, ring):
    """
    They find the header under another key of their ring, and no digest has changed.

    Without that key they read on, and say within a minute which one they lack before they write.
    """
    other = vault_over(backend, ring, clock=clock)
    saved = other.save_token(token(1))
    vault_over(backend, BOTH).rotate()
    clock.advance(LOOK_EVERY)

    if ring is OLD:
        assert saved == other.find_token_by_id(saved.id)
        with pytest.raises(KeyMissing, match="changed meanwhile"):
            other.save_token(token(9))
        return
    again = other.save_token(token(1, scope="x"))
    assert (saved.id, saved.owner, "x") == (again.id, again.owner, again.scope)
    assert [again] == vault_over(backend, NEW).get_tokens()


def test_two_rotate_at_once(full, backend):
    """The second one wraps what the first has written; both rings open the store."""
    backend.before_write = vault_over(backend, BOTH).rotate

    assert vault_over(backend, BOTH).rotate()

    assert full.get_tokens() == vault_over(backend, NEW).get_tokens()


def test_two_add_a_key_at_once(full, backend):
    """Neither is lost, whoever writes first: what is sealed under either opens."""
    other = vault_over(backend, OLD)
    mine = full.rotate_data()

    def another():
        next(other.rotate_data())
        other.save_token(token(8))

    backend.before_write = another
    next(mine)

    assert len(vault_over(backend, OLD).get_tokens()) == len(full.get_tokens()) == 3
    assert {1, 2, 3} == {*full.key_status()[1]}


def test_policies_set_while_they_are_applied(full, backend):
    """A sweep that applies older ones does not bring them back, also if it has looked since."""
    clock = FakeClock()
    other = vault_over(backend, OLD, clock=clock)
    first, second = (Policies([Policy(name=each, idle=9999.0)]) for each in ("first", "second"))
    full.set_policies(first)
    clock.advance(3600)
    scan = backend.scan

    def meanwhile(*args, **given):
        backend.scan = scan
        full.set_policies(second)
        clock.advance(61)  # it looks again before it writes
        return scan(*args, **given)

    backend.scan = meanwhile
    assert other.apply_policies()

    assert second.rules == other.policies.rules == full.policies.rules
    assert not other.is_applied
    assert full.get_tokens()


# Another data key


def test_everything_is_sealed_anew(full, backend):
    """
    Rows, aliases, leases and what is still to be revoked; nothing else of them changes.

    Broken off, both keys open; it goes on where it was, without another key.
    """
    before = full.get_tokens()
    assert [True] * 2 == list(islice(full.rotate_data(), 2))
    assert {1: 3, 2: 2} == full.key_status()[1]
    other = vault_over(backend, OLD)
    assert ["user 0", "user 1"] == sorted(row.user for row in other.get_tokens())

    assert 3 == sum(other.rotate_data(anew=False))

    assert {1: 0, 2: 5} == full.key_status()[1]
    assert 0 == sum(other.rotate_data(anew=False))
    fresh = vault_over(backend, OLD)
    after = fresh.get_tokens()
    assert [row.but(version=None) for row in before] == [row.but(version=None) for row in after]
    assert "user 0" == fresh.find_token_by_id("customer-42").user
    assert CLAIM == fresh.hold(first_login_of(token(7)), CLAIM)[1]
    assert 1 == len(list(fresh.due(4e9)))


def test_others_write_meanwhile(full, backend):
    """
    A process that has not heard of the new key learns of it as it meets it, and uses it.

    The walk does not undo what somebody writes between its look at a row and its write.
    """
    other = vault_over(backend, OLD)
    mine, write = [other.find_token(Token(user="user 0"))], backend.write

    def first_mine(record, *, replaces):
        if mine and mine[0].id.endswith(record.id):
            other.swap(mine.pop().but(scope="mine"))
        write(record, replaces=replaces)

    backend.write = first_mine
    walk = full.rotate_data()
    for number, _ in zip(range(5), walk, strict=False):
        other.save_token(token(f"late {number}"))
    list(walk)

    list(vault_over(backend, OLD).rotate_data(anew=False))

    assert 0 == full.key_status()[1][1]
    found = {row.user: row for row in vault_over(backend, OLD).get_tokens()}
    assert "mine" == found["user 0"].scope
    assert {f"user late {number}" for number in range(5)} < found.keys()


def test_what_does_not_open_holds_nobody_up(full, backend):
    """A row that was edited, or a later version's, is told; all others are sealed anew."""
    changes = ({"owner": "e" * 32}, {"kind": "poem"})
    for row, changed in zip(full.get_tokens(), changes, strict=True):
        edit(backend, row.id.removeprefix("tk_"), **changed)
    told = []

    assert 3 == sum(full.rotate_data(on_error=told.append))

    assert {1: 2, 2: 3} == full.key_status()[1]
    assert {StoreTampered, StoreTooNew} == {type(each) for each in told}
    for found in (full.rotate_data(anew=False), full.iter_tokens()):
        with pytest.raises((StoreTampered, StoreTooNew)):
            list(found)


def test_an_older_one_is_put_in_its_place(full, backend):
    """Who knows its later data keys forgets none; who does not, is told what does not open."""
    was = backend.read(HEADER)
    list(full.rotate_data())
    row = full.get_tokens()[0]
    backend.write(was, replaces=backend.read(HEADER).version)

    with pytest.raises(StoreUnavailable, match="an older one"):
        full.key_status()
    with pytest.raises(StoreTampered, match="key that the store does not have"):
        vault_over(backend, OLD).find_token_by_id(row.id)
