"""A real standby beside the primary: what can be done there, what is refused, and a failover."""

from __future__ import annotations

import time

import pytest
from private_servers import MariaDB, Postgres
from private_servers.skipped import started
from private_servers.standby import STANDBYS
from renewal_processes import KEY, Fleet

from tokenkeep import StoreUnavailable, open_store

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module", params=[MariaDB, Postgres], ids=["mariadb", "postgres"])
def primary(request):
    kind = request.param
    yield from started(lambda: kind(options=STANDBYS[kind].PRIMARY))


@pytest.fixture
def standby(primary):
    """A standby that this test may promote."""
    for server in started(lambda: STANDBYS[type(primary)](primary)):
        server.follow()
        yield server


@pytest.fixture
def fleet(primary, zoho, tmp_path, monkeypatch):
    """One expired token, in a database of the primary."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Fleet(zoho, tmp_path, url=primary.url()) as made:
        yield made


@pytest.fixture
def there(fleet, standby):
    """A keeper whose store is the standby."""
    standby.catch_up()
    store = open_store(standby.url_of(fleet.url), environ={"TOKENKEEP_KEYS": KEY})
    yield fleet.keeper(store=store)
    store.close()


def refused(call):
    """Return the text of the error, which says where to write instead."""
    with pytest.raises(StoreUnavailable) as caught:
        call()
    assert "read-only" in str(caught.value)
    assert "primary" in str(caught.value)
    return str(caught.value)


def test_what_is_good_is_handed_out(fleet, standby, there):
    """What the primary has renewed is found on the standby, a moment later, and handed out."""
    renewed = fleet.keeper().get(id=fleet.id)
    standby.catch_up()

    assert there.get(id=fleet.id).access_token == renewed.access_token
    assert there.get(user=renewed.user).access_token == renewed.access_token
    assert [each.id for each in there.tokens()] == [fleet.id]
    assert fleet.calls == 1


def test_nobody_is_asked_what_could_not_be_kept(fleet, there):
    """Invariant 3: where no claim can be written, Zoho is not asked, and the error says why."""
    refused(lambda: there.get(id=fleet.id))

    assert fleet.calls == 0
    assert fleet.keeper().get(id=fleet.id).access_token == fleet.stored.access_token
    assert fleet.calls == 1


def test_writes_are_refused(fleet, there):
    """A save, a revocation and a delete say that they were not done; nothing is changed."""
    before = fleet.stored

    refused(lambda: there.store.save_token(before.but(access_token="new", expires_at=None)))
    refused(lambda: there.revoke(fleet.id))
    refused(lambda: there.delete(fleet.id))
    refused(there.store.delete_tokens)

    assert fleet.stored == before
    assert fleet.works(before)


def test_an_empty_database(primary, standby):
    """There is nothing to be seen, and tables can't be made there either."""
    url = standby.url_of(primary.url())
    standby.catch_up()
    environ = {"TOKENKEEP_KEYS": KEY}

    with open_store(url, environ=environ) as there:
        assert [] == there.get_tokens()
    with pytest.raises(StoreUnavailable, match="read-only"):
        open_store(url, environ=environ, make=True)


def test_failover(fleet, standby, there):
    """Once it is promoted, the store that was open on it renews and saves, without a restart."""
    refused(lambda: there.get(id=fleet.id))
    standby.promote()

    end = time.monotonic() + 30
    while True:
        try:
            token = there.get(id=fleet.id)
            break
        except StoreUnavailable:
            assert time.monotonic() < end
            time.sleep(0.1)

    assert fleet.calls == 1
    assert fleet.works(token)
    assert there.store.reread(fleet.id).access_token == token.access_token
    fleet.store.delete_token(fleet.id)  # on what was the primary: they have parted
    assert there.get(id=fleet.id) == token
