"""What an import does with each row of a file, whatever others save meanwhile."""

from __future__ import annotations

from contextlib import closing
from itertools import islice

import pytest
from moved_tokens import ANA

from tokenkeep import Status, StoreConflict, Token
from tokenkeep.moving import Merge, open_source
from tokenkeep.token import new_id

NAMES = ("id", "user_name", "refresh_token", "access_token", "grant_token")
BOB = ANA | {name: f"bob's {name}" for name in NAMES}
OTHER_LOGIN = {"refresh_token": "r2", "access_token": "a2", "grant_token": "g2"}
KEPT = "the target has another login of this user; --replace takes the source's"
LESS = "the target has another login of this user, the source's is older or of no use"
REPLACED = "takes the place of another login of this user"
NEW_ROW, THERE = ("new", None), ("already there", None)

USER = {"user": ANA["user_name"], "client_id": ANA["client_id"], "api_domain": ANA["api_domain"]}
SAME = Token(**USER, refresh_token=ANA["refresh_token"], access_token="spent", expires_at=1.0)
OTHER = Token(**USER, refresh_token="r2", access_token="a2", expires_at=1764009999.0)


def test_a_second_run_has_nothing_to_do(run, store, write_csv):
    """A dry run writes nothing, the first one all; the second one not even a version."""
    nameless = {"user_name": "", "refresh_token": "", "grant_token": "", "access_token": "alone"}
    other = BOB | OTHER_LOGIN | {"user_name": "", "id": "3"}
    path = write_csv(ANA, BOB, other, ANA | nameless | {"id": "4"})

    assert [NEW_ROW] * 4 == run(path, dry_run=True)
    assert [] == store.get_tokens()
    assert [NEW_ROW] * 4 == run(path)
    before = store.get_tokens()
    assert [THERE] * 4 == run(path) == run(path, dry_run=True)
    assert before == store.get_tokens()


OK, REVOKED, DEAD = Status.OK, Status.REVOKED, Status.LOGIN_NEEDED
ALONE = {"refresh_token": "", "grant_token": "", "access_token": "a0"}
LATER_END = {"access_token": "later", "expiry_time": "1764009999000"}
STAYS = "{} in the target, and stays so"
MINE = ("1000.access", "1000.refresh")
NEW_LOGIN = ("a2", "r2")


@pytest.mark.parametrize(
    ("status", "row", "replace", "expected", "left"),
    [
        (OK, OTHER_LOGIN, False, ("skipped", KEPT), MINE),
        (OK, OTHER_LOGIN, True, ("update", REPLACED), NEW_LOGIN),
        (OK, ALONE, True, ("skipped", LESS), MINE),
        (DEAD, LATER_END, False, ("already there", STAYS.format("login_needed")), MINE),
        (DEAD, OTHER_LOGIN, False, ("skipped", KEPT), MINE),
        (REVOKED, LATER_END, False, ("already there", STAYS.format("revoked")), None),
        (REVOKED, OTHER_LOGIN, False, ("skipped", KEPT.replace("another", "a revoked")), None),
        (REVOKED, OTHER_LOGIN, True, ("update", REPLACED), NEW_LOGIN),
        (REVOKED, ALONE, True, ("skipped", LESS), None),
    ],
)
def test_a_user_who_is_there(*, run, store, write_csv, status, row, replace, expected, left):
    """What is stored stays, the dead stay dead; but for --replace."""
    run(write_csv(ANA))
    (before,) = store.get_tokens()
    store.save_token(before.but(status=status))

    assert [expected] == run(write_csv(ANA | row), replace=replace)

    (after,) = store.get_tokens()
    assert (before.id, left or (None, "1000.refresh")) == (after.id, after.pair)
    assert (OK if left == NEW_LOGIN else status) is after.status
    if left == NEW_LOGIN:
        assert [("skipped", LESS)] == run(write_csv(ANA), replace=True)
        assert after.renewal.given
        is_kept = (("refresh_token", "1000.refresh"),) == after.renewal.replaced
        assert is_kept == (status is not REVOKED)
        # Invariant 15: it comes back for no other environment either.
        sandbox = write_csv(ANA | {"api_domain": "https://sandbox.zohoapis.eu"})
        assert "skipped" == run(sandbox)[0][0]


