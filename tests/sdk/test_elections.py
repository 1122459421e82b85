"""Who may log in when logins fail, threads end, or the environment changes meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenkeep import Status, Token, open_store
from tokenkeep.clock import Clock
from tokenkeep.integrations.first_login import WAIT, FirstLogins
from tokenkeep.integrations.recent import MOST, Recent
from tokenkeep.stores.list import ListStore

LOGIN = Token(
    provider="zoho",
    client_id="c",
    client_secret="s",
    refresh_token="R",
    data_center="us",
    environment="production",
)
SANDBOX = LOGIN.but(environment="sandbox")


class SteppingClock(Clock):
    """A clock that runs while somebody waits only."""

    def __init__(self):
        self.slept = 0.0
        self.ahead = 0.0

    def monotonic(self):
        return self.slept + self.ahead

    def sleep(self, seconds):
        self.slept += seconds


@pytest.fixture
def clock():
    return SteppingClock()


@pytest.fixture
def vault():
    with open_store("memory:", keys_newest_first=[b"k" * 32]) as opened:
        yield opened


@pytest.fixture(params=["vault", "list"])
def store(request):
    """A store that all processes share, and one of the six methods alone."""
    return request.getfixturevalue("vault") if request.param == "vault" else ListStore()


@pytest.fixture
def threads():
    """Three threads that go on living."""
    pools = [ThreadPoolExecutor(1) for _ in range(3)]
    yield [lambda work, *given, pool=pool: pool.submit(work, *given).result() for pool in pools]
    for pool in pools:
        pool.shutdown()


def in_a_thread_that_ends(work, *given):
    results = []
    thread = threading.Thread(target=lambda: results.append(work(*given)))
    thread.start()
    thread.join()
    return results[0]


def save(store, logins, token):
    saved = store.save_token(token.but(id=logins.pending(token)))
    logins.done(token)
    return saved


def statuses(vault):
    return sorted(row.status.value for row in vault.iter_rows())


def test_two_environments(vault, clock):
    """One thread logs in for production and sandbox with one credential: two rows."""
    logins = FirstLogins(vault, clock)
    assert [logins.elect(LOGIN), logins.elect(SANDBOX)] == [None, None]
    assert statuses(vault) == ["pending", "pending"]
    for each in (SANDBOX, LOGIN):
        save(vault, logins, each.but(access_token=each.environment))

    assert statuses(vault) == ["ok", "ok"]
    for each in (SANDBOX, LOGIN):
        assert vault.find_token(each).access_token == each.environment


def test_saved_for_another_environment(vault, clock):
    """What was reserved for one environment is not completed by a login for another one."""
    logins = FirstLogins(vault, clock)
    assert logins.elect(LOGIN) is None
    assert logins.pending(SANDBOX) is None
    save(vault, logins, SANDBOX.but(access_token="a"))

    assert statuses(vault) == ["ok"]
    assert vault.find_token(LOGIN) is None


def test_own_reservation_taken_over(store, clock, threads):
    """A thread whose login failed does not go on trusting a reservation that another took."""
    logins = FirstLogins(store, clock)
    first, second, _ = threads
    assert first(logins.elect, LOGIN) is None
    assert second(logins.elect, LOGIN) is None
    assert clock.slept >= WAIT
    before = clock.slept
    assert first(logins.elect, LOGIN) is None

    assert clock.slept - before >= WAIT


def test_own_reservation_grown_old(store, clock, threads):
    """Asked again after long, who was elected is elected anew: others wait from then on."""
    logins = FirstLogins(store, clock)
    first, second, _ = threads
    assert first(logins.elect, LOGIN) is None
    clock.ahead = 2 * WAIT
    assert first(logins.elect, LOGIN) is None
    assert clock.slept == 0
    assert second(logins.elect, LOGIN) is None

    assert clock.slept >= WAIT


def test_two_objects(vault, clock):
    """A thread never waits for itself, by whatever object it asked before."""
    assert [FirstLogins(vault, clock).elect(LOGIN) for _ in range(2)] == [None, None]
    assert clock.slept == 0


def test_thread_ended(store, clock):
    """A retry in a new thread costs no wait when the elected thread has ended."""
    logins = FirstLogins(store, clock)
    for _ in range(3):
        assert in_a_thread_that_ends(logins.elect, LOGIN) is None

    assert clock.slept == 0


def test_one_takes_over(store):
    """Of eight threads that find the elected one gone, one logs in; the others get its login."""
    logins = FirstLogins(store, Clock())
    assert in_a_thread_that_ends(logins.elect, LOGIN) is None
    together = threading.Barrier(8)

    def log_in(number):
        together.wait()
        if logins.elect(LOGIN) is None:
            return save(store, logins, LOGIN.but(access_token=str(number))).access_token
        return None

    with ThreadPoolExecutor(8) as pool:
        saved = [each for each in pool.map(log_in, range(8)) if each is not None]

    assert saved == [store.find_token(LOGIN).access_token]


def test_dead_row_in_the_way(vault, clock):
    """A revoked row with the credential does not keep a named user from logging in."""
    logins = FirstLogins(vault, clock)
    nameless = vault.save_token(LOGIN.but(access_token="a"))
    vault.save_token(nameless.but(status=Status.REVOKED))

    assert logins.elect(LOGIN.but(user="ana")) is None
    assert clock.slept < 1


def test_many_that_fail(clock):
    """Logins that fail leave no more behind than a bounded number of notes."""
    logins = FirstLogins(ListStore(), clock)
    for number in range(3 * MOST):
        in_a_thread_that_ends(logins.elect, LOGIN.but(refresh_token=str(number)))

    assert len(logins._here) <= MOST


def test_recent():
    """Each thread remembers the last hundred things, and nothing of other threads."""
    recent = Recent()
    for number in range(MOST + 1):
        recent.note(number, str(number))
    recent.note(1, "again")

    assert recent.get(0) is None
    assert [recent.get(1), recent.get(MOST)] == ["again", str(MOST)]
    assert in_a_thread_that_ends(recent.get, 1) is None
