"""Keys change: the ring at once, the data keys by and by; whoever uses the store goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import pytest
from faulty_backend import Faulty, vault_over

import tokenkeep
from tokenkeep import (
    KeyMissing,
    KeyRing,
    StoreConflict,
    StoreTampered,
    StoreTooNew,
    Token,
    generate_key,
)
from tokenkeep.backends.base import HEADER
from tokenkeep.header import LOOK_EVERY
from tokenkeep.journal import Entry
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
def full(backend):
    """A store with something of every kind."""
    vault = vault_over(backend, OLD, clock=FakeClock())
    rows = [vault.save_token(token(number)) for number in range(3)]
    vault.add_id("customer-42", rows[0])
    vault.delete_token(vault.swap(rows[2].with_renewal(to_revoke=(("refresh_token", "x"),))).id)
    vault.lease(token(7), CLAIM)
    return vault


# The ring


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


@pytest.mark.parametrize("ring", [BOTH, KeyRing([OLD_KEY, NEW_KEY])])
def test_other_open_processes_go_on(backend, ring):
    """They find the header under another key of their ring, and no digest has changed."""
    clock = FakeClock()
    other = vault_over(backend, ring, clock=clock)
    saved = other.save_token(token(1))
    vault_over(backend, BOTH).rotate()
    clock.advance(LOOK_EVERY)

    again = other.save_token(token(1, scope="x"))

    assert (saved.id, saved.owner, "x") == (again.id, again.owner, again.scope)
    assert [again] == vault_over(backend, NEW).get_tokens()


def test_a_process_without_the_new_key(full, backend):
    """It reads on, and says within a minute which key it lacks before it writes."""
    row = full.get_tokens()[0]
    clock = FakeClock()
    other = vault_over(backend, OLD, clock=clock)
    vault_over(backend, BOTH).rotate()
    clock.advance(LOOK_EVERY)

    assert row == other.find_token_by_id(row.id)
    with pytest.raises(KeyMissing, match="changed meanwhile"):
        other.save_token(token(9))


def test_two_rotate_at_once(full, backend):
    """One of them is told; both rings open the store."""
    other = vault_over(backend, BOTH)
    backend.before_write = other.rotate

    with pytest.raises(StoreConflict):
        vault_over(backend, BOTH).rotate()

    assert full.get_tokens() == vault_over(backend, NEW).get_tokens()


# The data keys


def test_everything_is_sealed_anew(full, backend):
    """Rows, aliases, leases and what is still to be revoked; nothing else of them changes."""
    before = full.get_tokens()

    done = list(full.rotate_data())

    assert {1: 0, 2: 5} == full.key_status()[1]
    assert [False, True, True, True, True, True] == sorted(done)
    fresh = vault_over(backend, OLD)
    after = fresh.get_tokens()
    assert [row.but(version=None) for row in before] == [row.but(version=None) for row in after]
    assert "user 0" == fresh.find_token_by_id("customer-42").user
    assert CLAIM == fresh.lease(token(7), CLAIM)[1]
    assert 1 == len(list(fresh.due(4e9)))


def test_broken_off_and_gone_on_with(full, backend):
    """Until it is through, both keys open; it goes on where it was, without another key."""
    assert 2 == sum(islice(full.rotate_data(), 3))
    assert {1: 3, 2: 2} == full.key_status()[1]
    other = vault_over(backend, OLD)
    assert ["user 0", "user 1"] == sorted(row.user for row in other.get_tokens())

    assert 3 == sum(other.rotate_data(anew=False))

    assert {1: 0, 2: 5} == other.key_status()[1]
    assert 0 == sum(other.rotate_data(anew=False))


def test_others_write_meanwhile(full, backend):
    """A process that has not heard of the new key learns of it as it meets it, and uses it."""
    other = vault_over(backend, OLD)
    rows = {row.user: row for row in other.get_tokens()}
    walk = full.rotate_data()
    for number, _ in zip(range(5), walk, strict=False):
        row = other.find_token(Token(user="user 0"))
        other.swap(row.but(scope=f"{number}"))
        other.save_token(token(f"late {number}"))
    list(walk)

    list(vault_over(backend, OLD).rotate_data(anew=False))

    assert {1: 0} == {
        number: count for number, count in full.key_status()[1].items() if number < 2
    }
    found = {row.user: row for row in vault_over(backend, OLD).get_tokens()}
    assert "4" == found["user 0"].scope
    assert rows["user 1"].but(version=None) == found["user 1"].but(version=None)
    assert {f"user late {number}" for number in range(5)} < found.keys()


def test_a_row_that_was_written_in_between(full, backend):
    """The walk does not undo what somebody has just written."""
    other = vault_over(backend, OLD)
    row = other.find_token(Token(user="user 0"))
    walk = full.rotate_data()
    backend.before_write = lambda: other.swap(row.but(scope="mine"))

    sealed = list(walk)

    assert "mine" == vault_over(backend, OLD).find_token(Token(user="user 0")).scope
    assert {1: 0, 2: 5} == full.key_status()[1]
    assert sum(sealed) in (4, 5)


def test_what_does_not_open_holds_nobody_up(full, backend):
    """A row that was edited, or a later version's, is told; all others are sealed anew."""
    for row, changes in zip(
        full.get_tokens(), ({"owner": "e" * 32}, {"kind": "poem"}), strict=True
    ):
        was = backend.read(row.id.removeprefix("tk_"))
        backend.write(replace(was, **changes), replaces=was.version)
    told = []

    assert 3 == sum(full.rotate_data(on_error=told.append))

    assert {1: 2, 2: 3} == full.key_status()[1]
    assert {StoreTampered, StoreTooNew} == {type(each) for each in told}
    with pytest.raises((StoreTampered, StoreTooNew)):
        list(full.rotate_data(anew=False))


