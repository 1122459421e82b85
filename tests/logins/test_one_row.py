"""One login is in one row, however it was saved, whoever came between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from itertools import count

import pytest
from interference import Crash, after_write, before_write, crash
from login_stage import refused

from tokenkeep import DuplicateRefreshToken, StoreError

OTHERWISE = {
    "another spelling of the user": lambda stage: {"user": stage.ana.upper()},
    "another user": lambda stage: {"user": stage.bo},
    "another environment": lambda stage: {"api_domain": stage.zoho.us.sandbox_url},
    "another data centre": lambda stage: {"api_domain": stage.zoho.eu.api_url},
    "another client": lambda _: {"client_id": "1000.OTHER"},
}


@pytest.fixture(params=["stays", "rotates", "rotates, ids of owners"])
def scenes(request, make_stage):
    """Stages with one store each, on which a login was saved before it was known whose it is."""

    def _scenes(*, has_row):
        for number in count(1):
            made = make_stage(
                store=f"{number}.db",
                rotates="rotates" in request.param,
                ids_of_owners="ids" in request.param,
            )
            if has_row:
                made.open().save_token(made.login(made.ana))
            login = made.login()
            made.row = made.open().save_token(login)
            made.named = login.but(user=made.ana)
            yield number, made

    return _scenes


def newer_login(stage):
    stage.newer = stage.open().save_token(stage.login(stage.ana))


def revoked(stage):
    for row in stage.open().get_tokens():
        if row.user:
            stage.keeper().revoke(row.id)


def deleted(stage):
    for row in stage.open().get_tokens():
        if row.user:
            # A living login is forgotten on purpose, with those that were kept for its end.
            kept = [value for _, value in getattr(row.renewal, "replaced", ())]
            stage.deleted = {stage.zoho.id_of(each) for each in (row.refresh_token, *kept)}
            stage.keeper().delete(row.id)


HAPPENS = {
    "renewal": lambda stage: stage.keeper().renew(stage.row.id),
    "the same save": lambda stage: stage.open().save_token(stage.named),
    "sweep": lambda stage: stage.keeper().sweep(),
    "newer login": newer_login,
    "revoked by its old id": lambda stage: stage.keeper().revoke(stage.row.id),
    "revoked": revoked,
    "deleted": deleted,
}


@pytest.mark.parametrize("has_row", [False, True], ids=["new user", "user who has a row"])
@pytest.mark.parametrize("happens", HAPPENS)
def test_somebody_comes_between(scenes, has_row, happens):
    """Before whichever write of the move: the login stays in one place, and can be ended."""
    for number, stage in scenes(has_row=has_row):
        stage.newer, stage.deleted = None, set()
        store = stage.open()
        written = before_write(store, number, partial(HAPPENS[happens], stage))
        with suppress(StoreError):  # refused is right, too; half done is not
            store.save_token(stage.named)
        if written() < number:  # nobody came
            [row] = stage.living()
            assert (stage.ana, stage.named.refresh_token) == (row.user, row.refresh_token)
            assert row.id == stage.open().find_token_by_id(stage.row.id).id
            break
        keeper = stage.keeper()
        keeper.sweep()

        logins = stage.logins()
        assert len(logins) == len(set(logins))
        for row in stage.living():
            assert stage.works(keeper.renew(row.id))
        if happens != "renewal":  # after one, what is saved is older
            assert len(logins) <= 1
        if stage.newer and has_row and number > 1:  # than the first write of the move
            assert [stage.zoho.id_of(stage.newer.refresh_token)] == logins
        if happens == "revoked by its old id":
            assert stage.zoho.id_of(stage.named.refresh_token) not in {*logins, *stage.alive()}
        assert stage.end_everything() <= stage.deleted
    assert number > 1


@pytest.mark.parametrize("how", list(OTHERWISE))
def test_two_names_at_once(stage, how):
    """Of two that save one refresh token under two names at the same time, one is refused."""
    login = stage.login(stage.ana)
    other, one = stage.open(), stage.open()
    before_write(one, 1, lambda: other.save_token(login))

    with refused("DuplicateRefreshToken"):
        one.save_token(login.but(**OTHERWISE[how](stage)))

    assert [login.user] == [row.user for row in stage.open().get_tokens()]


def test_two_names_in_step(stage):
    """Both look, both write, both look again: at most one is kept, and who is refused knows it."""
    login = stage.login(stage.ana)
    both = [login, login.but(user=stage.bo)]
    before, after = threading.Barrier(2), threading.Barrier(2)

    def save(token):
        store = stage.open()
        before_write(store, 1, before.wait)
        after_write(store, 1, after.wait)
        try:
            return store.save_token(token)
        except DuplicateRefreshToken:
            return None

    with ThreadPoolExecutor(2) as pool:
        saved = [each for each in pool.map(save, both) if each is not None]

    stage.pass_time(120.0)
    stage.keeper().sweep()
    assert [each.id for each in saved] == [row.id for row in stage.living()]
    assert len(saved) <= 1


def save_at_once(stage, one, other, *, dies=True):
    """Save one, and another right before its write; who saves the first may die right after it."""
    store = stage.open()
    before_write(store, 1, lambda: stage.open().save_token(other))
    if dies:
        after_write(store, 1, crash)
    with pytest.raises(Crash) if dies else nullcontext():
        store.save_token(one)


@pytest.mark.parametrize("dies", ["", "and one dies", "and one dies, the other is renewed"])
@pytest.mark.parametrize("without", ["grant_token", "user"])
@pytest.mark.parametrize("turn", [1, -1], ids=["it comes first", "it comes last"])
def test_twice_at_once(either, without, turn, dies):
    """
    One knows the code it came from, or its user, and the other does not: it is one login.

    Neither sees the other before its write: one row is left, and it is the user's.
    """
    login = either.login(got_here=True, user=None if without == "grant_token" else either.ana)
    save_at_once(either, *[login.but(**{without: None}), login][::turn], dies=bool(dies))
    if "renewed" in dies:  # so early that nobody looks for others yet
        [lacking] = [row for row in either.living() if getattr(row, without) is None]
        either.keeper().renew(lacking.id)
    if dies:
        either.pass_time(120.0)
        either.renew_all()

    [row] = either.living()
    assert login.user == row.user
    assert either.works(either.keeper().renew(row.id))
    assert set() == either.end_everything()


def test_where_it_is_valid_becomes_known(either):
    """Saved without a place, which the provider's next answer tells: the row is the same."""
    keeper = either.keeper()
    login = either.login(either.ana)
    saved = keeper.store.save_token(login.but(api_domain=None))

    keeper.renew(saved.id)

    [row] = either.living()
    assert (saved.id, "us", "production") == (row.id, row.data_center, row.environment)
    again = either.open().save_token(either.login(either.ana))
    assert [saved.id] == [again.id] == [row.id for row in either.living()]


