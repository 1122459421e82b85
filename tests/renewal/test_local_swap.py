"""LocalSwap: six-method stores, renewed once in each process."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from renewal_scenario import USER, OneProvider, ScriptedProvider
from test_one_call import at_once

from tokenkeep import (
    CoolingDown,
    Keeper,
    Status,
    StoreConflict,
    StoreError,
    StoreUnavailable,
    Token,
    TokenRevoked,
)
from tokenkeep.local_swap import LocalSwap, complete
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock

NOW = 1_800_000_000.0
LOGIN = Token(
    user=USER, client_id="c", access_token="new", refresh_token="login-2/0", expires_at=NOW + 3600
)


class Six(ListStore):
    """Six methods over a list, and what happens before its next save. None: nothing."""

    before_save = None

    def save_token(self, token):
        step, self.before_save = self.before_save, None
        if step:
            step()
        return super().save_token(token)

    @property
    def row(self):
        """The first token as it is stored, whatever a keeper knows besides."""
        return self.find_token_by_id("row 0")


@pytest.fixture
def provider():
    return ScriptedProvider(revokes_grant=False)


@pytest.fixture
def store():
    made = Six()
    for number, user in enumerate((USER, "bob")):
        login = {"access_token": f"access-{number + 1}", "refresh_token": f"login-1{number}/0"}
        given = Token(user=user, client_id="c", client_secret="s", expires_at=1.0, **login)
        made.save_token(given.but(id=f"row {number}"))
    return made


@pytest.fixture
def keeper(store, provider):
    return Keeper(store, providers=OneProvider(provider), clock=FakeClock(NOW))


def test_one_renewal_in_one_process(keeper, store, provider):
    """Invariant 2: 64 threads, one call; the store gets one save."""
    tokens = at_once(64, lambda _: keeper.get(user=USER))

    assert {token.access_token for token in tokens} == {"access-2"}
    assert len(provider.sent) == 1
    assert store.row.access_token == "access-2"
    keeper.clock.advance(60)
    provider.extra = {"access_token": "access-2"}  # the same again, with another end
    keeper.renew("row 0")
    assert store.row.expires_at == keeper.clock.now() + 3600


def test_meanwhile(keeper, store, provider):
    """Invariant 7: an answer is not written over a login past us, nor lifts a revocation."""
    provider.during += [lambda: store.save_token(LOGIN), lambda: keeper.revoke("row 0")]

    assert keeper.get(user=USER).pair == store.row.pair == LOGIN.pair
    with pytest.raises(TokenRevoked):
        keeper.renew("row 0")
    assert store.row.status is Status.REVOKED


def test_swap_compares(store):
    """Only one of two writes based on the same reading is made; a row that is gone stays so."""
    local = LocalSwap(store)

    def loses(token):
        with pytest.raises(StoreConflict):
            local.swap(token.but(access_token="mine again"))

    one, two = local.find_token_by_id("row 0"), local.find_token_by_id("row 0")
    written = local.swap(one.but(access_token="mine"))
    loses(two)
    assert local.find_token_by_id("row 0").version == written.version
    store.save_token(store.row.but(version=None, expires_at=2e9))  # past us
    loses(written)

    def moves():
        store.delete_token("row 0")
        store.save_token(written.but(id="row 7", version=None))

    now = local.find_token_by_id("row 0")
    store.before_save = moves
    loses(now.but(id="row 0"))
    store.delete_token("row 7")
    loses(written)
    assert ["row 1"] == [token.id for token in local.get_tokens()]


class Drops(ListStore):
    """A store that does not know of a status at all."""

    def save_token(self, token):
        return super().save_token(token.but(status=Status.OK))


class Echoes(Drops):
    """The same, and it answers what it was given."""

    def save_token(self, token):
        return super().save_token(token).but(status=token.status)


class Cuts(ListStore):
    """A store whose columns are too short."""

    def save_token(self, token):
        names = ("access_token", "refresh_token")
        return super().save_token(token.but(**{n: (getattr(token, n) or "")[:9] for n in names}))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (Drops, {"status": Status.REVOKED}),
        (Echoes, {"status": Status.REVOKED}),
        (Cuts, {"access_token": "more than nine characters"}),
        (Cuts, {"refresh_token": "more than nine characters"}),
    ],
)
def test_store_that_does_not_keep_it(kind, changes):
    """What was not stored whole is an error, without the value."""
    local = LocalSwap(kind())
    token = local.save_token(Token(user=USER, access_token="a", refresh_token="r"))

    with pytest.raises(StoreError, match=f"{kind.__name__} did not keep") as caught:
        local.swap(token.but(**changes))

    assert "more than" not in str(caught.value)


def test_budget_is_of_a_refresh_token(store):
    """Invariant 6: what is known of renewals stays, however often the token is saved meanwhile."""
    provider = ScriptedProvider(mint_limit=3)
    keeper = Keeper(store, providers=OneProvider(provider), clock=FakeClock(NOW))
    for _ in range(3):
        keeper.store.save_token(keeper.renew("row 0").but(scope="more"))

    with pytest.raises(CoolingDown):
        keeper.renew("row 0")
    assert len(provider.sent) == 3
    store.save_token(LOGIN)  # another one, past us
    assert keeper.renew("row 0").access_token == "access-5"


@pytest.mark.parametrize("refresh_token", ["login-10/0", "login-2/0"])
def test_a_save_forgets_no_revocation(keeper, store, provider, refresh_token):
    """What the provider has still to revoke is revoked later, whoever logs in meanwhile."""
    token = store.row
    provider.unreachable = True
    keeper.revoke("row 0")

    saved = keeper.store.save_token(token.but(version=None, refresh_token=refresh_token))
    provider.unreachable = False

    assert saved.renewal.to_revoke
    assert 1 == keeper.sweep().revoked
    assert ["login-10/0"] == provider.revoked


def test_one_for_all_keepers_of_a_store():
    """Two keepers on one store renew once, also if they were made at the same moment."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for store in (ListStore() for _ in range(200)):
            assert 1 == len({*at_once(3, lambda _, store=store: complete(store))})
    finally:
        sys.setswitchinterval(before)


