"""What an import does with each row of a file, whatever others save meanwhile."""

from __future__ import annotations

import inspect
import tracemalloc

import pytest
from moved_tokens import ANA, MIDDLE, NEW, OLD

from tokenkeep import (
    ConfigurationError,
    Status,
    StoreConflict,
    StoreUnavailable,
    Token,
    UnknownName,
)
from tokenkeep.moving import Merge, open_source
from tokenkeep.token import new_id

NAMES = ("id", "user_name", "refresh_token", "access_token", "grant_token")
BOB = ANA | {name: f"bob's {name}" for name in NAMES}
OTHER_LOGIN = {"refresh_token": "r2", "access_token": "a2", "grant_token": "g2"}
KEPT = "the target has another login of this user; --replace takes the source's"
REPLACED = "takes the place of another login of this user"
HAD = "the target's row had this login before, and has or had a newer one"

USER = {"user": ANA["user_name"], "client_id": ANA["client_id"], "api_domain": ANA["api_domain"]}
SAME = Token(**USER, refresh_token=ANA["refresh_token"], access_token="spent", expires_at=1.0)
OTHER = Token(**USER, refresh_token="r2", access_token="a2", expires_at=1764009999.0)
NEXT = OTHER.but(refresh_token="r3")


@pytest.mark.parametrize("kind", ["write_csv", "write_db"])
def test_a_second_run_has_nothing_to_do(run, store, request, kind):
    """A dry run writes nothing, the first one all; the second one not even a version."""
    nameless = {"user_name": "", "refresh_token": "", "grant_token": "", "access_token": "alone"}
    other = BOB | OTHER_LOGIN | {"user_name": "", "id": "3"}
    path = request.getfixturevalue(kind)(ANA, BOB, other, ANA | nameless | {"id": "4"})

    assert [("new", None)] * 4 == run(path, dry_run=True)
    assert [] == store.get_tokens()
    assert [("new", None)] * 4 == run(path)
    before = store.get_tokens()
    assert [("already there", None)] * 4 == run(path)
    assert before == store.get_tokens()


OK, REVOKED, DEAD = Status.OK, Status.REVOKED, Status.LOGIN_NEEDED
ALONE = {"refresh_token": "", "grant_token": "", "access_token": "a0"}
LATER_END = {"access_token": "later", "expiry_time": "1764009999000"}
NO_LOGIN = ("skipped", "the target has a refresh token, the source has none")
STAYS = "{} in the target, and stays so"
MINE = ("1000.access", "1000.refresh")
NEW_LOGIN = ("a2", "r2")


