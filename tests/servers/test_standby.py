"""A real standby beside the primary: what can be done there, what is refused, and a failover."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from cases import until
from private_servers import MariaDB, Postgres
from private_servers.skipped import started
from private_servers.standby import STANDBYS
from renewal_processes import KEY, Fleet

from tokenkeep import StoreUnavailable, open_store

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=[MariaDB, Postgres], ids=["mariadb", "postgres"])
def pair(request):
    """A primary, and a standby that may be promoted."""
    kind = request.param
    for primary in started(lambda: kind(options=STANDBYS[kind].PRIMARY)):
        for standby in started(lambda primary=primary: STANDBYS[kind](primary)):
            standby.follow()
            yield primary, standby


@pytest.fixture
def fleet(pair, zoho, tmp_path, monkeypatch):
    """One expired token, in a database of the primary."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Fleet(zoho, tmp_path, url=pair[0].url()) as made:
        yield made


def opened(standby, url, **options):
    """Open on the standby what is at a URL of the primary, as it is by now."""
    standby.catch_up()
    return open_store(standby.url_of(url), environ={"TOKENKEEP_KEYS": KEY}, **options)


def refused(call):
    """Make sure that the error says where to write instead."""
    with pytest.raises(StoreUnavailable, match=r"read-only.*primary"):
        call()


def test_before_and_after_a_failover(fleet, pair):
    """
    Invariant 3: what is good is handed out; Zoho is not asked where nothing can be kept.

    Every write says that it was not done. Once the standby is promoted, the
    store that was open on it renews and saves, without a restart.
    """
    standby, empty = pair[1], pair[0].url()
    with opened(standby, empty) as nothing:
        assert [] == nothing.get_tokens()
    refused(lambda: opened(standby, empty, make=True))
    store = opened(standby, fleet.url)
    there, before = fleet.keeper(store=store), fleet.stored
    for write in (
        lambda: there.get(id=fleet.id),
        lambda: store.save_token(before.but(access_token="new", expires_at=None)),
        lambda: there.revoke(fleet.id),
        lambda: there.delete(fleet.id),
        store.delete_tokens,
    ):
        refused(write)
    assert (0, before) == (fleet.calls, fleet.stored)

    renewed = fleet.keeper().get(id=fleet.id)
    standby.catch_up()
    assert there.get(id=fleet.id).access_token == renewed.access_token
    assert there.get(user=renewed.user).access_token == renewed.access_token
    assert [each.id for each in there.tokens()] == [fleet.id]
    assert fleet.calls == 1

    fleet.store.swap(fleet.stored.but(expires_at=time.time() - 900.0))
    standby.catch_up()
    refused(lambda: there.get(id=fleet.id))
    standby.promote()
    until(lambda: answer(there, fleet.id))
    token = answer(there, fleet.id)

    assert fleet.calls == 2
    assert fleet.works(token)
    assert store.reread(fleet.id).access_token == token.access_token
    fleet.store.delete_token(fleet.id)  # on what was the primary: they have parted
    assert there.get(id=fleet.id) == token
    store.close()


def answer(keeper, token_id):
    with suppress(StoreUnavailable):
        return keeper.get(id=token_id)
    return None
