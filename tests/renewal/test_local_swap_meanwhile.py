"""LocalSwap: threads and signal handlers that come while a six-method store is saving."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from renewal_scenario import USER, OneProvider, ScriptedProvider
from test_local_swap import SixMethods

from tokenkeep import Keeper, Status, StoreUnavailable, Token
from tokenkeep.testing import FakeClock

NOW = 1_800_000_000.0
LOGIN = Token(
    user=USER, access_token="new", refresh_token="login-2/0", client_id="c", expires_at=NOW + 3600
)


class Interrupted(SixMethods):
    """A store in which something happens before its next save."""

    before_save = None

    def save_token(self, token):
        step, self.before_save = self.before_save, None
        if step:
            step()
        return super().save_token(token)


@pytest.fixture
def store():
    made = Interrupted()
    for number, user in enumerate((USER, "bob")):
        login = {"access_token": f"old of {user}", "refresh_token": f"login-{number}0/0"}
        made.save_token(
            Token(user=user, client_id="c", client_secret="s", expires_at=1.0, **login)
        )
    return made


@pytest.fixture
def keeper(store):
    provider = ScriptedProvider(rotates=True)
    return Keeper(store, providers=OneProvider(provider), clock=FakeClock(NOW))


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
        store.before_save = slow
        asked = pool.submit(keeper.get, user=USER)
        assert saving.wait(20)
        pool.submit(act, keeper).result(20)
        acted.set()
        asked.exception(20)

    rows = [(t.id, *t.pair) for t in store.get_tokens() if t.user == USER]
    assert rows == stored


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
