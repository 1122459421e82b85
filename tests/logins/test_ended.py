"""The end of a login: it ends at the provider, whatever was deleted, replaced or unreachable."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from interference import Crash, after_write, crash
from login_stage import refused
from reported import reported

from tokenkeep import KeyMissing, StoreUnavailable, Token
from tokenkeep.backends.sqlite import SQLiteBackend


@pytest.fixture
def ana(stage):
    """A user who is logged in."""
    return stage.open().save_token(stage.login(stage.ana))


def test_nothing_deleted_is_found(stage, ana):
    """
    What waits for the provider is no token: not found, listed, renewed, saved over or led to.

    As every /logout does it: the login lived on for good, and nobody said so.
    """
    keeper = stage.keeper()
    bo = keeper.store.save_token(stage.login(stage.bo, at="eu"))
    with stage.provider_down():
        keeper.revoke(ana.id)
        left = keeper.delete(ana.id).renewal.to_revoke

    assert (("refresh_token", ana.refresh_token),) == left
    assert keeper.delete(ana.id) is None
    store = stage.open()
    assert store.find_token_by_id(ana.id) is None
    assert store.find_token(Token(user=stage.ana)) is None
    credential = Token(refresh_token=ana.refresh_token, client_id=ana.client_id)
    assert store.find_token(credential) is None
    with refused("StoreConflict"):
        store.add_id(ana.id, bo)
    for user in (ana.user, stage.bo, None):  # it is no new login under any name
        with refused("StaleToken"):
            store.save_token(ana.but(id=None, version=None, user=user))
    again = store.save_token(stage.login(stage.ana))
    swept = stage.keeper().sweep()
    assert (1, 0) == (swept.revoked, swept.unconfirmed)
    assert 0 == stage.keeper().sweep().revoked
    assert {again.id, bo.id} == {row.id for row in stage.living()}
    assert [False, True] == [stage.is_alive(ana), stage.is_alive(again)]


def test_a_provider_that_is_mute_is_asked_once_a_sweep(stage):
    """Each revocation waited for it as long: a thousand of them held a sweep up for hours."""
    keeper = stage.keeper()
    with stage.provider_down():
        for environment in ("production", "sandbox"):
            for _ in range(2):
                login = stage.login(stage.ana, environment=environment, got_here=True)
                row = keeper.store.save_token(login)
            keeper.revoke(row.id)
        asked = stage.revocations

        assert 2 == keeper.sweep().unconfirmed

        assert 1 == stage.revocations - asked
    assert 2 == keeper.sweep().revoked
    assert set() == stage.alive()


def with_ended(stage):
    """Return a keeper of a store with three logins that ended here, still to be revoked; them."""
    keeper = stage.keeper()
    rows = [keeper.store.save_token(stage.login(f"{number}")) for number in range(3)]
    with stage.provider_down():
        for row in rows:
            keeper.end(row.id)
    return keeper, rows


def test_a_store_that_can_not_be_written(stage, monkeypatch):
    """It ends a sweep: each revocation would be asked for, and wait for it as long."""
    ended, _ = with_ended(stage)

    full = Mock(side_effect=StoreUnavailable("no space left"))
    monkeypatch.setattr(SQLiteBackend, "delete", full)
    asked = stage.revocations

    with pytest.raises(StoreUnavailable):
        ended.sweep()

    assert 1 == stage.revocations - asked


def test_a_deletion_beside_a_login_on_its_way(stage):
    """An older login that was on its way to a row is not let back in once that was deleted."""
    store = stage.open()
    old = store.save_token(stage.login())
    row = store.save_token(stage.login(stage.ana))
    for deed in (
        lambda: store.save_token(old.but(user=stage.ana)),
        lambda: store.delete_token(row.id),
    ):
        after_write(store, 1, crash)
        with pytest.raises(Crash):
            deed()

    with refused("StaleToken"):
        stage.open().save_token(old.but(id=None, version=None, user=stage.ana))


@pytest.mark.parametrize("has_newer", [True, False])
def test_no_secret_in_a_crash_report(make_stage, monkeypatch, has_newer):
    """Whatever a write raises, the frames it goes through show no refresh token."""
    stage = make_stage(revokes_grant=has_newer)
    ended, rows = with_ended(stage)
    for number in range(3 * has_newer):
        ended.store.save_token(stage.login(f"{number}"))

    for name in ("delete", "write"):
        gone = Mock(side_effect=KeyMissing("the key was taken away"))
        monkeypatch.setattr(SQLiteBackend, name, gone)
    with pytest.raises(KeyMissing) as caught:
        ended.sweep()

    text = reported(caught.value)
    assert "Revocations." in text
    assert not [each for each in rows if each.refresh_token in text]


@pytest.mark.parametrize("got_here", [True, False], ids=["got here", "given"])
@pytest.mark.parametrize("before", [None, "revoked", "deleted"])
def test_where_one_revocation_ends_the_whole_consent(make_stage, got_here, before):
    """
    Nothing of an older login is revoked while the user's newer one lives; all of it after.

    An unconfirmed revocation waits in the user's new row, and is made with it.
    """
    stage = make_stage(revokes_grant=True)
    keeper = stage.keeper()
    for _ in range(2):
        old = keeper.store.save_token(stage.login(stage.ana, got_here=got_here))
    with stage.provider_down():
        if before is not None:
            keeper.revoke(old.id)
        if before == "deleted":
            keeper.delete(old.id)
    asked = stage.revocations
    new = keeper.store.save_token(stage.login(stage.ana, got_here=got_here))
    keeper.sweep()
    assert asked == stage.revocations
    assert {stage.is_alive(old), stage.is_alive(new)} == {True}

    keeper.revoke(new.id)

    assert set() == stage.alive()


@pytest.mark.parametrize("how", ["sweep", "doctor"])
def test_what_is_due_is_read(stage, environment, run, how):
    """Every row was read, by the sweep and by the doctor: 24 s for a million of them."""
    keeper = stage.keeper()
    for number in range(100):
        keeper.store.save_token(Token(user=f"{number}:1", client_id="c", access_token=f"{number}"))
    with stage.provider_down():
        keeper.revoke(keeper.store.save_token(stage.login(stage.ana)).id)
    read = []
    for name in ("scan", "due", "find"):
        method = getattr(SQLiteBackend, name)

        def counted(*args, method=method, **given):
            found = method(*args, **given)
            read.extend(found)
            return found

        environment.setattr(SQLiteBackend, name, counted)

    if how == "sweep":
        assert 1 == stage.keeper().sweep().revoked
    else:
        assert "not confirmed 1" in run("doctor").output

    assert len(read) < 10