ACTS = {
    "login": (lambda keeper: keeper.store.save_token(LOGIN), [("row 0", *LOGIN.pair)]),
    "delete": (lambda keeper: keeper.delete("row 0"), []),
    "delete all": (lambda keeper: keeper.store.delete_tokens(), []),
    "revoke": (lambda keeper: keeper.revoke("row 0"), [("row 0", None, "login-10/1")]),
}


@pytest.mark.parametrize(("act", "stored"), ACTS.values(), ids=ACTS)
def test_thread_while_a_renewal_is_saved(store, act, stored):
    """Invariant 7: what another thread was told it has done is not undone by a renewal's save."""
    providers = OneProvider(ScriptedProvider(rotates=True))
    keeper = Keeper(store, providers=providers, clock=FakeClock(NOW))
    saving, acted = threading.Event(), threading.Event()

    def slow():
        saving.set()
        acted.wait(0.3)  # who does not wait for the save is through by then

    with ThreadPoolExecutor(2) as pool:
        store.before_save = slow
        asked = pool.submit(keeper.get, user=USER)
        assert saving.wait(20)
        pool.submit(act, keeper).result(20)
        acted.set()
        asked.exception(20)

    assert stored == [(t.id, *t.pair) for t in store.get_tokens() if t.user == USER]


def test_delete_a_version(keeper, store):
    """A login stays that came after the version."""
    old = keeper.store.reread("row 0")
    keeper.store.save_token(LOGIN)

    with pytest.raises(StoreConflict):
        keeper.store.delete_version("row 0", old.version)

    assert store.row.pair == LOGIN.pair
    keeper.store.delete_version("row 0", keeper.store.reread("row 0").version)
    assert store.row is None


def test_handler_that_writes_in_the_midst_of_a_write(keeper, store):
    """It is refused by name, instead of waiting for its own thread; nothing is half done."""
    refused = []

    def handles():
        with pytest.raises(StoreUnavailable, match="Set a flag in the handler"):
            keeper.revoke("row 1")
        refused.append("row 1")

    store.before_save = handles  # as a signal handler: in this thread, within the store's call
    keeper.revoke("row 0")

    assert refused == ["row 1"]
    statuses = [token.status for token in store.get_tokens()]
    assert statuses == [Status.REVOKED, Status.OK]
    assert keeper.revoke("row 1").status is Status.REVOKED


def test_where_a_saved_token_is_valid():
    """A store that knows no provider is told whose token it is, as a lookup for the SDK asks."""
    store = ListStore()
    here = "https://www.zohoapis.eu"

    saved = Keeper(store).save(Token(user="ana", refresh_token="r", api_domain=here))

    assert ("zoho", "eu", "production") == (saved.provider, saved.data_center, saved.environment)
    assert saved.id == store.find_token(Token(user="ana", provider="zoho")).id
