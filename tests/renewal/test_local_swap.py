"""LocalSwap: six-method stores, renewed once in each process."""

from __future__ import annotations

import copy
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from renewal_scenario import USER, OneProvider, ScriptedProvider
from test_one_call import at_once

from tokenkeep import (
    Claim,
    CoolingDown,
    Keeper,
    Status,
    StoreConflict,
    StoreError,
    StoreUnavailable,
    Token,
    TokenRevoked,
    TokenStore,
)
from tokenkeep.local_swap import LocalSwap, complete
from tokenkeep.saving import plan
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock
from tokenkeep.token import Renewal

NOW = 1_800_000_000.0
LOGIN = Token(
    user=USER, client_id="c", access_token="new", refresh_token="login-2/0", expires_at=NOW + 3600
)


class SixMethods(TokenStore):
    """A dict, as somebody writes it who has read the docstrings."""

    before_save = None
    """What happens before its next save. None: nothing."""

    def __init__(self):
        self.rows = {}

    def find_token(self, token):
        return next((t for t in self.rows.values() if t.user == token.user), None)

    def save_token(self, token):
        step, self.before_save = self.before_save, None
        if step:
            step()
        by_id = self.rows.get(token.id)
        stored, row, *_ = plan(token, self.rows.values(), by_id=by_id, login="l", now=0.0)
        saved = row if stored else row.but(id=f"row {len(self.rows)}")
        # Such a store keeps tokens, not the state of renewals, nor what has happened.
        self.rows[saved.id] = saved.but(renewal=Renewal(), history=())
        return self.rows[saved.id]

    def delete_token(self, token_id):
        self.rows.pop(token_id, None)

    def get_tokens(self):
        return list(self.rows.values())

    def delete_tokens(self):
        self.rows.clear()

    def find_token_by_id(self, token_id):
        return self.rows.get(token_id)


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def provider():
    return ScriptedProvider()


@pytest.fixture
def store():
    made = SixMethods()
    for number, user in enumerate((USER, "bob"), 1):
        login = {"access_token": f"access-{number}", "refresh_token": f"login-{number}0/0"}
        made.save_token(
            Token(user=user, client_id="c", client_secret="s", expires_at=1.0, **login)
        )
    return made


@pytest.fixture
def keeper(store, provider, clock):
    return Keeper(store, providers=OneProvider(provider), clock=clock)


def test_one_renewal_in_one_process(keeper, store, provider):
    """Invariant 2: 64 threads, one call; the store gets one save."""
    tokens = at_once(64, lambda _: keeper.get(user=USER))

    assert {token.access_token for token in tokens} == {"access-2"}
    assert len(provider.sent) == 1
    assert store.rows["row 0"].access_token == "access-2"


def test_login_meanwhile(keeper, store, provider):
    """Invariant 7: what somebody saves past us while the call is on its way is not overwritten."""
    provider.during.append(lambda: store.save_token(LOGIN))

    assert keeper.get(user=USER).access_token == "new"
    assert store.rows["row 0"].pair == LOGIN.pair


def test_revoked_meanwhile(keeper, store, provider):
    """Invariant 7: an answer does not lift a revocation, which is in the store itself."""
    provider.during.append(lambda: keeper.revoke("row 0"))

    with pytest.raises(TokenRevoked):
        keeper.get(user=USER)

    assert store.rows["row 0"].status is Status.REVOKED


def test_same_access_token_again(keeper, store, provider):
    """An answer with the stored access token and another end reaches the store."""
    provider.extra = {"access_token": "access-1"}

    keeper.get(user=USER)
    keeper.get(user=USER)

    assert store.rows["row 0"].expires_at == NOW + 3600
    assert len(provider.sent) == 1


