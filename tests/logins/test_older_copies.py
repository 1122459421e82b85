"""What was read a while ago, or is older still, never takes the place of what is stored."""

from __future__ import annotations

import pytest
from login_stage import refused, sdk_token


@pytest.fixture
def read(either):
    """A token that a process has read, and the stage it is on."""
    either.read = either.open().save_token(either.login(either.ana))
    return either


def test_renewed_meanwhile(read):
    """A harmless change to a copy put the spent refresh token back: the user was logged out."""
    read.keeper().renew(read.read.id)
    stored = read.open().find_token_by_id(read.read.id)

    with refused("StoreConflict", "StaleToken"):
        read.open().save_token(read.read.but(scope="ZohoCRM.modules.ALL"))

    assert stored == read.open().find_token_by_id(read.read.id)
    assert read.works(read.keeper().renew(read.read.id))


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