@pytest.mark.parametrize(
    ("status", "row", "replace", "expected", "left"),
    [
        (OK, OTHER_LOGIN, False, ("skipped", KEPT), MINE),
        (OK, OTHER_LOGIN, True, ("update", REPLACED), NEW_LOGIN),
        (OK, LATER_END, False, ("already there", None), MINE),
        (OK, ALONE, False, NO_LOGIN, MINE),
        (OK, ALONE, True, NO_LOGIN, MINE),
        (DEAD, LATER_END, False, ("already there", STAYS.format("login_needed")), MINE),
        (DEAD, OTHER_LOGIN, False, ("skipped", KEPT), MINE),
        (DEAD, OTHER_LOGIN, True, ("update", REPLACED), NEW_LOGIN),
        (DEAD, ALONE, True, NO_LOGIN, MINE),
        (REVOKED, LATER_END, False, ("already there", STAYS.format("revoked")), None),
        (REVOKED, OTHER_LOGIN, False, ("skipped", KEPT.replace("another", "a revoked")), None),
        (REVOKED, OTHER_LOGIN, True, ("update", REPLACED), NEW_LOGIN),
        (REVOKED, ALONE, True, NO_LOGIN, None),
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
        assert [("skipped", HAD)] == run(write_csv(ANA), replace=True)
        assert after.renewal.given
        is_kept = (("refresh_token", "1000.refresh"),) == after.renewal.replaced
        assert is_kept == (status is not REVOKED)


def test_what_is_missing_is_added(run, store, write_csv):
    """A stored token without a secret or a user gets them, and is still one row."""
    run(write_csv(ANA | {"user_name": "", "client_secret": ""}))

    assert [("update", "adds client_secret, user")] == run(write_csv(ANA))

    (token,) = store.get_tokens()
    assert (ANA["user_name"], 'se"cret') == (token.user, token.client_secret)
    assert [("already there", None)] == run(write_csv(ANA))


def test_what_a_row_had_goes_into_no_other_row(run, store, write_csv):
    """Invariant 15: the user's earlier refresh token comes back for no other environment."""
    run(write_csv(ANA))
    run(write_csv(ANA | OTHER_LOGIN), replace=True)
    before = store.get_tokens()

    assert "skipped" == run(write_csv(ANA | {"api_domain": "https://sandbox.zohoapis.eu"}))[0][0]
    assert before == store.get_tokens()


def test_no_secret_in_a_frame(run, write_csv):
    """Invariant 9: the error that every file of an older generation may end in shows no row."""
    with pytest.raises(ConfigurationError) as caught:
        run(write_csv(ANA | {"api_domain": ""}))

    frames = [repr(each.frame.f_locals) for each in inspect.getinnerframes(caught.tb)]
    assert ANA["refresh_token"] not in "".join(frames[2:])  # without the test's own


def test_the_last_row_of_a_user_with_a_refresh_token_counts(run, store, write_csv):
    """Of rows of one user, or of none, one is taken over, and the others name it."""
    path = write_csv(
        ANA,
        BOB,
        ANA | OTHER_LOGIN,
        ANA | {"refresh_token": "", "grant_token": "", "access_token": "a3"},
        BOB | {"user_name": ""},  # Bob's, as it turns out
        *[BOB | {"user_name": "", "id": "9", "grant_token": "g", "refresh_token": "r"}] * 2,
    )

    again = [("skipped", f"row {number} is the same, and counts") for number in (4, 8)]
    new, there = ("new", None), ("already there", None)
    assert [again[0], new, new, again[0], there, again[1], new] == run(path)

    assert "r2" == store.find_token(Token(user=ANA["user_name"])).refresh_token
    assert 3 == len(store.get_tokens())


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


@pytest.mark.parametrize("header", [MIDDLE, OLD], ids=["nine columns", "six columns"])
def test_older_generations_have_to_be_placed(run, store, write_csv, header):
    """Without an API domain nobody knows where a token is valid: it has to be said."""
    path = write_csv(ANA | {"user_mail": "ana@example.com"}, header=header)

    with pytest.raises(ConfigurationError, match="does not say where"):
        run(path)
    assert [] == store.get_tokens()
    for wrong in ({"data_center": "mars"}, {"data_center": "in", "environment": "mars"}):
        with pytest.raises(UnknownName):
            run(path, **wrong)

    assert [("new", None)] == run(path, data_center="IN", environment="Sandbox")
    (token,) = store.get_tokens()
    assert ("ana@example.com", "1000.CLIENT") == (token.user, token.client_id)
    assert (("1000.access", "1000.refresh"), 1764000000.123) == (token.pair, token.expires_at)
    assert (ANA["client_secret"] if header is MIDDLE else None) == token.client_secret
    assert ("in", "sandbox") == (token.data_center, token.environment)
    assert "https://sandbox.zohoapis.in" == token.api_domain
    assert "https://accounts.zoho.in/oauth/v2/token" == token.issuer


def test_a_damaged_file_is_refused_whole(run, store, write_csv):
    """Damage behind good rows is found before the first one is stored."""
    path = write_csv(ANA)
    path.write_text(path.read_text() + '2,"cut off')

    with pytest.raises(ConfigurationError, match="damaged"):
        run(path)

    assert [] == store.get_tokens()


def test_many_rows_stream(tmp_path, store):
    """Memory does not grow with the number of rows: judging 5,000 takes less than 2 MB."""
    path = tmp_path / "many.csv"
    rows = (f"{n},user {n},c,s,r{n},a{n},,,,https://www.zohoapis.com\n" for n in range(5_000))
    path.write_text("".join([",".join(NEW) + "\n", *rows]))
    merge = Merge(open_source(path), store)
    tracemalloc.start()

    counted = sum(step.action.value == "new" for step in merge.steps(dry_run=True))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 5_000 == counted
    assert peak < 2_000_000


# Others at the same time


def saving(login):
    return lambda store: store.save_token(login)


def revoking(login):
    dead = {"status": Status.REVOKED, "access_token": None}
    return lambda store: store.swap(store.save_token(login).but(**dead))


def deleting(store):
    store.delete_token(store.get_tokens()[0].id)


@pytest.mark.parametrize(
    ("before", "do", "replace", "expected", "left"),
    [
        (None, saving(OTHER), False, ("skipped", KEPT), "r2"),
        (SAME.but(user=None), saving(OTHER), False, ("skipped", KEPT), "r2"),
        (None, saving(OTHER), True, ("update", REPLACED), "1000.refresh"),
        (OTHER, saving(NEXT), True, ("update", REPLACED), "1000.refresh"),
        (None, revoking(SAME), False, ("already there", STAYS.format("revoked")), "1000.refresh"),
        (SAME.but(user=None), deleting, False, ("new", None), "1000.refresh"),
    ],
    ids=[
        "a login of a new user",
        "a login of a user that the row was to get",
        "a login that is to be replaced",
        "another login than the one that is to be replaced",
        "revoked",
        "deleted",
    ],
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
    """It is told after some tries, instead of going on for ever."""
    run(write_csv(ANA))

    def overtaken(record, *, replaces):
        raise StoreConflict("overtaken", token_id=f"{record.id} {replaces}")

    monkeypatch.setattr(store.backend, "write", overtaken)
    with pytest.raises(StoreUnavailable, match="kept writing"):
        run(write_csv(ANA | OTHER_LOGIN), replace=True)