def test_swap_compares(store):
    """Only one of two writes based on the same reading is made; a row that is gone stays so."""
    local = LocalSwap(store)
    one, two = local.find_token_by_id("row 0"), local.find_token_by_id("row 0")
    written = local.swap(one.but(access_token="mine"))
    with pytest.raises(StoreConflict):
        local.swap(two.but(access_token="yours"))
    assert local.find_token_by_id("row 0").version == written.version
    store.save_token(store.rows["row 0"].but(version=None, expires_at=2e9))  # past us
    with pytest.raises(StoreConflict):
        local.swap(written.but(access_token="mine again"))

    now = local.find_token_by_id("row 0")
    store.before_save = lambda: store.rows.update(
        {"row 7": store.rows.pop("row 0").but(id="row 7")}
    )
    with pytest.raises(StoreConflict):
        local.swap(now.but(access_token="saved as another row"))

    store.delete_token("row 7")
    with pytest.raises(StoreConflict):
        local.swap(written.but(access_token="mine again"))
    assert ["row 1"] == [token.id for token in local.get_tokens()]


def test_delete_a_version():
    """A login that came after the version that is to be deleted stays."""
    keeper = Keeper(ListStore())
    old = keeper.store.save_token(Token(user=USER, refresh_token="old"))
    new = keeper.store.save_token(Token(user=USER, refresh_token="new"))
    with pytest.raises(StoreConflict):
        keeper.delete(old.id, replaces=old.version)
    assert keeper.store.find_token_by_id(new.id).refresh_token == "new"

    keeper.delete(new.id, replaces=new.version)
    keeper.delete(new.id, replaces=new.version)
    assert keeper.store.find_token_by_id(new.id) is None


# What a store does not keep


class Answers(SixMethods):
    """A store that answers as it should, and writes what it likes."""

    def save_token(self, token):
        saved = super().save_token(token)
        self.rows[saved.id] = saved.but(status=Status.OK)
        return saved


class Drops(Answers):
    """A store that does not know of a status at all."""

    def save_token(self, token):
        return self.rows[super().save_token(token).id]


class Cuts(SixMethods):
    """A store whose column is too short."""

    def save_token(self, token):
        cut = {
            name: (getattr(token, name) or "")[:9] for name in ("access_token", "refresh_token")
        }
        return super().save_token(token.but(**cut))


@pytest.mark.parametrize("kind", [Drops, Answers])
def test_store_drops_the_status(provider, kind):
    """A revocation that was not stored is an error that says whose, never a success."""
    store = kind()
    store.save_token(LOGIN)
    keeper = Keeper(store, providers=OneProvider(provider))

    with pytest.raises(StoreError, match=f"{kind.__name__} did not keep the status 'revoked'"):
        keeper.revoke("row 0")

    assert provider.revoked == []


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_store_cuts_tokens(name):
    """A token that was not stored whole is an error that names the field, not the value."""
    local = LocalSwap(Cuts())
    token = local.save_token(Token(user=USER, access_token="a", refresh_token="r"))
    wanted = "a value of more than nine characters"

    with pytest.raises(StoreError, match=f"Cuts did not keep the {name}") as caught:
        local.swap(token.but(**{name: wanted}))

    assert wanted[:9] not in str(caught.value)


# The state of renewals, which is in memory


def test_budget_is_of_a_refresh_token(store, clock):
    """Invariant 6: calls are counted here, however often the token is saved in between."""
    provider = ScriptedProvider(mint_limit=3)
    keeper = Keeper(store, providers=OneProvider(provider), clock=clock)
    for _ in range(3):
        keeper.store.save_token(keeper.renew("row 0").but(scope="more"))

    with pytest.raises(CoolingDown):
        keeper.renew("row 0")
    assert len(provider.sent) == 3
    store.save_token(LOGIN)  # another one, past us
    assert keeper.renew("row 0").access_token == "access-5"


def test_a_save_of_the_same_login_leaves_a_renewal_alone(keeper, store):
    """What is saved meanwhile brings nothing new: nobody else asks the provider."""
    claim = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)
    keeper.store.swap(keeper.store.reread("row 0").with_renewal(claim=claim, mints=(1.0,)))

    saved = keeper.store.save_token(store.rows["row 0"].but(scope="more"))

    assert (claim, (1.0,)) == (saved.renewal.claim, saved.renewal.mints)


@pytest.mark.parametrize("refresh_token", ["login-10/0", "login-2/0"])
def test_a_save_forgets_no_revocation(store, refresh_token):
    """What the provider has still to revoke is revoked later, whoever logs in meanwhile."""
    provider = ScriptedProvider(revokes_grant=False)
    keeper = Keeper(store, providers=OneProvider(provider))
    token = store.rows["row 0"]
    provider.unreachable = True
    keeper.revoke(token.id)

    saved = keeper.store.save_token(token.but(refresh_token=refresh_token))
    provider.unreachable = False

    assert saved.renewal.to_revoke
    assert 1 == keeper.sweep().revoked
    assert ["login-10/0"] == provider.revoked


