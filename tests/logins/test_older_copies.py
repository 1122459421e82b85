"""What was read a while ago, or is older still, never takes the place of what is stored."""

from __future__ import annotations

from login_stage import refused


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
