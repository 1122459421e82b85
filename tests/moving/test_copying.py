"""Every row of a store arrives in another one, once, as often as it is copied."""

from __future__ import annotations

import shutil
import tracemalloc
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
from moved_tokens import NOW, copied, fill, login, renewed, revoked, unsaved

from tokenkeep import (
    ConfigurationError,
    Keeper,
    Status,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreUnavailable,
    TokenRevoked,
)
from tokenkeep.backends import Backend
from tokenkeep.moving import Merge, StoreSource

TO_REVOKE = (("refresh_token", "refresh ana"),)
OWN = login(access_token="own", refresh_token="own")
NAMED, NAMELESS = login(), login(user=None)


def records(store):
    return store.backend.scan(None, 1000)


def pairs(store):
    return [(row.id, row.refresh_token) for row in store.get_tokens()]


def test_a_dry_run_and_a_second_one_write_nothing(source, target, copy):
    """A dry run says what a run would do, before and after one; the source is only read."""
    fill(source)
    before = records(source), records(target)
    dry = copy(dry_run=True)
    assert before == (records(source), records(target))

    assert dry == copy()

    before = records(source), records(target)
    again = copy(dry_run=True)
    assert again == copy()
    assert before == (records(source), records(target))
    # One was deleted, and the provider has not been told yet.
    ended = again.pop("gone")
    assert ("skipped", True) == (ended[0], "sweep the source" in ended[1])
    assert {("already there", None)} == set(again.values())


@pytest.mark.parametrize("since", ["the same login", "another login there"])
def test_deleted_after_a_copy(source, target, copy, since):
    """Who logged out in the source, with the provider away, is not logged in in the target."""
    there = source.save_token(login("ana"))
    copy()
    if since != "the same login":
        target.save_token(login("ana", access_token="new", refresh_token="new"))
    source.swap(revoked(source.reread(there.id)))
    source.delete_token(there.id)

    assert copy(dry_run=True) == (done := copy())
    [kept] = target.get_tokens()

    if since == "the same login":
        assert done["ana"] == ("update", "deleted in the source")
        assert (kept.status, kept.renewal.to_revoke != ()) == (Status.REVOKED, True)
    else:
        assert done["ana"][0] == "skipped"
        assert kept.status is Status.OK
    assert copy()["ana"][0] == "skipped"


def test_several_rows_of_one_user(source, target):
    """One for each client and place, and one whose place is not known: none stands for another."""
    places = ("https://www.zohoapis.eu", "https://sandbox.zohoapis.eu", None)
    for number, place in enumerate((*places, places[0])):
        other = {"api_domain": place, "client_id": "c" if number == len(places) else "1000.CLIENT"}
        source.save_token(login(refresh_token=f"refresh {number}", **other))

    for done in ("new", "already there"):
        assert [done] * 4 == [step.action.value for step in copied(source, target)]

    assert pairs(source) == pairs(target)


def test_ids_in_use_lead_to_the_users_own_row(source, target, copy):
    """Where the target has a row of the same user, that one stays, and the old id leads there."""
    mine, theirs = target.save_token(OWN), source.save_token(login())

    ((action, reason),) = copy().values()

    assert ("skipped", True) == (action, "another login" in reason)
    assert mine == target.find_token_by_id(theirs.id).but(last_used_at=mine.last_used_at)
    assert "update" == copy(replace=True)["ana"][0]
    assert [(mine.id, "refresh ana")] == pairs(target)
    assert ("already there", None) == copy(replace=True)["ana"]


def test_ids_that_callers_brought(source, target, copy):
    """They lead to the same row, also by way of a former row; one that is taken is told."""
    first = source.save_token(login("x", user=None, id="customer-42"))
    row = source.save_token(login())
    source.save_token(login("x", user="ana", id=first.id))
    source.add_id("2", row)
    ben = target.save_token(login("ben", id="2"))

    done = copy()

    assert {"ana": ("new", None), "2": ("skipped", done["2"][1])} == done
    assert ben.id in done["2"][1]
    ids = ("customer-42", first.id, row.id)
    assert {row.id} == {target.find_token_by_id(each).id for each in ids}
    assert ben == target.find_token_by_id("2")


