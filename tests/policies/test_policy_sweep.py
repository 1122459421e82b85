"""What a sweep does by policies, whoever else is at it, and wherever it breaks off."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from interference import Crash, crash
from policy_stage import ANA, BEN, DAY, HOUR, MINUTE, NOON, Stage, ruled

from tokenkeep import Policies, Policy, PolicyEnded, Status, StoreTampered, Token
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.records import ENDED, record_id


def swept(stage, host=None):
    """Sweep, and return what was done by policies, without what was not."""
    done = (host or stage.here).keeper.sweep()
    told = ("ended", "postponed", "purged", "revoked", "unconfirmed")
    return {name: count for name in told if (count := getattr(done, name))}


def test_ended(stage):
    """What is over is ended without anybody asking, and revoked at the provider."""
    stage.rule(name="sessions", max_session=12 * HOUR)
    first = stage.here.login()
    stage.settle()
    stage.clock.advance(6 * HOUR)
    second = stage.here.login(user=BEN)
    assert swept(stage) == {}
    stage.clock.advance(6 * HOUR)

    assert [each.token.id for each in stage.here.keeper.planned()] == [first.id]
    assert swept(stage) == {"ended": 1, "revoked": 1}
    assert swept(stage) == {}

    assert stage.here.get(first).since == NOON + 12 * HOUR
    assert stage.here.get(second) == "ok"
    assert first.refresh_token in stage.revoked


def test_purged(stage):
    """What works no more is deleted after a time: a revoked one, and one that needs a login."""
    stage.rule(keep_dead=7 * DAY)
    revoked, dead, living = (stage.here.login(user=f"u{n}@x:1") for n in range(3))
    stage.here.keeper.revoke(revoked.id)
    stage.here.vault.swap(
        stage.here.vault.reread(dead.id).but(status=Status.LOGIN_NEEDED, updated_at=NOON)
    )
    stage.settle()
    stage.clock.advance(7 * DAY - 122)
    assert swept(stage) == {}
    stage.clock.advance(1)

    told = [(each.token.id, each.what, each.why) for each in stage.here.keeper.planned()]
    assert sorted(told) == sorted((each.id, "delete", "policy rule") for each in (revoked, dead))
    assert swept(stage) == {"purged": 2}
    assert [each.id for each in stage.here.keeper.tokens()] == [living.id]


def test_purged_alive(stage):
    """Invariant 15: what was rejected, or replaced, may be alive: purged, it is revoked."""
    stage.rule(keep_dead=7 * DAY)
    given = stage.here.login(refresh_token="imported", grant_token=None)
    stage.here.login(refresh_token="newer")
    row = stage.here.vault.reread(given.id)
    stage.here.vault.swap(row.but(status=Status.LOGIN_NEEDED, updated_at=stage.clock.now()))
    stage.clock.advance(8 * DAY)

    stage.unreachable = False
    assert swept(stage)["purged"] == 1
    swept(stage)

    assert {"imported", "newer"} <= {*stage.revoked}
    assert [] == list(stage.here.keeper.tokens())


def test_purged_and_back(stage):
    """Who logs in again meanwhile keeps the row."""
    stage.rule(keep_dead=7 * DAY)
    token = stage.here.login()
    stage.here.keeper.revoke(token.id)
    stage.clock.advance(7 * DAY)
    vault, other = stage.here.vault, stage.host()
    delete, logins = vault.delete_version, []

    def late(*what):
        logins.append(other.login())
        return delete(*what)

    vault.delete_version = late

    assert swept(stage) == {}
    assert logins[0].id == token.id
    assert stage.here.get(token) == "ok"


def test_action_delete(stage):
    """Deleted here, it is kept out of sight until the provider has confirmed its revocation."""
    stage.rule(max_session=HOUR, action="delete")
    token = stage.here.login()
    stage.clock.advance(HOUR)
    stage.here.keeper.clock_errors.learn(token.issuer, 0.0)
    stage.unreachable = True

    assert swept(stage) == {"ended": 1, "purged": 1, "unconfirmed": 1}

    assert list(stage.here.keeper.tokens()) == []
    assert [each.kind for each in stage.backend.scan(None, 9) if each.kind == ENDED] == [ENDED]
    assert swept(stage) == {"unconfirmed": 1}
    stage.unreachable = False
    assert swept(stage) == {"revoked": 1}
    assert token.refresh_token in stage.revoked
    assert [each.kind for each in stage.backend.scan(None, 9) if each.kind == ENDED] == []


def test_action_delete_after_it_was_asked_for(stage):
    """A row that was ended as somebody asked for it is deleted by the next sweep."""
    stage.rule(max_session=HOUR, action="delete")
    token = stage.here.login()
    stage.clock.advance(HOUR)
    assert isinstance(stage.here.get(token), PolicyEnded)

    assert [each.what for each in stage.here.keeper.planned()] == ["delete"]
    assert swept(stage) == {"purged": 1, "revoked": 1}
    assert list(stage.here.keeper.tokens()) == []


def test_deleted_by_its_user(stage):
    """What lives on of a token that was deleted here is not revoked by a policy later."""
    stage.rule(max_session=DAY)
    token = stage.here.login()
    again = stage.here.login()  # the first login is to be revoked
    stage.unreachable = True
    stage.here.keeper.delete(token.id)
    stage.clock.advance(2 * DAY)
    stage.unreachable = False

    assert [each.what for each in stage.here.keeper.planned()] == ["confirm"]
    swept(stage)

    assert token.refresh_token in stage.revoked
    assert again.refresh_token not in stage.revoked


def test_idle(stage):
    """A token that is used now and then does not end; one that is not does, and not early."""
    stage.rule(idle=DAY)
    stage.settle()
    used, idle = stage.here.login(), stage.here.login(user=BEN)
    hosts = [stage.here, stage.host(), stage.host()]
    for n in range(30):  # by several, at odd times; the idle one for the last time in the first
        stage.clock.advance(23.9 * HOUR if n % 5 == 4 else 17 * MINUTE)
        assert hosts[n % 3].get(used) == "ok"
        if n == 0:
            assert hosts[1].get(idle) == "ok"
            last = stage.clock.now()
        before = swept(stage, hosts[n % 2])
        assert ("ended" in before) <= (stage.clock.now() >= last + DAY)

    assert stage.here.get(idle).since <= last + DAY + HOUR
    assert stage.here.get(used) == "ok"


@pytest.mark.parametrize("by", ["id", "user"])
@pytest.mark.parametrize("pause", [50.0, 299.0, 899.0, 3599.0, 3601.0])
def test_idle_never_early(stage, by, pause):
    """However use falls between two notes of it, a token lives as long as it may after that."""
    stage.rule(idle=HOUR)
    stage.settle()
    token = stage.here.login()
    asked = {"id": token.id} if by == "id" else {"user": ANA}
    for _ in range(7):
        stage.clock.advance(min(pause, HOUR))
        stage.here.keeper.get(**asked)
    stage.clock.advance(HOUR - 1)

    assert swept(stage) == {}
    assert stage.host().get(token) == "ok"


def test_idle_of_what_was_used_before_it_was_set(stage):
    """Use is noted once an hour until an idle time asks for more: it may be that much later."""
    token = stage.here.login()
    stage.clock.advance(30)
    assert stage.here.get(token) == "ok"
    stage.clock.advance(55 * MINUTE)
    assert stage.here.get(token) == "ok"  # this is not noted

    stage.rule(idle=15 * MINUTE)
    stage.clock.advance(14 * MINUTE)

    assert swept(stage) == {}
    assert [*stage.here.keeper.planned(ruled(idle=15 * MINUTE))] == []
    assert stage.host().get(token) == "ok"


@pytest.mark.parametrize("call", ["renew", "rejected"])
def test_idle_however_it_is_used(stage, call):
    """What is renewed on purpose, or handed out after a refusal, is in use."""
    stage.rule(idle=2 * HOUR)
    token = stage.here.login()
    keeper = stage.here.keeper

    for _ in range(12):
        stage.clock.advance(20 * MINUTE)
        if call == "renew":
            keeper.renew(token.id)
        else:
            keeper.rejected(token.id, str(stage.here.vault.reread(token.id).access_token))
    swept(stage)

    assert stage.here.get(token) == "ok"


def test_put_off(stage):
    """A row that is due, though it was used since, is looked at once, not by each sweep."""
    stage.rule(idle=DAY)
    token = stage.here.login()
    stage.settle()
    stage.clock.advance(20 * HOUR)
    assert stage.here.get(token) == "ok"
    stage.clock.advance(5 * HOUR)
    assert len(stage.backend.due(stage.clock.now(), 9)) == 1

    swept(stage)

    assert stage.backend.due(stage.clock.now(), 9) == []
    assert stage.backend.read(record_id(token.id)).due_at == NOON + 121 + 20 * HOUR + DAY + HOUR


def test_policy_that_was_removed(stage):
    """What was due by a policy that is gone is put off once, and nothing happens to it."""
    stage.rule(max_session=HOUR)
    token = stage.here.login()
    stage.here.vault.set_policies(Policies())
    stage.clock.advance(2 * HOUR)
    assert stage.backend.read(record_id(token.id)).due_at is not None

    assert swept(stage) == {}

    assert stage.backend.read(record_id(token.id)).due_at is None
    assert stage.here.get(token) == "ok"


def test_set_later(stage):
    """What is stored already is found by the next sweep after policies were set."""
    tokens = [stage.here.login(user=f"u{n}@x:1") for n in range(3)]
    stage.clock.advance(2 * HOUR)
    stage.rule(max_session=HOUR)
    assert not stage.here.vault.is_applied

    assert len([*stage.here.keeper.planned()]) == 3
    assert swept(stage)["ended"] == 3
    assert not stage.here.vault.is_applied  # others may not have taken it up yet
    stage.settle()
    assert stage.here.vault.is_applied
    assert all(isinstance(stage.here.get(each), PolicyEnded) for each in tokens)


def test_written_by_the_old_ones(stage):
    """A row that is written while the walk is far beyond it is looked at by the next walk."""
    other = stage.host()
    token = other.login()
    stage.rule(max_session=HOUR)
    vault = stage.here.vault
    due_of = vault.due_of

    def slowly(row):  # a large store: the walk takes longer than a process takes up policies
        found = due_of(row)
        stage.clock.advance(200)
        return found

    vault.due_of = slowly
    assert vault.apply_policies()

    assert not vault.is_applied
    assert token.id


PAIRS = {"by a login": False, "by what was set later": True}


@pytest.mark.parametrize("is_later", PAIRS.values(), ids=PAIRS)
def test_at_most(stage, is_later):
    """With one login too many the user's oldest one ends, and nobody else's."""
    if not is_later:
        stage.rule(name="two", at_most_per_user=2)
    rows = []
    for client in ("a", "b", "c", "d"):
        rows.append(stage.here.login(client_id=client))
        stage.clock.advance(HOUR)
    stage.here.login(user=BEN)
    if is_later:
        stage.rule(name="two", at_most_per_user=2)
        assert {each.token.id for each in stage.here.keeper.planned()} == {r.id for r in rows[:2]}
    swept(stage)

    found = [stage.here.get(each) for each in rows]

    assert [getattr(each, "policy", each) for each in found] == ["two", "two", "ok", "ok"]
    # As of the login that was one too many.
    assert [each.since for each in found[:2]] == [NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert sum(each.status is Status.OK for each in stage.here.keeper.tokens()) == 3


@pytest.mark.parametrize("off", [200.0, DAY])
def test_at_most_by_a_clock_that_is_ahead(stage, off):
    """Who has just logged in stays, though another host's clock says that it was there before."""
    stage.rule(at_most_per_user=1)
    ahead = stage.host(off=off)
    first = ahead.login(client_id="a")

    second = stage.here.login(client_id="b")

    assert stage.here.get(second) == "ok"
    assert isinstance(stage.here.get(first), PolicyEnded)


