"""A copy among failures, deletions, others that copy too, and very many tokens."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import tracemalloc
from contextlib import closing
from dataclasses import replace

import pytest
from moved_tokens import copied, login, revoked, unsaved

from tokenkeep import (
    ConfigurationError,
    KeyMissing,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreUnavailable,
)
from tokenkeep.backends.rows import COLUMNS, to_row
from tokenkeep.moving import Merge, StoreSource


def test_unsaved_answers_are_waited_for(source, target, copy):
    """While an answer waits in the source's journal, its row is out of date: nothing is copied."""
    row = source.save_token(login())
    entry = unsaved(row)
    kept = source.journal.put(entry)

    with pytest.raises(StoreError, match=r"1 of the provider's answers.*sweep") as caught:
        copy()
    assert "secret" not in str(caught.value)
    assert [] == target.get_tokens()

    source.journal.remove(kept)
    steps = copied(source, target)
    next(steps)
    source.journal.put(entry)
    with pytest.raises(StoreError, match="sweep"):
        list(steps)


def test_a_row_that_does_not_open_holds_no_other_up(source, target, copy):
    """It is told by its id, and the others arrive; of the deleted ones too."""
    source.save_token(login("a"))
    bad = source.save_token(login("b"))
    gone = source.swap(revoked(source.save_token(login("gone"))))
    source.delete_token(gone.id)
    for each in (bad, gone):
        record = source.backend.read(each.id.removeprefix("tk_"))
        source.backend.delete(record.id)
        sealed = bytes([*record.sealed[:-1], record.sealed[-1] ^ 1])
        source.backend.write(replace(record, sealed=sealed), replaces=None)

    done = copy()

    assert ("new", None) == done.pop("a")
    assert {bad.id: "failed", gone.id: "failed"} == {id_: each[0] for id_, each in done.items()}
    assert all(id_ in reason for id_, (_, reason) in done.items())
    assert ["a"] == [token.user for token in target.get_tokens()]


def test_a_row_that_the_target_does_not_take_holds_no_other_up(source, target, copy, monkeypatch):
    """One too large is told by its id, each time; the others arrive, and are there the next."""
    ids = {name: source.save_token(login(name)).id for name in "abc"}
    write = target.backend.write

    def limited(record, *, replaces):
        if record.id == ids["b"].removeprefix("tk_"):
            raise StoreError("This token takes 70000 bytes", token_id=ids["b"], hint="Smaller!")
        write(record, replaces=replaces)

    monkeypatch.setattr(target.backend, "write", limited)
    failed = ("failed", f"This token takes 70000 bytes (token {ids['b']})")

    assert {"a": ("new", None), "b": failed, "c": ("new", None)} == copy()
    assert {"a": ("already there", None), "b": failed, "c": ("already there", None)} == copy()


def test_a_provider_that_is_not_configured_here(source, target, copy):
    """Its tokens go along all the same, and are not copied twice."""
    row = source.swap(source.save_token(login()).but(provider="no longer configured"))

    assert ("new", None) == copy()["ana"]
    assert ("already there", None) == copy()["ana"]
    assert [row.id] == [token.id for token in target.get_tokens()]


def test_what_is_not_of_one_row_ends_it(source, target, copy, monkeypatch):
    """A store that can't be reached, or is not ours, is no failure of each row."""
    source.save_token(login())
    for error in (StoreUnavailable, StoreForeign, StoreTooNew):
        with monkeypatch.context() as patched:
            patched.setattr(target.backend, "write", raising(error))
            with pytest.raises(error):
                copy()


def raising(error):
    def _raise(record, *, replaces):
        raise error(f"not {record.id} of {replaces}")

    return _raise


def test_a_row_deleted_in_the_target(source, target, copy):
    """It is new again, as long as the source has it."""
    row = source.save_token(login())
    copy()
    target.delete_token(row.id)

    assert ("new", None) == copy()["ana"]

    assert [row.id] == [token.id for token in target.get_tokens()]


def test_an_id_that_led_to_a_row_deleted_in_the_target(source, target, copy):
    """It is deleted with that row: the source's comes as a new one."""
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    row = source.save_token(login())
    copy()
    target.delete_token(mine.id)

    assert ("new", None) == copy()["ana"]
    assert [row.id] == [token.id for token in target.get_tokens()]


def test_two_copies_at_once(source, target):
    """Two that run at the same time do it once between them."""
    for number in range(150):
        source.save_token(login(f"u{number}"))
    done = []

    def run():
        done.extend(step.action.value for step in copied(source, target))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert (150, 150) == (done.count("new"), done.count("already there"))
    assert 150 == len(target.get_tokens())


def test_the_same_store_twice(source, open_store, tmp_path):
    """A store is not copied onto itself, whatever it is called; a copy of its file may be."""
    source.save_token(login())
    source.close()
    shutil.copy(tmp_path / "0.store", tmp_path / "backup")
    for same in (source, open_store(f"sqlite:///{tmp_path}/./0.store")):
        with pytest.raises(ConfigurationError, match="Both stores"):
            Merge(StoreSource(source), same)

    backup = open_store(f"sqlite:///{tmp_path}/backup")
    assert ["already there"] == [step.action for step in copied(backup, source)]


def test_two_stores_in_memory_are_two(open_store):
    """They are called alike, and hold different tokens."""
    one, other = open_store("memory:"), open_store("memory:")
    one.save_token(login())

    assert ["new"] == [step.action.value for step in copied(one, other)]


def test_another_key(source, open_store, tmp_path):
    """Without its key nothing of a store is read."""
    source.save_token(login())

    with pytest.raises(KeyMissing):
        open_store(f"sqlite:///{tmp_path}/0.store", keys=[bytes(32)])


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["first", "second"])
def test_memory_does_not_grow(open_store, tmp_path, again):
    """Invariant 13: three times the tokens take no more memory, the first time or again."""
    peaks = []
    for count in (1000, 3000):
        urls = [f"sqlite:///{tmp_path}/{name}{count}" for name in "st"]
        fill_many(open_store, urls[0], count)
        if again:
            shutil.copy(tmp_path / f"s{count}", tmp_path / f"t{count}")
        source, target = map(open_store, urls)
        tracemalloc.start()
        done = {step.action.value for step in copied(source, target)}
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert {"already there" if again else "new"} == done

    # Two pages of 500 are held, and 4096 digests; 2000 records more would take 5 MB.
    assert peaks[1] < peaks[0] + 2_000_000


def fill_many(open_store, url, count):
    """Make a SQLite store of many tokens, quickly: the records of one in memory, header too."""
    memory = open_store("memory:")
    open_store(url).close()
    for number in range(count):
        memory.save_token(login(f"u{number}", scope=" " * 1500))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db, db:
        db.execute("DELETE FROM token")
        names, values = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
        rows = map(to_row, memory.backend.scan(None, count + 1))
        db.executemany(f"INSERT INTO token ({names}) VALUES ({values})", rows)