def test_deleted_in_the_target(source, target, copy):
    """It is new again, but a login that is being revoked there does not come back."""
    row = source.save_token(login())
    copy()
    target.delete_token(row.id)
    assert ("new", None) == copy()["ana"]
    target.swap(revoked(target.reread(row.id)))
    target.delete_token(row.id)

    # With the id that the deleted row has, and with another one.
    for _ in range(2):
        assert ("skipped", True) == (copy()["ana"][0], "was ended here" in copy()["ana"][1])
        assert [] == target.get_tokens()
        source.delete_token(row.id)
        source.save_token(login())


# One login, with a name in the one store and without in the other


@pytest.mark.parametrize(
    ("mine", "theirs", "ends"),
    [
        *product([NAMED], [NAMELESS], [None, "source", "target"]),
        *product([NAMELESS], [NAMED, NAMELESS], [None, "source", "target"]),
        *product([NAMED], [login(user="ben")], [None, "source", "target"]),
    ],
)
def test_it_is_in_one_row(source, target, mine, theirs, ends):
    """Its ids lead there, or it is told which row is in the way; revoked on either side it is."""
    rows = {"source": source.save_token(mine), "target": target.save_token(theirs)}
    if ends:
        {"source": source, "target": target}[ends].swap(revoked(rows[ends]))
    before = records(target)
    copied(source, target, dry_run=True)
    assert before == records(target)

    (step,) = copied(source, target)

    (left,) = target.get_tokens()
    assert (rows["target"].id, theirs.user) == (left.id, left.user)
    is_nameless = theirs.user is None and ends != "source"
    is_wrong = mine.user is not None and (theirs.user == "ben" or is_nameless)
    assert is_wrong == (f"in token {left.id}" in (step.reason or ""))
    assert is_wrong == (step.action.value == "skipped")
    if not is_wrong:
        assert left.id == target.find_token_by_id(rows["source"].id).id
    if ends == "target" or (ends and not is_wrong):
        assert (Status.REVOKED, TO_REVOKE) == (left.status, left.renewal.to_revoke)
        with pytest.raises(TokenRevoked):
            Keeper(target).get(id=left.id)


# Others at the same time, and troubles


def test_a_page_is_one_trip(source, target, monkeypatch):
    """Fifty rows are looked for at once; what meets nothing is written at once."""
    for number in range(120):
        source.save_token(login(f"u{number}"))
    target.save_token(login("x"))  # there is a store
    trips = Counter()
    for name in ("read", "find", "insert", "write"):

        def counted(*args, name=name, **options):
            trips[name] += 1
            return getattr(type(target.backend), name)(target.backend, *args, **options)

        monkeypatch.setattr(target.backend, name, counted)

    for action, expected in (("new", {"find": 3, "insert": 3}), ("already there", {"find": 3})):
        trips.clear()
        assert {action} == {step.action.value for step in copied(source, target)}
        assert expected == trips


def test_a_row_of_the_target_that_was_changed_outside(source, target, copy):
    """It does not open: what would meet it fails, the others arrive; so does what is not known."""
    for name in "abc":
        source.save_token(login(name))
    source.swap(source.save_token(login("d")).but(provider="not here"))
    like_b = target.backend.read(target.save_token(login("b")).id.removeprefix("tk_"))
    target.backend.delete(like_b.id)
    target.backend.write(replace(like_b, sealed=b"x", version="0" * 32), replaces=None)

    done = copy()

    assert ["new", "failed", "new", "failed"] == [done[name][0] for name in "abcd"]
    assert "'not here'" in done["d"][1]


def test_a_login_on_its_way_arrives(source, target, copy):
    """A process that ended while a login went from one row to another holds nothing up."""
    user = source.save_token(login())
    first = source.save_token(login("x", user=None))
    write = source.backend.write

    def once(record, *, replaces):
        write(record, replaces=replaces)
        raise KeyboardInterrupt

    source.backend.write = once
    with pytest.raises(KeyboardInterrupt):
        source.save_token(login("x", user="ana", id=first.id))
    source.backend.write = write

    copy()

    assert [(user.id, "refresh x")] == pairs(target)
    assert user.id == target.find_token_by_id(first.id).id


