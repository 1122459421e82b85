"""LATE: another access token was saved beside the refresh token that is spent. Rule `keeprt`."""

from __future__ import annotations

import pytest
from renewal_scenario import USER

from tokenkeep import LoginNeeded, Status, Token


def save(world, access_token="access of a save", **fields):
    """Save an access token alone, as an import does, or a login that answers no refresh token."""
    token = Token(
        user=USER,
        client_id="client",
        access_token=access_token,
        expires_at=world.clock.now() + 3600,
    )
    return world.there.store.vault.save_token(token.but(**fields))


def lives_on(world):
    """Tell whether the stored refresh token works, and the next renewal too."""
    alive = world.provider.accepts(world.stored.refresh_token)
    world.expire()
    return alive and world.get().access_token == world.stored.access_token


@pytest.mark.parametrize("grant", [None, "another code"])
def test_save_without_a_refresh_token(killing, grant):
    """Invariant 4: the only refresh token that lives is saved, and its access token with it."""
    killing.provider.during.append(lambda: save(killing, grant_token=grant, scope="wider"))

    token = killing.get()

    assert ("access-2", "login-1/1") == token.pair == killing.stored.pair
    assert killing.stored.expires_at == killing.clock.now() + 3600
    assert killing.stored.scope == "wider"
    assert "superseded" not in killing.here.names()
    assert lives_on(killing)
    assert killing.provider.sent == ["login-1/0", "login-1/1"]


def test_several_saves_without_a_refresh_token(killing):
    """As often as others save one; the last access token is the answer's."""
    killing.provider.during.append(lambda: save(killing, "one"))
    for access_token in ("two", "three"):
        killing.here.store.before["save"].append(lambda a=access_token: save(killing, a))

    killing.get()

    assert killing.stored.pair == ("access-2", "login-1/1")


def test_saved_after_the_answer(killing):
    """An access token that is saved after the answer stands beside its refresh token."""
    killing.get()
    save(killing)

    assert killing.stored.pair == ("access of a save", "login-1/1")
    assert lives_on(killing)


def test_replayed_over_a_save(killing):
    """Invariant 4: an answer in the journal is still the only one, whatever was saved since."""
    killing.here.store.before["save"].append(lambda: setattr(killing.here.store, "down", True))
    assert killing.get().access_token == "access-2"
    killing.here.store.down = False
    save(killing)

    swept = killing.beside.keeper.sweep()

    assert (swept.saved, swept.discarded) == (1, 0)
    assert killing.stored.pair == ("access-2", "login-1/1")
    assert lives_on(killing)


def test_entry_of_what_was_saved_long_ago(killing):
    """An answer whose refresh token was stored already does not come back over a save."""
    kept = []
    killing.here.journal.remove = kept.append  # as a crash before it does
    killing.get()
    save(killing)

    assert len(kept) == 1
    assert killing.beside.keeper.sweep().discarded == 1
    assert killing.stored.pair == ("access of a save", "login-1/1")


def test_login_after_a_verdict(rotating):
    """A login that omits the refresh token after login_needed leaves room for the late answer."""

    def rejected_then_login():
        rotating.write(status=Status.LOGIN_NEEDED)
        save(rotating, grant_token="another code")

    rotating.here.store.before["save"].append(rejected_then_login)

    rotating.get()

    assert Status.OK is rotating.stored.status
    assert rotating.stored.pair == ("access-2", "login-1/1")


def test_another_login_s_refresh_token_stays(killing):
    """Invariant 7: a login with a refresh token of its own is not written over."""
    login = lambda: killing.login("login-2", "access-of-login-2", left=3600)  # noqa: E731
    killing.provider.during.append(login)

    token = killing.get()

    assert ("access-of-login-2", "login-2/0") == token.pair == killing.stored.pair
    assert "superseded" in killing.here.names()


def test_what_was_revoked_does_not_come_back(rotating):
    """Invariant 7: nor does a login without a refresh token bring back what was revoked."""

    def revoked_then_login():
        rotating.there.keeper.revoke(rotating.id)
        save(rotating, grant_token="another code")

    rotating.provider.during.append(revoked_then_login)

    assert rotating.get().pair == ("access of a save", None)
    rotating.expire()
    with pytest.raises(LoginNeeded):
        rotating.get()


def test_without_rotation_the_save_stands(world):
    """Where the refresh token stays the same nothing is lost: the later access token is used."""
    world.provider.during.append(lambda: save(world))

    token = world.get()

    assert ("access of a save", "login-1/0") == token.pair == world.stored.pair