def test_at_most_again(stage):
    """Who logs in again where they are logged in has no login more; where it ended, a new one."""
    stage.rule(at_most_per_user=2)
    first, second = (stage.here.login(client_id=client) for client in "ab")
    stage.clock.advance(HOUR)
    stage.here.login(client_id="a")
    assert stage.here.get(first) == stage.here.get(second) == "ok"

    stage.clock.advance(HOUR)
    stage.here.login(client_id="c")
    assert isinstance(stage.here.get(second), PolicyEnded)  # by now it is the oldest
    stage.clock.advance(HOUR)
    stage.here.login(client_id="b")

    assert stage.here.get(second) == "ok"
    assert isinstance(stage.here.get(first), PolicyEnded)


def test_two_logins_at_once(stage):
    """Of two that log in at the same time each sees the other, at least the later one."""
    stage.rule(at_most_per_user=1)
    barrier = threading.Barrier(4)

    def login(client):
        host = stage.host()
        barrier.wait()
        host.login(client_id=client)

    threads = [threading.Thread(target=login, args=(client,)) for client in "abcd"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    left = [each for each in stage.here.keeper.tokens() if each.status is Status.OK]
    assert len(left) == 1


def test_a_login_is_saved_all_the_same(stage, monkeypatch):
    """That others can't be counted now costs nobody the login; the next one sees to it."""
    stage.rule(at_most_per_user=1)
    first = stage.here.login(client_id="a")
    stage.clock.advance(1)
    vault = stage.here.vault
    with monkeypatch.context() as patch:
        patch.setattr(
            vault, "_one_too_many", lambda *_: (_ for _ in ()).throw(StoreTampered("odd"))
        )
        second = stage.here.login(client_id="b")
    assert stage.here.get(first) == stage.here.get(second) == "ok"

    stage.clock.advance(1)
    stage.here.login(client_id="b")

    assert isinstance(stage.here.get(first), PolicyEnded)


def test_row_that_does_not_open(stage):
    """One that does not open holds nothing up: not the walk, not a sweep, not what is foreseen."""
    tokens = sorted((stage.here.login(user=f"u{n}@x:1") for n in range(3)), key=lambda t: t.id)
    stage.rule(max_session=HOUR)
    record = stage.backend.read(record_id(tokens[1].id))
    stage.backend.write(
        replace(record, sealed=b"\0" * 50, version="a" * 32, due_at=0.0), replaces=record.version
    )
    stage.clock.advance(HOUR)

    foreseen = []
    with pytest.raises(StoreTampered):
        foreseen.extend(stage.here.keeper.planned())
    troubles = []
    done = stage.here.keeper.sweep(on_error=troubles.append)

    assert done.ended == 2
    assert {type(each) for each in troubles} == {StoreTampered}
    stage.clock.advance(121)
    stage.here.keeper.sweep(on_error=troubles.append)
    assert stage.here.vault.is_applied
    seen = []
    with pytest.raises(StoreTampered):
        seen.extend(each.token.id for each in stage.here.keeper.planned())


def test_two_sweeps_at_once(stage):
    """Two sweeps end each token once, and count it once; the history has one end."""
    stage.rule(max_session=HOUR)
    tokens = [stage.here.login(user=f"u{n}@x:1") for n in range(40)]
    stage.settle()
    stage.clock.advance(HOUR)
    hosts, done = [stage.host() for _ in range(3)], []
    threads = [
        threading.Thread(target=lambda h=host: done.append(h.keeper.sweep())) for host in hosts
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sum(each.ended for each in done) == 40
    for token in tokens:
        row = stage.here.vault.reread(token.id)
        assert [each.what for each in row.history] == ["login", "revoked"]
        assert row.renewal.to_revoke == ()
        assert token.refresh_token in stage.revoked


@pytest.mark.parametrize("number", range(1, 7))
def test_crash(stage, monkeypatch, number):
    """A sweep that ends at any write leaves nothing that the next one does not finish."""
    stage.rule(max_session=HOUR, action="delete")
    token = stage.here.login()
    stage.settle()
    stage.clock.advance(HOUR)
    left = iter(range(1, 100))
    write, delete = MemoryBackend.write, MemoryBackend.delete

    def crashing(call):
        def _call(*args, **given):
            if next(left) == number:
                crash()
            return call(*args, **given)

        return _call

    with monkeypatch.context() as patch:
        patch.setattr(MemoryBackend, "write", crashing(write))
        patch.setattr(MemoryBackend, "delete", crashing(delete))
        with suppress(Crash):
            stage.here.keeper.sweep()
    other = stage.host()
    for _ in range(2):
        other.keeper.sweep()

    assert token.refresh_token in stage.revoked
    assert list(other.keeper.tokens()) == []
    kinds = {each.kind for each in stage.backend.scan(None, 9)}
    assert ENDED not in kinds


def test_crash_before_the_provider_knows(stage, monkeypatch):
    """After the end of a token and before its revocation: nobody gets it, and a sweep goes on."""
    stage.rule(max_session=HOUR)
    token = stage.here.login()
    stage.clock.advance(HOUR)
    monkeypatch.setattr(stage.here.keeper.providers.one, "revoke", lambda _: crash())
    with pytest.raises(Crash):
        stage.here.keeper.sweep()

    other = stage.host()
    assert isinstance(other.get(token), PolicyEnded)
    assert other.keeper.sweep().revoked == 1
    assert token.refresh_token in stage.revoked


def test_provider_that_does_not_answer(stage):
    """Many that are over wait for a provider that is gone once in all, not once each."""
    stage.rule(max_session=HOUR)
    for n in range(20):
        stage.here.login(user=f"u{n}@x:1")
    stage.settle()
    stage.clock.advance(HOUR)
    stage.unreachable, stage.probes = True, 0
    fresh = stage.host()

    assert swept(stage, fresh) == {"postponed": 20}
    assert stage.probes == 1


def test_everything_is_deleted(stage):
    """That tokens will be due by a policy is no reason to keep any when all are deleted."""
    stage.rule(max_session=DAY)
    stage.here.login()

    stage.here.vault.delete_tokens()

    assert list(stage.here.keeper.tokens()) == []
    assert stage.here.vault.ruled.policies == ruled(max_session=DAY)


def test_foreseen_is_what_happens():
    """What is foreseen for policies that are not set yet is what sweeps do once they are."""
    stage = Stage()
    rules = Policies(
        [
            Policy(name="s", max_session=12 * HOUR, user="*@a:*"),
            Policy(name="i", idle=DAY),
            Policy(name="d", keep_dead=DAY),
            Policy(name="n", at_most_per_user=1, user="many*", action="delete"),
        ]
    )
    rows = [stage.here.login(user=f"u{n}@{'ab'[n % 2]}:1") for n in range(4)]
    rows += [stage.here.login(user="many@b:1", client_id=client) for client in "xyz"]
    stage.here.keeper.revoke(rows[1].id)
    stage.clock.advance(25.5 * HOUR)
    new = stage.here.login(user="new@a:1")
    assert stage.here.get(rows[3]) == "ok"

    foreseen = {each.token.id: each.what for each in stage.here.keeper.planned(rules)}
    assert stage.here.vault.policies == Policies()
    stage.here.vault.set_policies(rules)
    stage.settle()
    stage.here.keeper.sweep()

    after = {each.id: each.status for each in stage.here.keeper.tokens()}
    happened = {
        row.id: "delete" if row.id not in after else "revoke"
        for row in [*rows, new]
        if after.get(row.id) is not Status.OK
    }
    assert happened == foreseen
    assert isinstance(rows[0], Token)