def test_a_renewal_in_flight(source, target):
    """The row is copied as it is, without the claim; the next run brings what came of it."""
    rows, _ = fill(source)

    copied(source, target)
    source.swap(renewed(rows["busy"], NOW + 10**9).with_renewal(claim=None))

    (busy,) = target.iter_tokens(user="busy")
    assert busy.renewal.claim is None
    done = {step.row.token.user: step.action.value for step in copied(source, target)}
    assert "update" == done["busy"]


def test_unsaved_answers_are_waited_for(source, target, copy):
    """While an answer waits in the source's journal, its row is out of date: nothing is copied."""
    row = source.save_token(login())
    kept = source.journal.put(unsaved(row))

    with pytest.raises(StoreError, match=r"the provider wait .* \(1\).*sweep") as caught:
        copy()
    assert "secret" not in str(caught.value)
    assert [] == target.get_tokens()

    source.journal.remove(kept)
    for number in range(60):  # more than are read at once
        source.save_token(login(f"u{number}"))
    steps = Merge(StoreSource(source), target).steps()
    next(steps)
    source.journal.put(unsaved(row))
    with pytest.raises(StoreError, match="sweep"):
        list(steps)


def test_a_row_that_the_target_does_not_take_holds_no_other_up(source, target, copy, monkeypatch):
    """One too large is told by its id, each time; the others arrive, and are there the next."""
    ids = {name: source.save_token(login(name)).id for name in "abc"}
    write = target.backend.write

    def limited(record, *, replaces):
        if record.id == ids["b"].removeprefix("tk_"):
            raise StoreError("This token takes 70000 bytes", token_id=ids["b"], hint="Smaller!")
        write(record, replaces=replaces)

    monkeypatch.setattr(target.backend, "write", limited)
    monkeypatch.setattr(target.backend, "insert", partial(Backend.insert, target.backend))
    failed = ("failed", f"This token takes 70000 bytes (token {ids['b']})")

    for action in ("new", "already there"):
        assert {"a": (action, None), "b": failed, "c": (action, None)} == copy()


@pytest.mark.parametrize("error", [StoreUnavailable, StoreForeign, StoreTooNew])
def test_what_is_not_of_one_row_ends_it(source, target, copy, monkeypatch, error):
    """A store that can't be reached, or is not ours, is no failure of each row."""
    source.save_token(login())

    def fail(record, *, replaces):
        raise error(f"not {record.id} of {replaces}")

    monkeypatch.setattr(target.backend, "write", fail)
    with pytest.raises(error):
        copy()


def test_the_same_store_twice(source, open_store, tmp_path):
    """A store is not copied onto itself, whatever it is called; a copy of its file may be."""
    source.save_token(login())
    source.close()
    shutil.copy(tmp_path / "0.store", tmp_path / "backup")
    with pytest.raises(ConfigurationError, match="Both stores"):
        Merge(StoreSource(source), open_store(f"sqlite:///{tmp_path}/./0.store"))

    backup = open_store(f"sqlite:///{tmp_path}/backup")
    assert ["already there"] == [step.action for step in copied(backup, source)]
    # Two in memory are called alike, and hold different tokens.
    one, other = open_store("memory:"), open_store("memory:")
    one.save_token(login())
    assert ["new"] == [step.action for step in copied(one, other)]


@pytest.mark.slow
def test_memory_does_not_grow(open_store):
    """Invariant 13: three times the tokens take no more memory, the first time or again."""
    peaks = {}
    for count in (1000, 3000):
        source, target = open_store(), open_store()
        for number in range(count):
            source.save_token(login(f"u{number}", scope=" " * 1500))
        for expected in ("new", "already there"):
            tracemalloc.start()
            done = {step.action.value for step in Merge(StoreSource(source), target).steps()}
            peaks.setdefault(expected, []).append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert {expected} == done

    # Two pages of 500 are held, and 4096 digests; 2000 records more would take 5 MB.
    assert all(after < before + 2_000_000 for before, after in peaks.values())