def test_a_key_that_no_header_has(full, backend):
    """A row under a data key that was lost with the header is an error that says so."""
    was = backend.read(HEADER)
    list(full.rotate_data())
    row = full.get_tokens()[0]
    backend.write(was, replaces=backend.read(HEADER).version)

    with pytest.raises(StoreTampered, match="key that the store does not have"):
        vault_over(backend, OLD).find_token_by_id(row.id)


def test_answers_that_are_not_saved_yet(tmp_path):
    """What is in the journal is sealed under the newest key as well."""
    store = tokenkeep.open_store(
        f"sqlite:///{tmp_path}/t.db", keys_newest_first=[OLD_KEY], environ={}
    )
    blank = dict.fromkeys(Entry.__dataclass_fields__)
    kept = store.journal.put(
        Entry(**blank | {"base_refresh": "r", "access_token": "a", "learnt": {}})
    )
    (old,) = (tmp_path / "t.db.journal").iterdir()
    was = old.read_bytes()

    list(store.rotate_data())

    (new,) = (tmp_path / "t.db.journal").iterdir()
    assert was != new.read_bytes()
    assert (None, "r") == store.journal.find(kept.base).base
    store.close()


WRITER = """
import sys, tokenkeep
store = tokenkeep.open_store(sys.argv[1])
print(flush=True)
for number in range(200):
    user = f"user {number % 20}"
    saved = store.find_token(tokenkeep.Token(user=user))
    store.save_token(tokenkeep.Token(user=user, client_id="c", access_token=f"a{number}",
                                     refresh_token=f"r {user}"))
"""


def test_real_processes_write_meanwhile(tmp_path):
    """Both rotations, while other processes save and read: nothing is lost, nobody is stopped."""
    old, new, url = generate_key(), generate_key(), f"sqlite:///{tmp_path}/t.db"
    environ = {**os.environ, "TOKENKEEP_KEYS": f"{new} {old}"}
    before = tokenkeep.open_store(url, environ={"TOKENKEEP_KEYS": old})
    for number in range(20):
        before.save_token(token(number, refresh_token=f"r user {number}"))
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, env=environ)
        for _ in range(2)
    ]
    for each in writers:
        each.stdout.readline()

    store = tokenkeep.open_store(url, environ=environ)
    assert store.rotate()
    list(store.rotate_data())
    assert [b"", b""] == [each.communicate(timeout=100)[0] for each in writers]
    list(store.rotate_data(anew=False))

    assert [0, 0] == [each.returncode for each in writers]
    assert {1: 0, 2: 20} == store.key_status()[1]
    fresh = tokenkeep.open_store(url, environ={"TOKENKEEP_KEYS": new})
    assert sorted((t.user, t.access_token) for t in fresh.get_tokens()) == sorted(
        (f"user {n}", f"a{n + 180}") for n in range(20)
    )
    for each in (before, store, fresh):
        each.close()
