"""The end of a login: it ends at the provider, whatever was deleted, replaced or unreachable."""

from __future__ import annotations

import threading

import pytest
from login_stage import refused

from tokenkeep import Token


@pytest.fixture
def ana(stage):
    """A user who is logged in."""
    return stage.open().save_token(stage.login(stage.ana))


def test_nothing_deleted_is_found(stage, ana):
    """
    What waits for the provider is no token: it is not found, listed, renewed or saved over.

    As every /logout does it: the login lived on for good, and nobody said so.
    """
    keeper = stage.keeper()
    with stage.provider_down():
        keeper.revoke(ana.id)
        left = keeper.delete(ana.id).renewal.to_revoke

    assert (("refresh_token", ana.refresh_token),) == left
    assert keeper.delete(ana.id) is None
    store = stage.open()
    assert store.find_token_by_id(ana.id) is None
    assert store.find_token(Token(user=stage.ana)) is None
    assert (
        store.find_token(Token(refresh_token=ana.refresh_token, client_id=ana.client_id)) is None
    )
    again = store.save_token(stage.login(stage.ana))
    swept = stage.keeper().sweep()
    assert (1, 0) == (swept.revoked, swept.unconfirmed)
    assert 0 == stage.keeper().sweep().revoked
    assert [again.id] == [row.id for row in stage.living()]
    assert [False, True] == [stage.is_alive(ana), stage.is_alive(again)]


@pytest.mark.parametrize("user", ["the same", "another", None])
def test_what_was_ended_is_saved_again(stage, ana, user):
    """While the provider is still to be told, it is no new login under any name."""
    keeper = stage.keeper()
    with stage.provider_down():
        keeper.revoke(ana.id)
        keeper.delete(ana.id)
    copy = ana.but(
        id=None, version=None, user={"the same": ana.user, "another": stage.bo}.get(user)
    )

    with refused("StaleToken"):
        stage.open().save_token(copy)

    keeper.sweep()
    assert set() == stage.alive()
    assert [] == stage.open().get_tokens()


def test_a_provider_that_is_mute_is_asked_once_a_sweep(stage):
    """Each revocation waited for it as long: a thousand of them held a sweep up for hours."""
    keeper = stage.keeper()
    with stage.provider_down():
        for environment in ("production", "sandbox"):
            for _ in range(2):
                login = stage.login(stage.ana, environment=environment, got_here=True)
                row = keeper.store.save_token(login)
            keeper.revoke(row.id)
        asked = stage.zoho.counters.calls("revoke")

        assert 2 == keeper.sweep().unconfirmed

        assert 1 == stage.zoho.counters.calls("revoke") - asked
    assert 2 == keeper.sweep().revoked
    assert set() == stage.alive()


@pytest.mark.parametrize("how", ["by itself", "python", "configuration"])
@pytest.mark.parametrize("replaced", ["keep", "revoke"])
@pytest.mark.parametrize("got_here", [True, False], ids=["got here", "given"])
def test_what_a_login_replaces(make_stage, replaced, got_here, how):
    """
    What was got here is revoked, what was given may be in use elsewhere: it ends with its user's.

    One setting decides otherwise for both, in Python and in the configuration.
    """
    line = f'replaced = "{replaced}"' if how == "configuration" else ""
    stage = make_stage(settings=line)
    store = stage.open(**({"replaced": replaced} if how == "python" else {}))
    old = store.save_token(stage.login(stage.ana, got_here=got_here))
    new = store.save_token(stage.login(stage.ana, got_here=got_here))

    stage.keeper().sweep()
    is_kept = not got_here if how == "by itself" else replaced == "keep"
    assert [is_kept, True] == [stage.is_alive(old), stage.is_alive(new)]

    stage.end_everything()
    assert set() == stage.alive()


@pytest.mark.parametrize("got_here", [True, False], ids=["got here", "given"])
def test_where_one_revocation_ends_the_whole_consent(make_stage, got_here):
    """Nothing of an older login is revoked while the user's newer one lives; all of it after."""
    stage = make_stage(revokes_grant=True)
    keeper = stage.keeper()
    for _ in range(3):
        row = keeper.store.save_token(stage.login(stage.ana, got_here=got_here))
    keeper.sweep()
    assert 0 == stage.revocations

    keeper.revoke(row.id)

    assert set() == stage.alive()


@pytest.mark.parametrize("deletes", [True, False], ids=["deleted", "revoked"])
def test_an_unconfirmed_one_there(make_stage, deletes):
    """It waits in the user's new row, and is revoked with it."""
    stage = make_stage(revokes_grant=True)
    keeper = stage.keeper()
    old = keeper.store.save_token(stage.login(stage.ana))
    with stage.provider_down():
        keeper.revoke(old.id)
        if deletes:
            keeper.delete(old.id)
    asked = stage.revocations
    new = keeper.store.save_token(stage.login(stage.ana))
    keeper.sweep()
    assert asked == stage.revocations
    assert {stage.is_alive(old), stage.is_alive(new)} == {True}

    keeper.revoke(new.id)

    assert set() == stage.alive()


def test_login_while_it_ends(stage, ana):
    """A login that comes while the provider is asked stays, and works."""
    held = stage.zoho.faults.add(endpoint="revoke", kind="slow", delay=60.0)
    ending = threading.Thread(target=stage.keeper().end, args=(ana.id,))
    ending.start()
    assert held.wait(30)
    again = stage.open().save_token(stage.login(stage.ana))
    stage.zoho.faults.clear()
    ending.join()

    stage.keeper().sweep()

    assert stage.works(stage.keeper().get(user=stage.ana))
    assert [False, True] == [stage.is_alive(ana), stage.is_alive(again)]


def test_logout_while_the_provider_is_down(stage, ana, run):
    """It says what is still to be done, and the sweep that it names does it."""
    with stage.provider_down():
        done = run("logout", "--user", ana.user)

    assert 0 == done.exit_code, done.output
    assert "sweep" in done.output
    assert [] == stage.open().get_tokens()
    with refused("TokenNotFound"):
        stage.keeper().get(id=ana.id)
    assert "revoked: 1" in run("sweep").stdout
    assert set() == stage.alive()


def test_a_provider_that_is_not_configured_any_more(stage, ana):
    """What it has to revoke is told, and holds up nobody else's."""
    keeper = stage.keeper()
    with stage.provider_down():
        keeper.revoke(ana.id)
        bo = keeper.store.save_token(stage.login(stage.bo, at="eu"))
        for row in (ana, bo):
            keeper.revoke(row.id)
            keeper.delete(row.id)
    [gone] = [each for each in keeper.store.due(stage.clock.now()) if each.id == ana.id]
    keeper.store.swap(gone.but(provider="gone"))

    with refused("UnknownName"):
        stage.keeper().sweep()

    assert stage.is_alive(ana)
    assert not stage.is_alive(bo)


def test_an_id_of_what_is_to_be_revoked(stage, ana):
    """It leads to nothing else: the revocation would be forgotten."""
    keeper = stage.keeper()
    bo = keeper.store.save_token(stage.login(stage.bo, at="eu"))
    with stage.provider_down():
        keeper.revoke(ana.id)
        keeper.delete(ana.id)

    with refused("StoreConflict"):
        stage.open().add_id(ana.id, bo)

    stage.keeper().sweep()
    assert not stage.is_alive(ana)