def test_one_for_all_keepers_of_a_store():
    """Two keepers on one store renew once, also if they were made at the same moment."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        stores = [SixMethods() for _ in range(200)]
        ours = [{*at_once(3, lambda _, store=store: complete(store))} for store in stores]
    finally:
        sys.setswitchinterval(before)

    assert [1] * 200 == [len(each) for each in ours]
    assert 200 == len(set.union(*ours))


# Who comes in the midst of a call of the store


ACTS = {
    "login": (lambda keeper: keeper.store.save_token(LOGIN), [("row 0", *LOGIN.pair)]),
    "delete": (lambda keeper: keeper.delete("row 0"), []),
    "delete all": (lambda keeper: keeper.store.delete_tokens(), []),
    "revoke": (lambda keeper: keeper.revoke("row 0"), [("row 0", None, "login-10/1")]),
}


@pytest.mark.parametrize(("act", "stored"), ACTS.values(), ids=ACTS)
def test_thread_while_a_renewal_is_saved(store, clock, act, stored):
    """Invariant 7: what another thread was told it has done is not undone by a renewal's save."""
    providers = OneProvider(ScriptedProvider(rotates=True))
    keeper = Keeper(store, providers=providers, clock=clock)
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

    rows = [(t.id, *t.pair) for t in store.get_tokens() if t.user == USER]
    assert rows == stored


def test_login_while_a_version_is_deleted(keeper, store):
    """Nothing is saved between the look and the deletion."""
    old, find, logins = keeper.store.reread("row 0"), store.find_token_by_id, []

    def find_slowly(token_id):
        store.find_token_by_id = find
        found = find(token_id)
        logins.append(threading.Thread(target=lambda: keeper.store.save_token(LOGIN)))
        logins[0].start()
        logins[0].join(0.2)
        return found

    store.find_token_by_id = find_slowly
    keeper.store.delete_version(old.id, old.version)
    logins[0].join()

    assert keeper.store.find_token(Token(user=USER)).pair == LOGIN.pair


def test_handler_that_writes_in_the_midst_of_a_write(keeper, store):
    """It is refused by name, instead of waiting for its own thread; nothing is half done."""
    refused = []

    def handle(*_):
        with pytest.raises(StoreUnavailable, match="Set a flag in the handler") as caught:
            keeper.revoke("row 1")
        refused.append(caught.value)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        store.before_save = lambda: signal.raise_signal(signal.SIGUSR1)
        keeper.revoke("row 0")
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert len(refused) == 1
    statuses = {token.id: token.status for token in store.get_tokens()}
    assert statuses == {"row 0": Status.REVOKED, "row 1": Status.OK}
    assert keeper.revoke("row 1").status is Status.REVOKED


def test_where_a_saved_token_is_valid():
    """A store that knows no provider is told whose token it is, as a lookup for the SDK asks."""
    store = ListStore()
    here = "https://www.zohoapis.eu"

    saved = Keeper(store).save(Token(user="ana", refresh_token="r", api_domain=here))

    assert ("zoho", "eu", "production") == (saved.provider, saved.data_center, saved.environment)
    assert saved.id == store.find_token(Token(user="ana", provider="zoho")).id


class Copied(SixMethods):
    """A store that can be copied, as `TokenStore` allows: with all that it has but its rows."""

    def __reduce__(self):
        return Copied, (), vars(self) | {"rows": dict(self.rows)}


def test_keepers_of_a_copy():
    """They work with the copy, all with one state, and leave the original alone."""
    original = Copied()
    of_original = Keeper(original)
    of_original.save(LOGIN)

    copied = copy.copy(original)
    Keeper(copied).save(LOGIN.but(user="bob", refresh_token="r"))

    assert [USER] == [token.user for token in original.get_tokens()]
    assert [USER, "bob"] == [token.user for token in copied.get_tokens()]
    assert complete(copied) is complete(copied) is not complete(original)
    assert complete(original) is of_original.store
