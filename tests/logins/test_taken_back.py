"""What was revoked, deleted or changed stays so, whatever answer comes late."""

from __future__ import annotations

from contextlib import suppress

import pytest
from login_stage import refused

from tokenkeep import Status, StoreUnavailable, TokenKeepError


def test_late_answer_for_a_deleted_row(make_stage):
    """
    It was revoked at a provider where that ends the user's newer login.

    It is kept in that login's row instead, and goes with it.
    """
    stage = make_stage(rotates=True, revokes_grant=True)
    keeper = stage.keeper()
    old = keeper.store.save_token(stage.login(stage.ana))
    provider = keeper.providers.named("zoho")
    ask = provider.refresh

    def answered_late(token):
        answer = ask(token)
        stage.keeper().delete(old.id)
        stage.open().save_token(stage.login(stage.ana))
        return answer

    provider.refresh = answered_late
    with refused("TokenNotFound"):
        keeper.renew(old.id)
    stage.keeper().sweep()

    assert 0 == stage.revocations
    assert stage.works(stage.keeper().get(user=stage.ana))
    assert set() == stage.end_everything()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_revoked_and_then_the_store_is_away(rotating, number):
    """
    A row that had just been read as revoked was handed out.

    With an answer in the journal that could not be saved, and the store away from then on.
    """
    store = rotating.open()
    keeper, swap, reread = rotating.keeper(store), store.swap, store.reread
    row = store.save_token(rotating.login(rotating.ana, access_token=None, expires_at=None))

    def away(_):
        looks.append("write")
        raise StoreUnavailable("The database did not answer")

    def read_once_more(token_id):
        if looks and looks[-1] == "revoked":
            away(token_id)
        looks.append("look")
        if looks.count("look") == number and "write" in looks:
            rotating.keeper().revoke(row.id)
        found = reread(token_id)
        if found.status is Status.REVOKED:
            looks.append("revoked")
        return found

    looks = []
    store.swap = lambda token: swap(token) if token.renewal.claim else away(token)
    keeper.get(id=row.id)
    other = rotating.open()
    other.swap(other.reread(row.id).with_renewal(claim=None))
    looks.clear()
    store.swap, store.reread = away, read_once_more
    given = None
    with suppress(TokenKeepError):
        given = keeper.get(id=row.id)

    assert looks
    assert not (given and "revoked" in looks)
