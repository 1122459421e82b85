"""What was read a while ago, or is older still, never takes the place of what is stored."""

from __future__ import annotations

from login_stage import refused, sdk_token


def test_renewed_meanwhile(either):
    """A harmless change to a copy put the spent refresh token back: the user was logged out."""
    keeper = either.keeper()
    read = keeper.store.save_token(either.login(either.ana))
    renewed = keeper.renew(read.id)

    with refused("StoreConflict", "StaleToken"):
        either.open().save_token(read.but(scope="ZohoCRM.modules.ALL"))

    assert renewed == keeper.store.reread(read.id)
    assert either.works(keeper.renew(read.id))


def test_spent_refresh_token(rotating):
    """A refresh token that was rotated away is something older, not a login."""
    keeper = rotating.keeper()
    first = keeper.store.save_token(rotating.login(rotating.ana))
    renewed = keeper.renew(first.id)

    with refused("StaleToken"):
        keeper.store.save_token(first.but(id=None, version=None))

    assert renewed == keeper.store.reread(first.id)


def test_the_sdks_old_object(stage):
    """
    An object of the SDK, saved again after a revocation and a new login, took its place.

    The revoked login was handed out, and a sweep that counted a revocation revoked nothing.
    """
    store = stage.sdk_store()
    old = stage.login(stage.ana)
    held = sdk_token(old)
    store.save_token(held)
    with stage.provider_down():
        store.revoke(held.get_id())
    new = stage.login(stage.ana)
    store.save_token(sdk_token(new))

    with refused("StaleToken", "StoreConflict"):
        store.save_token(held)

    found = sdk_token(user=stage.ana)
    assert new.access_token == store.find_token(found).get_access_token()
    stage.keeper().sweep()
    assert [False, True] == [stage.is_alive(old), stage.is_alive(new)]
