"""LocalSwap: six-method stores, renewed once in each process."""

from __future__ import annotations

import sys

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
    Token,
    TokenRevoked,
    TokenStore,
)
from tokenkeep.local_swap import LocalSwap, _Made, can_swap, complete
from tokenkeep.saving import plan
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock
from tokenkeep.token import Renewal


class SixMethods(TokenStore):
    """A dict, as somebody writes it who has read the docstrings."""

    def __init__(self):
        self.rows = {}

    def find_token(self, token):
        return next((t for t in self.rows.values() if t.user == token.user), None)

    def save_token(self, token):
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
    return FakeClock(1_800_000_000.0)


@pytest.fixture
def provider():
    return ScriptedProvider()


@pytest.fixture
def store(clock):
    made = SixMethods()
    made.save_token(
        Token(
            user=USER,
            client_id="c",
            client_secret="s",
            access_token="access-1",
            refresh_token="login-1/0",
            expires_at=clock.now() - 1,
        )
    )
    return made


@pytest.fixture
def keeper(store, provider, clock):
    return Keeper(store, providers=OneProvider(provider), clock=clock)


def test_can_swap(store):
    """A store that overrides `swap` is used as it is."""
    assert not can_swap(store)
    assert can_swap(LocalSwap(store))


def test_one_renewal_in_one_process(keeper, store, provider):
    """Invariant 2: 64 threads, one call; the store gets one save."""
    tokens = at_once(64, lambda _: keeper.get(user=USER))

    assert {token.access_token for token in tokens} == {"access-2"}
    assert len(provider.sent) == 1
    assert store.rows["row 0"].access_token == "access-2"


def test_renewed_again_and_again(keeper, provider, clock):
    """Each expiry is one call; what is kept in memory does not get in the way."""
    for n in range(2, 6):
        assert keeper.get(user=USER).access_token == f"access-{n}"
        clock.advance(4000)

    assert len(provider.sent) == 4


def test_login_meanwhile(keeper, store, provider):
    """Invariant 7: what somebody saves past us while the call is on its way is not overwritten."""
    newer = Token(
        user=USER,
        client_id="c",
        access_token="newer",
        refresh_token="login-2/0",
        expires_at=2_000_000_000.0,
    )
    provider.during.append(lambda: store.save_token(newer))

    assert keeper.get(user=USER).access_token == "newer"
    assert store.rows["row 0"].pair == ("newer", "login-2/0")


def test_revoked(keeper, store):
    """Revoked is written to the store, with its own save, and stays."""
    keeper.revoke("row 0")

    assert store.rows["row 0"].status is Status.REVOKED
    with pytest.raises(TokenRevoked):
        keeper.get(user=USER)


def test_revoked_meanwhile(keeper, store, provider):
    """Invariant 7: an answer does not lift a revocation."""
    provider.during.append(lambda: keeper.revoke("row 0"))

    with pytest.raises(TokenRevoked):
        keeper.get(user=USER)

    assert store.rows["row 0"].status is Status.REVOKED


def test_budget(store, clock):
    """Invariant 6: calls are counted, in this process."""
    provider = ScriptedProvider(mint_limit=3)
    keeper = Keeper(store, providers=OneProvider(provider), clock=clock)
    for _ in range(3):
        keeper.renew("row 0")

    with pytest.raises(CoolingDown):
        keeper.renew("row 0")

    assert len(provider.sent) == 3


def test_swap_compares(store):
    """Only one of two writes based on the same reading is made."""
    local = LocalSwap(store)
    one, two = local.find_token_by_id("row 0"), local.find_token_by_id("row 0")
    written = local.swap(one.but(access_token="mine"))

    with pytest.raises(StoreConflict):
        local.swap(two.but(access_token="yours"))

    assert local.find_token_by_id("row 0").version == written.version


def test_swap_of_a_deleted_row(store):
    """A row that is gone is a conflict, not a new row."""
    local = LocalSwap(store)
    token = local.find_token_by_id("row 0")
    local.delete_token("row 0")

    with pytest.raises(StoreConflict):
        local.swap(token.but(access_token="mine"))

    assert local.get_tokens() == []


def test_sweep_and_tokens(keeper):
    """A six-method store is listed and swept like any other."""
    assert [token.user for token in keeper.tokens()] == [USER]
    assert keeper.sweep().deleted == 0


def test_same_access_token_again(keeper, store, provider, clock):
    """An answer with the stored access token and another end reaches the store."""
    provider.extra = {"access_token": "access-1"}

    keeper.get(user=USER)
    keeper.get(user=USER)

    assert store.rows["row 0"].expires_at == clock.now() + 3600
    assert len(provider.sent) == 1


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
def test_store_drops_the_status(provider, clock, kind):
    """A revocation that was not stored is an error that says whose, never a success."""
    store = kind()
    store.save_token(Token(user=USER, access_token="a", refresh_token="r", expires_at=2e9))
    keeper = Keeper(store, providers=OneProvider(provider), clock=clock)

    with pytest.raises(StoreError, match=f"{kind.__name__} did not keep the status 'revoked'"):
        keeper.revoke("row 0")

    assert provider.revoked == []


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_store_cuts_tokens(name):
    """A token that was not stored whole is an error that names the field, not the value."""
    store = Cuts()
    store.save_token(Token(user=USER, access_token="a", refresh_token="r"))
    local = LocalSwap(store)
    token = local.find_token_by_id("row 0")
    wanted = "a value of more than nine characters"

    with pytest.raises(StoreError, match=f"Cuts did not keep the {name}") as caught:
        local.swap(token.but(**{name: wanted}))

    assert wanted[:9] not in str(caught.value)


