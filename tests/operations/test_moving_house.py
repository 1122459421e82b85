"""A store that moves to another host, or another kind of store, as docs/operations.md says it."""

from __future__ import annotations

import shutil

import pytest

from tokenkeep import Policies, Policy, StoreTooNew
from tokenkeep.testing import FakeClock

HOUR = 3600.0
SESSIONS = Policies([Policy(name="sessions", max_session=HOUR)])


def test_to_another_host(host, tmp_path):
    """Store, journal, key and configuration are all there is; what waited there is saved here."""
    old = host("old", url=f"sqlite:///{tmp_path}/data/tokens.db", rotation="rotate_reuse_kills")
    (tmp_path / "data").mkdir(mode=0o700)
    keeper = old.keeper()
    saved = old.login(keeper)
    keeper.store.set_policies(SESSIONS)
    fresh = keeper.get(id=saved.id)  # its journal is there now
    keeper.close()
    assert [] == [*(tmp_path / "data").glob("*-wal")]
    assert old.type("tokenkeep sweep").status == 0

    new = host("new", url=f"sqlite:///{tmp_path}/there/tokens.db", rotation="rotate_reuse_kills")
    (tmp_path / "there").mkdir(mode=0o700)
    new.type_page("moving", {"/var/lib/app": tmp_path / "data", "/srv/new": tmp_path / "there"})
    shutil.rmtree(tmp_path / "data")

    there = new.keeper()
    assert fresh.access_token == there.get(id=saved.id).access_token
    assert new.zoho.is_active(there.renew(saved.id).access_token)
    assert SESSIONS == there.store.policies
    assert new.type("tokenkeep doctor").status == 0


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis_server"])
def test_to_another_kind(host, kind, request):
    """While programs go on, then with a stop: ids, revocations and policies come along."""
    old = host("old")
    keeper = old.keeper()
    ana = old.login(keeper, left=HOUR)
    bo = old.zoho.add_user("bo@example.com", data_center="us").name
    bo = old.login(keeper, user=bo, left=HOUR)
    keeper.store.set_policies(SESSIONS)
    url = request.getfixturevalue(kind).url()
    copy = f"NEW={url} tokenkeep copy configured env:NEW"

    first = old.type(copy)
    fresh = keeper.renew(ana.id)
    old.zoho.faults.add(endpoint="revoke", kind="drop", times=None)
    keeper.revoke(bo.id)
    old.zoho.faults.clear()
    keeper.close()
    second = old.type(copy)

    assert (0, True) == (first.status, "FROM's policies go along" in first.text)
    assert (0, True, False) == (second.status, "2 update" in second.text, "polic" in second.text)
    new = host("new", url=url)
    there = new.keeper()
    assert fresh.access_token == there.get(id=ana.id).access_token
    assert SESSIONS == there.store.policies
    assert "revoked: 1" in new.type("tokenkeep sweep").text
    assert not new.zoho.is_active(bo.refresh_token)


def test_a_session_goes_on_in_the_copy(host, tmp_path):
    """It ends when it would have ended in the old store, not an hour after it was moved."""
    old, clock = host("old"), FakeClock()
    keeper = old.keeper(clock=clock)
    ana = old.login(keeper, left=9 * HOUR)
    keeper.store.set_policies(SESSIONS)
    assert old.type(f"tokenkeep copy configured sqlite:///{tmp_path}/new.db").status == 0
    there = host("new", url=f"sqlite:///{tmp_path}/new.db").keeper(clock=clock)
    assert ana.id == there.get(id=ana.id).id

    for each in (clock, old.zoho.clock):
        each.advance(HOUR)

    assert 1 == there.sweep().ended


def test_a_newer_version_has_set_policies(host):
    """An older one that does not know a setting stops: it would not hold to it."""
    here = host()
    keeper = here.keeper()
    here.login(keeper)
    newer = Policies(SESSIONS.rules)
    newer.facts = lambda: [{**SESSIONS.facts()[0], "not_known_yet": 1.0}]

    with pytest.raises(StoreTooNew):  # it is written, and read again at once
        keeper.store.set_policies(newer)

    told = here.type("tokenkeep list")
    assert (1, True) == (told.status, "Upgrade tokenkeep" in told.text)
    with pytest.raises(StoreTooNew):
        here.keeper()
