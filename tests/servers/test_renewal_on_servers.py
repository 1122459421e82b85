"""One renewal for a fleet of hosts: whole on PostgreSQL, its heart on every kind of server."""

from __future__ import annotations

import pytest
from cases import KINDS
from renewal_processes import Fleet

from tokenkeep import Status, StoreUnavailable, open_store

pytestmark = pytest.mark.timeout(240)


def slow_elsewhere(kind, *more):
    """Return parameters: what is slow on the other servers, and always tested on PostgreSQL."""
    marks = () if kind == "postgres" else pytest.mark.slow(part="ci")
    return pytest.param(kind, *more, marks=marks)


whole_on_postgresql = pytest.mark.parametrize(
    "place", [slow_elsewhere(kind) for kind in KINDS], indirect=True
)


@pytest.fixture
def fleet(place, zoho, tmp_path, monkeypatch):
    """One expired token at that place."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Fleet(zoho, tmp_path, url=place.url) as made:
        yield made


def answers(workers):
    """Let all ask at once; return what each was told."""
    for worker in workers:
        worker.ask("get")
    return [worker.told(timeout=120) for worker in workers]


def test_16_processes_on_4_hosts(fleet):
    """Invariant 2: one expiry, one call, and everybody gets the answer."""
    hosts = [fleet.host(f"host{n}") for n in range(4)]
    workers = [worker for host in hosts for worker in fleet.start(4, host=host)]

    told = answers(workers)

    assert {each.get("access_token") for each in told} == {fleet.stored.access_token}
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)


@pytest.mark.parametrize(
    ("place", "what"),
    [
        *((kind, "revoke") for kind in KINDS),
        *(slow_elsewhere(kind, what) for kind in KINDS for what in ("delete", "login")),
    ],
    indirect=["place"],
)
def test_acknowledged_while_a_renewal_is_in_flight(fleet, what):
    """Invariant 7: what was acknowledged meanwhile stands."""
    held = fleet.held_up(endpoint="token")
    holder = fleet.start(host=fleet.host("holder"))
    holder.ask("get")
    assert held.wait(60)
    other = fleet.start(host=fleet.host("other"))
    if what == "login":
        again = fleet.login(left=3000.0)
    else:
        other.ask(what)
        assert "error" not in other.told(timeout=60)
    fleet.release()
    told = holder.told(timeout=60)

    stored = fleet.stored
    if what == "revoke":
        assert stored.status is Status.REVOKED
        assert told["error"] == "TokenRevoked"
    elif what == "delete":
        assert stored is None
        assert told["error"] == "TokenNotFound"
    else:
        assert stored.pair == again.pair
        assert told["access_token"] == again.access_token


@whole_on_postgresql
def test_server_killed_in_the_middle_of_a_renewal(fleet, place):
    """Invariant 4: the answer is handed out, kept, and saved when the server is back."""
    held = fleet.held_up()
    holder = fleet.start()
    holder.ask("get")
    assert held.wait(60)
    place.server.kill()
    fleet.release()
    told = holder.told(timeout=120)
    place.server.start()

    again = fleet.start()
    again.ask("sweep")
    again.told(timeout=120)
    (after,) = answers([again])

    assert told.get("access_token") == after.get("access_token") == fleet.stored.access_token
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)


@pytest.mark.parametrize("place", ["mariadb"], indirect=True)
def test_a_server_that_takes_no_changes(fleet, place):
    """
    Invariant 3: as on a standby, what is good is handed out, and the provider is not asked.

    Each write says that it was not done. Once the server takes changes, the store that was open
    goes on without a restart.
    """

    def read_only(value):
        with place.server.connect() as admin:
            admin.cursor().execute(f"SET GLOBAL read_only = {value}")

    keeper, before, empty = fleet.keeper(), fleet.stored, place.server.url()
    fleet.zoho.add_user("good@example.com")
    good = fleet.login("good@example.com", left=3000.0)
    read_only(1)
    try:
        with open_store(empty, environ=place.environment) as nothing:
            assert [] == nothing.get_tokens()
        for write in (
            lambda: open_store(empty, make=True, environ=place.environment),
            lambda: keeper.get(id=fleet.id),
            lambda: keeper.save(before.but(access_token="new", expires_at=None)),
            lambda: keeper.revoke(fleet.id),
            lambda: keeper.delete(fleet.id),
        ):
            with pytest.raises(StoreUnavailable, match=r"read-only.*primary"):
                write()
        assert good.access_token == keeper.get(id=good.id).access_token
        assert (0, before) == (fleet.calls, fleet.stored)
    finally:
        read_only(0)

    assert fleet.works(keeper.get(id=fleet.id))
    assert fleet.calls == 1
