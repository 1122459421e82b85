"""LocalSwap: threads and signal handlers that write while a six-method store is saving."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from renewal_scenario import USER, OneProvider, ScriptedProvider
from test_local_swap import SixMethods

from tokenkeep import Keeper, Status, StoreConflict, Token
from tokenkeep.local_swap import LocalSwap
from tokenkeep.testing import FakeClock

NOW = 1_800_000_000.0
LOGIN = Token(
    user=USER, access_token="new", refresh_token="login-2/0", client_id="c", expires_at=NOW + 3600
)


class Interrupted(SixMethods):
    """A store whose calls are interrupted, each before and after it does something."""

    def __init__(self):
        super().__init__()
        self.before, self.after = {}, {}

    def save_token(self, token):
        self.before.pop("save", lambda: None)()
        saved = super().save_token(token)
        self.after.pop("save", lambda: None)()
        return saved

    def find_token_by_id(self, token_id):
        found = super().find_token_by_id(token_id)
        self.after.pop("find", lambda: None)()
        return found


@pytest.fixture
def provider():
    return ScriptedProvider(rotates=True)


@pytest.fixture
def store():
    made = Interrupted()
    for n, user in enumerate((USER, "bob")):
        login = {"access_token": f"old of {user}", "refresh_token": f"login-{n}0/0"}
        made.save_token(
            Token(user=user, client_id="c", client_secret="s", expires_at=1.0, **login)
        )
    return made


@pytest.fixture
def keeper(store, provider):
    return Keeper(store, providers=OneProvider(provider), clock=FakeClock(NOW))


@pytest.fixture
def handler():
    """Return what makes a signal's handler act once, at the next call; nobody waits for ever."""

    def late(*_):
        raise TimeoutError("waits for ever")

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 10)

    def acting(act):
        signal.signal(signal.SIGUSR1, lambda *_: act())
        return lambda: signal.raise_signal(signal.SIGUSR1)

    yield acting
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, was in before.items():
        signal.signal(number, was)


def interrupt(keeper, point, act):
    """Let something act before or after the store's next call of a kind."""
    when, call = point
    getattr(keeper.store._store, when)[call] = act


ACTS = {
    "login": (lambda keeper: keeper.store.save_token(LOGIN), [("row 0", *LOGIN.pair)]),
    "delete": (lambda keeper: keeper.delete("row 0"), []),
    "delete all": (lambda keeper: keeper.store.delete_tokens(), []),
    "revoke": (lambda keeper: keeper.revoke("row 0"), [("row 0", None, "login-00/1")]),
}


@pytest.mark.parametrize(("act", "stored"), ACTS.values(), ids=ACTS)
def test_thread_while_a_renewal_is_saved(keeper, store, act, stored):
    """Invariant 7: what another thread was told it has done is not undone by a renewal's save."""
    saving, acted = threading.Event(), threading.Event()

    def slow():
        saving.set()
        acted.wait(0.3)  # who does not wait for the save is through by then

    with ThreadPoolExecutor(2) as pool:
        store.before["save"] = slow
        asked = pool.submit(keeper.get, user=USER)
        assert saving.wait(20)
        pool.submit(act, keeper).result(20)
        acted.set()
        asked.exception(20)

    rows = [(t.id, *t.pair) for t in store.get_tokens() if t.user == USER]
    assert rows == stored


def test_handler_revokes_another_token(keeper, store, handler):
    """A signal handler that revokes in the midst of a revoke does not wait for its own thread."""
    store.before["save"] = handler(lambda: keeper.revoke("row 1"))

    assert keeper.revoke("row 0").status is Status.REVOKED

    assert {t.status for t in store.get_tokens()} == {Status.REVOKED}


@pytest.mark.parametrize("when", ["before", "after"])
def test_handler_revokes_the_same_token(keeper, store, provider, handler, when):
    """Both revocations succeed, whichever comes first."""
    getattr(store, when)["save"] = handler(lambda: keeper.revoke("row 0"))

    assert keeper.revoke("row 0").renewal.to_revoke == ()

    assert store.rows["row 0"].status is Status.REVOKED
    assert "login-00/0" in provider.revoked


POINTS = [("after", "find"), ("before", "save"), ("after", "save")]
every_point = pytest.mark.parametrize("point", POINTS, ids="-".join)


@every_point
@pytest.mark.parametrize(
    ("act", "stored"),
    [*list(ACTS.values())[:3], (ACTS["revoke"][0], [("row 0", None)])],
    ids=ACTS,
)
def test_handler_in_the_midst_of_a_swap(keeper, handler, act, stored, point):
    """The write that was interrupted is a conflict, and what the handler wrote stays."""
    token = keeper.store.find_token_by_id("row 0")
    interrupt(keeper, point, handler(lambda: act(keeper)))

    with pytest.raises(StoreConflict, match="meanwhile"):
        keeper.store.swap(token.but(access_token="renewed", refresh_token="login-00/1"))

    rows = [(t.id, *t.pair) for t in keeper.tokens() if t.user == USER]
    assert [row[: len(stored[0])] for row in rows] == stored if stored else rows == []
    if act is ACTS["revoke"][0]:
        assert keeper.store.find_token_by_id("row 0").status is Status.REVOKED


@every_point
def test_handler_logs_in_in_the_midst_of_a_revoke(keeper, provider, handler, point):
    """Whatever is stored is revoked in the end, at the provider too: nothing lives on unseen."""
    interrupt(keeper, point, handler(lambda: keeper.store.save_token(LOGIN)))

    revoked = keeper.revoke("row 0")

    assert revoked.status is Status.REVOKED
    assert revoked.renewal.to_revoke == ()
    assert LOGIN.refresh_token in provider.revoked


def test_handler_logs_in_between_comparing_and_saving(keeper, store, handler):
    """What is known to be out of date is not saved at all: here, that the old login is dead."""
    token = keeper.store.find_token_by_id("row 0")
    store.after["find"] = handler(lambda: keeper.store.save_token(LOGIN))

    with pytest.raises(StoreConflict):
        keeper.store.swap(token.but(status=Status.LOGIN_NEEDED))

    assert store.rows["row 0"].status is Status.OK
    assert store.rows["row 0"].pair == LOGIN.pair


def test_swaps_are_forgotten(store):
    """A swap that failed is not told of later writes for ever."""
    local = LocalSwap(store)
    token = local.find_token_by_id("row 0")

    with pytest.raises(StoreConflict):
        local.swap(token.but(version="another"))

    assert local._swaps == []
