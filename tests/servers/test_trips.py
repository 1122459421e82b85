"""How often a call of a store goes to a server and back: counted on the wire."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import pytest
from cases import FIRST, ID, SECOND, mark, record, until

from tokenkeep import Keeper, Token, generate_key, open_store
from tokenkeep.backends.base import FOUND_BY
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.testing import FakeClock

HOUR = 3600.0
WARM = 8
"""Drivers prepare what they have sent five times, which is a trip of its own."""


# A backend


@pytest.fixture
def backend(connect, far):
    """A backend whose traffic is counted, with its connection open and all statements known."""
    backend = connect(far)
    backend.write(record(access="a", refresh="r"), replaces=None)
    backend.write(record("warm"), replaces=None)
    backend.delete(record("warm").id)
    backend.touch(ID, 1.0)
    backend.due(5.0, 10)
    for _ in range(WARM):
        backend.read(ID)
        backend.scan(None, 10)
        for marks in (ONE, EACH, SEVERAL):
            backend.find(marks)
    return backend


ONE = [mark("access", "a")]
EACH = [mark(field, "r") for field in FOUND_BY]
SEVERAL = [mark("owner", each) for each in ("x", "y", "of id")]


def test_one_trip_each(backend, proxy):
    """Reading, finding, saving and deleting take one round trip each; nothing comes with them."""
    calls = {
        "read": lambda: backend.read(ID),
        "find": lambda: backend.find(ONE),
        "find by each field": lambda: backend.find(EACH),
        "find several": lambda: backend.find(SEVERAL),
        "scan": lambda: backend.scan(None, 10),
        "scan by mark": lambda: backend.scan(None, 10, mark=mark("refresh", "r")),
        "due": lambda: backend.due(5.0, 10, after=(1.0, ID)),
        "insert": lambda: backend.write(record("new"), replaces=None),
        "replace": lambda: backend.write(record(version="2"), replaces=FIRST),
        "touch": lambda: backend.touch(ID, 7.0),
        "delete": lambda: backend.delete(ID, replaces=SECOND),
    }

    trips = {name: proxy.counted(call) for name, call in calls.items()}

    assert dict.fromkeys(calls, 1) == trips


def test_idle_connections_that_were_closed(connect, far, proxy):
    """It is noticed before a write is sent, which would be lost; none of them is tried."""
    backend = connect(far)
    backend.write(record("first"), replaces=None)
    backend.close()
    until(lambda: proxy.alive == 0)
    proxy.hold()
    with ThreadPoolExecutor(3) as threads:
        reads = [threads.submit(backend.read, ID) for _ in range(3)]
        until(lambda: proxy.alive == 3)
        proxy.go_on()
        assert [each.result() for each in reads] == [None] * 3
    proxy.cut()
    until(lambda: proxy.alive == 0)

    backend.write(record(), replaces=None)
    assert backend.delete(ID, replaces=FIRST) is True


@pytest.mark.parametrize("server", ["mariadb", "postgres"], indirect=True)
def test_an_old_connection_is_replaced(connect, far, proxy, monkeypatch):
    """What a firewall may have dropped is not even asked: that would wait for its timeout."""
    monkeypatch.setattr("tokenkeep.backends.sql_database.RECYCLED", 0)
    backend = connect(far)
    before = proxy.connections

    assert backend.scan(None, 1) == []
    assert proxy.connections > before


# A keeper


class Trips:
    """A keeper on that server, and how many trips what is asked of it takes."""

    def __init__(self, url, zoho, proxy):
        self._zoho, self.proxy, self._numbers, self.clock = zoho, proxy, count(), FakeClock()
        self.opened = partial(open_store, url, clock=self.clock)
        self.keeper = Keeper(self.opened(), clock=self.clock)

    def login(self, left=HOUR):
        """Return a user's new login, with so many seconds left."""
        user = self._zoho.add_user(f"user{next(self._numbers)}@example.com")
        return Token(
            user=user.name,
            client_id=self._zoho.client.client_id,
            client_secret=self._zoho.client.client_secret,
            access_token=f"access {user.name}",
            refresh_token=self._zoho.refresh_token(user),
            expires_at=self.clock.now() + left,
            provider="zoho",
            issuer=self._zoho.us.token_url,
            api_domain=self._zoho.us.api_url,
        )

    def saved(self, left=HOUR):
        return self.keeper.save(self.login(left))

    def of(self, work, prepared):
        """Return how many trips *work* takes with what *prepared* returns, uncounted."""
        subjects = [prepared() for _ in range(WARM)]
        return min(self.proxy.counted(partial(work, each)) for each in subjects)


@pytest.fixture
def trips(far, proxy, zoho, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TOKENKEEP_KEYS", generate_key())
    trips = Trips(far, zoho, proxy)
    yield trips
    trips.keeper.close()


def test_a_keeper(trips):
    """
    A lookup of any kind takes one; a save of what was read two, also the SDK's: a look, a write.

    A first save takes three: it looks too whether somebody else has saved
    the login meanwhile. So does a renewal: a lookup, the claim, the answer.
    """
    keeper, store, stored = trips.keeper, trips.keeper.store, trips.saved()
    sdk, login, access = SDKStore(store, clock=trips.clock), trips.login, stored.access_token

    def changed():
        return trips.saved().but(access_token="another")

    def changed_by_the_sdk():
        token = sdk.find_token_by_id(trips.saved().id)
        token.set_access_token("another")
        return token

    def expired():
        return trips.saved(left=-1.0)

    expected = {
        "id": (1, lambda _: keeper.get(id=stored.id), login),
        "user": (1, lambda _: keeper.get(user=stored.user), login),
        "access token": (1, lambda _: store.find_token(Token(access_token=access)), login),
        "not seen before": (1, lambda new: keeper.get(id=new.id), trips.saved),
        "saved again": (2, keeper.save, changed),
        "saved by the SDK": (2, sdk.save_token, changed_by_the_sdk),
        "saved first": (3, keeper.save, login),
        "renewed by id": (3, lambda old: keeper.get(id=old.id), expired),
        "renewed by user": (3, lambda old: keeper.get(user=old.user), expired),
    }

    for name, (least, work, prepared) in expected.items():
        assert (name, least) == (name, trips.of(work, prepared))
