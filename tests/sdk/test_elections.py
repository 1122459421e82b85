"""Who may log in when logins fail, threads end, or a holder is elsewhere."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from faulty_backend import PLACE, Faulty, vault_over

from tokenkeep import RenewalTimeout, Status, StoreUnavailable, Token, holder
from tokenkeep.clock import Clock
from tokenkeep.integrations.first_login import LENGTH, WAIT, FirstLogins
from tokenkeep.local_swap import complete
from tokenkeep.lookup import first_login_of
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock
from tokenkeep.token import Claim

LOGIN = Token(client_secret="s", refresh_token="R", **PLACE)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=["vault", "list"])
def store(request):
    """A store that all processes share, and one of the six methods alone."""
    return vault_over(Faulty()) if request.param == "vault" else complete(ListStore())


@pytest.fixture
def logins(store, clock):
    return FirstLogins(store, clock)


@pytest.fixture
def living():
    """A thread that goes on living between what it is asked to do."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda work, *given: pool.submit(work, *given).result()


def in_a_thread_that_ends(work, *given):
    results = []
    thread = threading.Thread(target=lambda: results.append(work(*given)))
    thread.start()
    thread.join()
    return results[0]


def test_holder_lives(logins, clock, living):
    """Who lives is waited for, and not for ever; once it is over, the next one logs in."""
    assert living(logins.elect, LOGIN) is None
    with pytest.raises(RenewalTimeout, match="is logging in with the same credential"):
        logins.elect(LOGIN)
    assert sum(clock.slept) == pytest.approx(WAIT, abs=1)
    clock.advance(10 * LENGTH)
    with pytest.raises(RenewalTimeout):
        logins.elect(LOGIN)
    living(logins.over)
    clock.slept.clear()

    assert logins.elect(LOGIN) is None
    assert clock.slept == []


def test_nobody_in_the_way(store, logins, clock):
    """Neither a thread itself, by whatever object, nor another environment or client."""
    for each in (LOGIN, LOGIN.but(environment="sandbox"), LOGIN.but(data_center="eu")):
        assert logins.elect(each) is None
        assert FirstLogins(store, clock).elect(each) is None
        assert in_a_thread_that_ends(logins.elect, each.but(client_id="another")) is None

    assert clock.slept == []


def test_holder_on_another_host(logins, store, clock):
    """Nobody can tell whether it lives: a minute after it was first seen, it is over."""
    elsewhere = json.dumps(json.loads(holder.me()) | {"host": "other", "boot": "another"})
    claim = Claim(nonce="n", holder=elsewhere, taken_at=clock.now(), length=LENGTH)
    store.hold(first_login_of(LOGIN), claim)
    with pytest.raises(RenewalTimeout, match="other/"):
        logins.elect(LOGIN)
    before = sum(clock.slept)

    assert logins.elect(LOGIN) is None
    assert sum(clock.slept) == pytest.approx(LENGTH, abs=3)
    assert before < LENGTH


def test_one_takes_over(store):
    """Of eight threads that find the elected one gone, one logs in; the others get its login."""
    logins = FirstLogins(store, Clock())
    assert in_a_thread_that_ends(logins.elect, LOGIN) is None
    together = threading.Barrier(8)
    saved = []

    def log_in(number):
        together.wait()
        found = logins.elect(LOGIN)
        if found is None:
            found = store.save_token(LOGIN.but(access_token=str(number)))
            saved.append(found)
            logins.over()
        return found.access_token

    with ThreadPoolExecutor(8) as pool:
        given = set(pool.map(log_in, range(8)))

    assert given == {each.access_token for each in saved}
    assert len(saved) == 1


def test_dead_row_in_the_way(logins, store, clock):
    """A revoked row with the credential does not keep a named user from logging in."""
    nameless = store.save_token(LOGIN.but(access_token="a"))
    store.save_token(nameless.but(status=Status.REVOKED))

    assert logins.elect(LOGIN.but(user="ana")) is None
    assert clock.slept == []


def test_given_up_once_the_store_is_back(clock, living):
    """A lease that could not be given up with the store away is given up by the next look."""
    backend = Faulty()
    logins = FirstLogins(vault_over(backend), clock)
    assert logins.elect(LOGIN) is None
    delete = backend.delete
    backend.delete = Mock(side_effect=StoreUnavailable("the request was lost"))
    logins.over()
    backend.delete = delete
    logins.over()

    assert living(logins.elect, LOGIN) is None
    assert clock.slept == []