def test_the_last_row_of_a_user_with_a_refresh_token_counts(run, store, write_csv):
    """The others are left out and name it, in a second run too."""
    path = write_csv(
        ANA,
        BOB,
        ANA | OTHER_LOGIN,
        ANA | {"refresh_token": "", "grant_token": "", "access_token": "a3"},
        BOB | {"user_name": ""},  # Bob's, as it turns out
    )

    left_out = ("skipped", "row 4 is for the same, and counts")
    assert [left_out, NEW_ROW, NEW_ROW, left_out, THERE] == run(path)
    assert [left_out, THERE, THERE, left_out, THERE] == run(path)
    assert "r2" == store.find_token(Token(user=ANA["user_name"])).refresh_token
    assert 2 == len(store.get_tokens())


@pytest.mark.parametrize("last", [OTHER_LOGIN, {}])
@pytest.mark.parametrize("done", range(4))
def test_an_import_that_was_interrupted(*, run, store, write_csv, monkeypatch, last, done):
    """The second run brings what the first one would have; also the login of an earlier row."""
    monkeypatch.setattr("tokenkeep.moving.merging._PAGE", 1)
    between = {"refresh_token": "between", "id": "2"}
    path = write_csv(ANA, ANA | between, BOB, ANA | last | {"id": "4"})
    with closing(Merge(open_source(path), store).steps()) as steps:
        list(islice(steps, done))

    run(path)

    ana = store.find_token(Token(user=ANA["user_name"]))
    assert (ANA | last)["refresh_token"] == ana.refresh_token


def test_programs_go_on_with_their_ids(run, store, write_csv):
    """An id leads to its token, new or known; one that is taken is told, and goes on as it did."""
    ours = new_id()  # it looks like one of the store's, and is not the token's own
    run(write_csv(ANA | {"id": ours}))
    run(write_csv(ANA | {"id": "2"}))
    run(write_csv(ANA | OTHER_LOGIN | {"id": "3"}))
    (token,) = store.get_tokens()

    taken = f"its id leads to token {token.id} already"
    assert [("new", taken)] == run(write_csv(BOB | {"id": "2"}))

    assert {token.id} == {store.find_token_by_id(own).id for own in (ours, "2", "3")}
    assert token.id not in (ours, store.find_token(Token(user=BOB["user_name"])).id)


# Others at the same time


def saving(login):
    return lambda store: store.save_token(login)


def revoking(login):
    dead = {"status": REVOKED, "access_token": None}
    return lambda store: store.swap(store.save_token(login).but(**dead))


def deleting(store):
    store.delete_token(store.get_tokens()[0].id)


@pytest.mark.parametrize(
    ("before", "do", "replace", "expected", "left"),
    [
        (None, saving(OTHER), False, ("skipped", KEPT), "r2"),
        (OTHER, saving(OTHER.but(refresh_token="r3")), True, ("update", REPLACED), "1000.refresh"),
        (None, revoking(SAME), False, ("already there", STAYS.format("revoked")), "1000.refresh"),
        (OTHER, deleting, True, NEW_ROW, "1000.refresh"),
    ],
    ids=["a login of a new user", "another login than is to be replaced", "revoked", "deleted"],
)
def test_what_others_do_meanwhile(
    *, store, write_csv, monkeypatch, before, do, replace, expected, left
):
    """A row is written over what it was judged by, or judged anew."""
    if before is not None:
        store.save_token(before)
    look, todo = store.look_each, [do]

    def look_then_do(tokens):
        found = look(tokens)
        while todo:
            todo.pop()(store)
        return found

    monkeypatch.setattr(store, "look_each", look_then_do)

    (step,) = Merge(open_source(write_csv(ANA)), store, replace=replace).steps()

    assert expected == (step.action.value, step.reason)
    token = store.find_token(Token(user=USER["user"]))
    assert left == token.refresh_token
    assert token == store.find_token_by_id(ANA["id"])


def test_others_who_never_stop(store, run, write_csv, monkeypatch):
    """It is told, instead of going on for ever."""
    run(write_csv(ANA))

    def overtaken(record, *, replaces):
        raise StoreConflict(f"overtaken {record.id} {replaces}")

    monkeypatch.setattr(store.backend, "write", overtaken)
    ((action, reason),) = run(write_csv(ANA | OTHER_LOGIN), replace=True)

    assert ("skipped", True) == (action, "overtaken" in reason)