@pytest.mark.parametrize("is_revoked", [False, True], ids=["", "revoked"])
def test_two_places_turn_out_to_be_one(either, is_revoked):
    """An older login saved without its place neither gets nor takes that of another row."""
    keeper = either.keeper()
    older = keeper.store.save_token(either.login(either.ana, api_domain=None))
    newer = keeper.store.save_token(either.login(either.ana))
    with refused("StoreConflict"):
        keeper.store.save_token(older.but(api_domain=newer.api_domain))
    if is_revoked:
        keeper.revoke(newer.id)
    renewed = keeper.renew(older.id)
    keeper.sweep()

    assert (older.id, None) == (renewed.id, renewed.environment)
    assert is_revoked is (newer.id not in [row.id for row in either.living()])
    assert all(either.works(row) for row in either.living())
    if is_revoked:
        with refused("TokenRevoked"):
            either.keeper().get(id=newer.id)
    assert set() == either.end_everything()


@pytest.mark.parametrize("renewed", [0, 1])
@pytest.mark.parametrize("turn", [1, -1], ids=["with the user first", "without first"])
def test_one_dies_and_a_row_is_renewed(rotating, turn, renewed):
    """The answer parts the two rows of one login: still one is left, and it is alive."""
    login = rotating.login()
    save_at_once(rotating, *[login.but(user=rotating.ana), login][::turn])
    rotating.pass_time(120.0)
    keeper = rotating.keeper()

    keeper.renew(rotating.living()[renewed].id)

    [row] = rotating.living()
    assert rotating.ana == row.user
    assert rotating.works(keeper.renew(row.id))


@pytest.mark.parametrize("ids_of_owners", [False, True], ids=["", "ids of owners"])
def test_dies_and_its_users_row_moves_on(make_stage, ids_of_owners):
    """The row that a login was on its way to got another id meanwhile: it goes there."""
    stage = make_stage(ids_of_owners=ids_of_owners)
    place = {"api_domain": None, "issuer": None}
    users = stage.open().save_token(stage.login(stage.ana, **place))
    login = stage.login(**place)
    first = stage.open().save_token(login)
    dying = stage.open()
    after_write(dying, 1, crash)
    with pytest.raises(Crash):
        dying.save_token(login.but(user=stage.ana))

    stage.open().save_token(users.but(api_domain=stage.zoho.us.api_url))

    [row] = stage.living()
    found = stage.open().find_token_by_id(first.id)
    assert (found.id, found.refresh_token) == (row.id, login.refresh_token)
    assert stage.open().find_token_by_id(users.id).id == row.id
    assert ("us", stage.ana) == (found.data_center, found.user)
    assert set() == stage.end_everything()


def test_one_dies_and_both_are_renewed_at_once(stage):
    """Within the minute a renewal leaves the two rows of one login; the next one leaves one."""
    login = stage.login(stage.ana)
    save_at_once(stage, login.but(user=stage.bo), login)
    stage.renew_all()
    assert len(stage.living()) == 2

    stage.pass_time(3600.0)
    stage.renew_all()

    assert [stage.zoho.id_of(login.refresh_token)] == stage.logins()
    assert set() == stage.end_everything()
