"""What SECURITY.md says of those who may write to the database, and have no key."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tokenkeep import Policies, Policy, PolicyEnded, StoreUnavailable
from tokenkeep.backends.base import HEADER
from tokenkeep.testing import FakeClock

DAY = 86_400.0
IDLE = Policy(name="idle", idle=DAY)
SESSIONS = Policy(name="sessions", max_session=10 * DAY)


@pytest.fixture
def attacked(host, tmp_path):
    """A keeper with a clock, a good token, and a way to write past it."""
    here, clock = host(), FakeClock()
    keeper = here.keeper(clock=clock)
    saved = here.login(keeper, left=30 * DAY)

    def write(statement, *values):
        with closing(sqlite3.connect(tmp_path / "tokens.db")) as db, db:
            db.execute(statement, values)

    def later(seconds):
        for each in (clock, here.zoho.clock):
            each.advance(seconds)

    return here, keeper, saved, write, later


def test_an_older_header(attacked):
    """Its policies hold for who starts anew; who has known the newer ones refuses it."""
    here, keeper, saved, write, later = attacked
    old = keeper.store.backend.read(HEADER)
    keeper.store.set_policies(Policies([SESSIONS]))
    write("UPDATE token SET sealed = ?, version = ? WHERE id = ?", old.sealed, old.version, HEADER)
    later(61.0)

    with pytest.raises(StoreUnavailable, match="older one"):
        keeper.get(id=saved.id)
    assert Policies() == here.keeper().store.policies


def test_a_use_that_never_was(attacked):
    """It keeps an idle token from ending, not one whose session is over."""
    _, keeper, saved, write, later = attacked
    keeper.store.set_policies(Policies([IDLE, SESSIONS]))
    write("UPDATE token SET last_used_at = ? WHERE kind = 'row'", 9e9)

    later(2 * DAY)
    assert keeper.get(id=saved.id).access_token == saved.access_token
    later(9 * DAY)
    with pytest.raises(PolicyEnded, match="sessions"):
        keeper.get(id=saved.id)


def test_nothing_is_due(attacked):
    """No sweep ends it then; who asks is refused all the same, and that writes it down."""
    _, keeper, saved, write, later = attacked
    keeper.store.set_policies(Policies([SESSIONS]))
    later(121.0)
    keeper.sweep()  # has looked at all by the new policies
    write("UPDATE token SET due_at = NULL")
    later(11 * DAY)

    assert 0 == keeper.sweep().ended
    with pytest.raises(PolicyEnded):
        keeper.get(id=saved.id)


def test_a_heartbeat_of_the_future(attacked):
    """Probes fail by it, and say that a clock is wrong; tokens are handed out all the same."""
    _, keeper, saved, write, _ = attacked
    header = keeper.store.backend.read(HEADER)
    beaten = header.sealed[:-1] + b', "heartbeat": 9000000000.0}'
    write("UPDATE token SET sealed = ? WHERE id = ?", beaten, HEADER)

    health = keeper.health()

    assert ["clock"] == [each.check for each in health.troubles]
    assert keeper.get(id=saved.id).access_token == saved.access_token
    assert keeper.health().ok  # its own is the last one by now