def test_saved_as_another_row(store):
    """A row that another process deleted meanwhile, so that the save made one, is a conflict."""
    local = LocalSwap(store)
    token = local.find_token_by_id("row 0")
    save = store.save_token

    def deleted_meanwhile(given):
        store.rows["row 7"] = store.rows.pop("row 0").but(id="row 7")
        return save(given)

    store.save_token = deleted_meanwhile
    with pytest.raises(StoreConflict):
        local.swap(token.but(access_token="mine"))


def test_states_are_forgotten(monkeypatch, provider, clock):
    """What is kept in memory does not grow for ever; what a decision needs stays."""
    monkeypatch.setattr("tokenkeep.local_swap._MOST", 4)
    store = SixMethods()
    for n in range(12):
        login = Token(user=f"user {n}", access_token="a", refresh_token=f"login-{n}/0")
        store.save_token(login.but(client_id="c", expires_at=1.0))
    local = LocalSwap(store)
    keeper = Keeper(local, providers=OneProvider(provider), clock=clock)
    provider.unreachable = True
    keeper.revoke("row 0")
    provider.extra = {"expires_in": None}
    keeper.renew("row 1")
    provider.extra = {}
    keeper.renew("row 2")
    clock.advance(100_000)
    for n in range(3, 12):
        keeper.renew(f"row {n}")

    kept = {n for n in range(12) if local.find_token_by_id(f"row {n}").renewal != Renewal()}
    assert kept == {0, 1, *range(3, 12)}
    assert local.find_token_by_id("row 0").renewal.to_revoke


def test_a_save_of_the_same_login_leaves_a_renewal_alone(keeper, store):
    """What is saved meanwhile brings nothing new: nobody else asks the provider."""
    [token] = store.get_tokens()
    claim = Claim(nonce="n", holder="h", taken_at=1_800_000_000.0, length=20.0)
    keeper.store.swap(keeper.store.reread(token.id).with_renewal(claim=claim, mints=(1.0,)))

    saved = keeper.store.save_token(token.but(scope="more"))

    assert (claim, (1.0,)) == (saved.renewal.claim, saved.renewal.mints)


@pytest.mark.parametrize("refresh_token", ["login-1/0", "login-2/0"])
def test_a_save_forgets_no_revocation(store, clock, refresh_token):
    """What the provider has still to revoke is revoked later, whoever logs in meanwhile."""
    provider = ScriptedProvider(revokes_grant=False)
    keeper = Keeper(store, providers=OneProvider(provider), clock=clock)
    [token] = store.get_tokens()
    provider.unreachable = True
    keeper.revoke(token.id)

    saved = keeper.store.save_token(token.but(refresh_token=refresh_token))
    provider.unreachable = False

    assert saved.renewal.to_revoke
    assert 1 == keeper.sweep().revoked
    assert ["login-1/0"] == provider.revoked


def test_a_save_does_not_reset_the_budget(store, clock):
    """Ten calls are ten calls, however often the token is saved in between."""
    provider = ScriptedProvider(mint_limit=3)
    keeper = Keeper(store, providers=OneProvider(provider), clock=clock)
    [token] = store.get_tokens()

    for _ in range(3):
        keeper.store.save_token(keeper.renew(token.id).but(scope="more"))
    with pytest.raises(CoolingDown):
        keeper.renew(token.id)

    assert 3 == len(provider.sent)


def test_one_for_all_keepers_of_a_store(store):
    """Two keepers of one process on one store without swap renew once."""
    assert Keeper(store).store is Keeper(store).store
    assert Keeper(store).store is not Keeper(ListStore()).store


def test_one_for_each_store(monkeypatch):
    """Two keepers made at the same moment share the state of renewals."""
    made = _Made()
    monkeypatch.setattr("tokenkeep.local_swap._made", made)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for store in [SixMethods() for _ in range(200)]:
            ours = at_once(3, lambda _, store=store: complete(store))
            assert 1 == len({id(each) for each in ours})
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("login", [{"refresh_token": "r"}, {}])
def test_the_id_of_a_deleted_row_leads_to_nobody_else(login):
    """What another user saves later with the same token is not found by it."""
    theirs = ListStore()
    store = LocalSwap(theirs)
    ana = store.save_token(Token(user="ana", access_token="a", **login))
    store.swap(ana.with_renewal(mints=(1.0,)))
    theirs.delete_token(ana.id)

    ben = store.save_token(Token(user="ben", access_token="b", **login))

    assert ben.id != ana.id
    assert (1.0,) != ben.renewal.mints
    assert store.find_token_by_id(ana.id) is None
