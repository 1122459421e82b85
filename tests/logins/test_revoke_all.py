"""Many revoked at once: here first, all of them, then at the provider until it has confirmed."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import threading
from collections import Counter, deque
from pathlib import Path

import pytest
from faulty_backend import vault_over
from interference import before_write
from killed_worker import FRESH, is_killed, work
from login_stage import refused
from reported import reported

from tokenkeep import Keeper, Status, StoreTampered, Token, TokenRevoked, saving
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.providers import Providers
from tokenkeep.providers.zoho import Zoho
from tokenkeep.records import record_id
from tokenkeep.stores.list import ListStore
from tokenkeep.token import new_id

ENVIRON = ("HOME", "TOKENKEEP_CONFIG", "TOKENKEEP_STORE", "TOKENKEEP_KEYS")


@pytest.fixture
def people(stage):
    """Six people who are logged in, each with a user of their own; every other one in the EU."""
    centers = ("us", "eu") * 3
    users = [stage.zoho.add_user(f"p{n}@x.com", data_center=c).name for n, c in enumerate(centers)]
    store = stage.open()
    logins = zip(users, centers, strict=True)
    return [store.save_token(stage.login(user, at=at, got_here=True)) for user, at in logins]


def outcomes(told):
    """Return what became of each token, by its id."""
    return {each.token.id: each.outcome for each in told}


def asking(keeper, step):
    """Let a step happen whenever this keeper's provider is asked to revoke something."""
    provider = keeper.providers.named("zoho")
    revoke = provider.revoke

    def asked(token):
        step()
        return revoke(token)

    provider.revoke = asked


def test_here_first_all_of_them(stage, people):
    """Invariant 7: as the provider hears of the first one, no process is given any of them."""
    keeper, other, seen = stage.keeper(), stage.keeper(), []
    for row in people:
        other.get(id=row.id)
    asking(keeper, lambda: seen.append({row.status for row in other.tokens()}))

    told = keeper.revoke_all(everything=True)

    assert {Status.REVOKED} == {row.status for row in other.tokens()}
    for row in people:
        with pytest.raises(TokenRevoked):
            other.get(id=row.id)
    assert (0, []) == (stage.revocations, seen)
    assert dict.fromkeys([row.id for row in people], "confirmed") == outcomes(told)
    assert [{Status.REVOKED}] * len(people) == seen
    assert set() == stage.alive()


def test_who_does_not_read_on(stage, people):
    """All are revoked here, whatever is read of what comes of it; a sweep sees to the rest."""
    keeper = stage.keeper()

    next(keeper.revoke_all(everything=True)).token.id  # noqa: B018 - and no more

    assert [] == stage.living()
    assert len(people) > stage.keeper().sweep().revoked > 0
    assert set() == stage.alive()


WANTED = {
    "user": lambda stage, _: {"user": stage.ana},
    "client_id": lambda _, row: {"client_id": row.client_id},
    "tenant": lambda stage, _: {"tenant": stage.ana.partition(":")[2]},
    "environment": lambda *_: {"environment": "sandbox"},
    "data_center": lambda *_: {"data_center": "eu"},
    "provider": lambda *_: {"provider": "acme"},
    "status": lambda *_: {"status": Status.LOGIN_NEEDED},
}


@pytest.mark.parametrize("said", WANTED)
def test_those_and_no_others(stage, said):
    """What was not meant works on; a dry run says which, and does nothing."""
    stage.zoho.add_user("cy@x.com", data_center="us", zgid="77")
    store = stage.open()
    others = {
        "user": ("cy@x.com:77", {}),
        "client_id": (stage.bo, {"client_id": "another"}),
        "tenant": ("dora@x.com:78", {}),
        "environment": (stage.bo, {"environment": "sandbox"}),
        "data_center": (stage.bo, {"at": "eu"}),
        "provider": (stage.bo, {"provider": "acme"}),
        "status": ("eli@x.com:79", {"status": Status.LOGIN_NEEDED}),
    }
    rows = {name: store.save_token(stage.login(u, **more)) for name, (u, more) in others.items()}
    rows["all"] = store.save_token(stage.login(stage.ana))
    wanted = WANTED[said](stage, rows[said])
    meant = {row.id for row in rows.values() if row.id == rows[said].id}
    if said in ("user", "tenant"):
        meant = {
            row.id
            for row in rows.values()
            if (row.user if said == "user" else row.user.partition(":")[2]) == wanted[said]
        }

    planned = list(stage.keeper().revoke_all(dry_run=True, **wanted))
    assert meant == {each.token.id for each in planned if each.outcome == "planned"}
    assert (0, 0) == (stage.revocations, stage.keeper().sweep().revoked)

    told = list(stage.keeper().revoke_all(**wanted))

    assert meant == {each.token.id for each in told}
    dead = {row.id for row in stage.open().get_tokens() if row.status is Status.REVOKED}
    assert meant == dead


@pytest.mark.parametrize("everything", [False, True])
def test_what_does_not_say_which(stage, people, everything):
    """Nothing is not everything; nor are both; and a variable that is not set is neither."""
    keeper = stage.keeper()
    asked = {"user": stage.ana} if everything else {}

    with refused("EmptyLookup"):
        keeper.revoke_all(everything=everything, **asked)
    with refused("LookupFailed"):
        keeper.revoke_all(user="", everything=everything)
    with refused("UnknownName"):
        keeper.revoke_all(provider="mars")

    assert len(people) == len(stage.living())


def test_what_became_of_each(stage, people):
    """Confirmed; not known to the provider; pending, and why, until it is asked again."""
    known, unknown, again, nothing, done, pending = people
    keeper = stage.keeper()
    stage.zoho.revoke(unknown.user)
    with stage.provider_down():
        keeper.revoke(again.id)
    nothing = stage.open().swap(nothing.but(access_token=None, refresh_token=None))
    keeper.revoke(done.id)
    stage.zoho.faults.add(endpoint="revoke", kind="status", status=503)
    (told,) = keeper.revoke_all(user=pending.user)

    assert (pending.id, "pending", True) == (told.token.id, told.outcome, "503" in told.why)
    expected = dict.fromkeys((known.id, again.id, nothing.id, pending.id), "confirmed")
    assert {**expected, unknown.id: "unknown"} == outcomes(keeper.revoke_all(everything=True))
    assert [] == list(keeper.revoke_all(everything=True))
    assert set() == stage.alive() - {stage.zoho.id_of(people[3].refresh_token)}


def test_no_secret_is_told(stage, people):
    """What is yielded names a token, and has nothing of it that opens anything."""
    secrets = {getattr(row, n) for row in people for n in ("refresh_token", "access_token")}
    secrets |= {people[0].client_secret}

    for each in stage.keeper().revoke_all(everything=True):
        assert not [secret for secret in secrets if secret in f"{each!r} {vars(each.token)}"]
        assert (each.token.status, each.token.user is None) == (Status.REVOKED, False)


STOPS = {
    "mute": ({"kind": "drop"}, "without an answer"),
    "throttling": ({"kind": "status", "status": 429}, "It is not asked before 20"),
}


@pytest.mark.parametrize("how", STOPS)
def test_a_provider_that_is_not_to_be_asked(stage, people, how):
    """It is asked once and the other one goes on; all that is pending says why, and until when."""
    fault, why = STOPS[how]
    stage.zoho.faults.add(endpoint="revoke", data_center="us", times=None, **fault)

    told = list(stage.keeper().revoke_all(everything=True))

    mute = {row.id for row in people if row.data_center == "us"}
    assert mute == {each.token.id for each in told if each.outcome == "pending"}
    assert [] == [each for each in told if each.token.id in mute and why not in each.why]
    assert len(people) - len(mute) + 1 == stage.revocations
    stage.zoho.faults.clear()
    assert len(mute) == stage.keeper().sweep().revoked
    assert set() == stage.alive()


def test_a_provider_of_ones_own_that_fails(stage, people):
    """An error that is none of ours is one token's trouble: the others are confirmed."""
    keeper = stage.keeper()
    provider = keeper.providers.named("zoho")
    revoke = provider.revoke

    def fails(token):
        if token.user == people[0].user:
            raise KeyError("a secret")
        return revoke(token)

    provider.revoke = fails

    told = list(keeper.revoke_all(everything=True))

    assert Counter(pending=1, confirmed=5) == Counter(each.outcome for each in told)
    assert ["The provider failed: KeyError"] == [each.why for each in told if each.why]
    assert 1 == keeper.sweep().unconfirmed


def test_a_sweep_asks_many_at_a_time(stage, people):
    """Four calls are under way at once: a slow provider took an hour for a thousand of them."""
    with stage.provider_down():
        list(stage.keeper().revoke_all(everything=True))
    keeper, calls = stage.keeper(), []
    meeting = threading.Barrier(4)

    def step():
        calls.append(1)
        if len(calls) > 2:  # one for each data centre until it has answered
            meeting.wait(20)

    asking(keeper, step)

    assert len(people) == keeper.sweep().revoked


def test_who_logs_in_afterwards(stage, people):
    """A login that comes in once its row was written is another one, and lives."""
    keeper, ana = stage.keeper(), people[0]

    told = keeper.revoke_all(everything=True)
    again = stage.open().save_token(stage.login(ana.user))
    found = outcomes(told)

    assert again.id == ana.id
    assert "confirmed" == found[ana.id]
    assert {ana.id: Status.OK} == {row.id: row.status for row in stage.living()}
    assert stage.works(stage.keeper().get(id=ana.id))
    assert [stage.zoho.id_of(again.refresh_token)] == [*stage.alive()]


def test_where_that_would_end_the_newer_login(make_stage):
    """It is not asked for, and said so: the old login is revoked with the new one."""
    stage = make_stage(revokes_grant=True)
    store = stage.open()
    old = store.save_token(stage.login(stage.ana))

    told = stage.keeper().revoke_all(user=stage.ana)
    new = store.save_token(stage.login(stage.ana))
    (only,) = told

    assert ("pending", True) == (only.outcome, "that login too" in only.why)
    assert stage.is_alive(old)
    assert stage.is_alive(new)
    stage.keeper().revoke(new.id)
    assert set() == stage.alive()


def test_who_logs_in_while_others_are_asked_for(make_stage):
    """Nothing is revoked that would end his login: his row is read again when it is its turn."""
    stage = make_stage(revokes_grant=True)
    store = stage.open()
    users = (stage.ana, "bo@x.com:2")
    for user in users:
        store.save_token(stage.login(user))
    with stage.provider_down():
        list(stage.keeper().revoke_all(everything=True))
    keeper, asked = stage.keeper(), []

    def step():
        asked.append(1)
        for user in users:
            store.save_token(stage.login(user))

    asking(keeper, step)
    keeper.sweep()

    assert [1] == asked
    assert 2 == len(stage.living())


def test_not_wanted_any_more(stage, people):
    """Who has logged in again before his row was written is not in the state that was said."""
    store = stage.open()
    for each in people[:2]:
        store.save_token(each.but(status=Status.LOGIN_NEEDED))
    first, second = sorted(people[:2], key=lambda each: each.id)
    keeper = stage.keeper()
    before_write(
        keeper.store, 1, lambda: store.save_token(stage.login(first.user, at=first.data_center))
    )

    found = outcomes(keeper.revoke_all(status=Status.LOGIN_NEEDED))

    assert {second.id: "confirmed"} == found
    assert Status.OK is stage.open().find_token_by_id(first.id).status


def test_written_in_between(stage, people):
    """A renewal that is saved just before does not keep its tokens alive."""
    row = min(people, key=lambda each: each.id)
    keeper = stage.keeper()
    before_write(keeper.store, 1, lambda: stage.keeper().renew(row.id))

    assert "confirmed" == outcomes(keeper.revoke_all(everything=True))[row.id]
    assert [] == stage.living()


@pytest.mark.parametrize("when", ["before", "after it was written"])
def test_a_row_that_does_not_open(stage, people, when):
    """All others are revoked; then the error is raised, or told."""
    spoilt = people[2].id

    def spoil():
        backend = stage.open().backend
        record = backend.read(record_id(spoilt))
        changed = {name: getattr(record, name) for name in record.__slots__}
        changed |= {"sealed": b"x" * 100, "version": "a" * 32}
        backend.write(type(record)(**changed), replaces=record.version)

    told = []
    if when == "before":
        spoil()
    found = stage.keeper().revoke_all(everything=True, on_error=told.append)
    if when != "before":
        spoil()

    others = {row.id for row in people} - {spoilt}
    assert dict.fromkeys(others, "confirmed") == outcomes(found)
    assert [StoreTampered] == [type(each) for each in told]
    if when == "before":
        found = stage.keeper().revoke_all(everything=True)
        with pytest.raises(StoreTampered):
            deque(found, maxlen=0)


def test_killed_and_run_again(stage, people):
    """After `kill -9` at any step it goes on: no row is written as revoked a second time."""
    environ = {name: os.environ[name] for name in ENVIRON}
    killed = [
        is_killed(environ, after, "revoke all", {}, ids_of_owners=False) for after in (3, 4, 5)
    ]
    here = len(people) - len(stage.living())
    assert [True, True, True] == killed
    assert 6 == here
    is_killed(environ, 3, "revoke all", {}, ids_of_owners=False)
    left = {row.id for row in stage.open().get_tokens() if row.renewal.to_revoke}
    assert left

    found = outcomes(stage.keeper().revoke_all(everything=True))

    assert left == {*found}
    assert {"confirmed", "unknown"} >= {*found.values()}
    assert set() == stage.alive()
    for row in stage.open().get_tokens():
        ends = [each.count for each in row.history if each.what == "revoked"]
        assert [1] == ends


def test_several_processes_at_once(stage, people):
    """Each row is revoked once, each login confirmed, and none of the processes fails."""
    environ = {name: os.environ[name] for name in ENVIRON}
    same = {"target": work, "kwargs": {"ids_of_owners": False}}
    processes = [FRESH.Process(args=(environ, 1000, "revoke all", {}), **same) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [0, 0, 0] == [process.exitcode for process in processes]
    assert set() == stage.alive()
    rows = stage.open().get_tokens()
    assert len(people) == len(rows)
    assert [] == [row for row in rows if row.renewal.to_revoke]
    events = Counter(each.what for row in rows for each in row.history)
    assert len(people) == events["revoked"]


class Counting(MemoryBackend):
    """Counts the records that come out of it."""

    read_records = 0

    def scan(self, after, limit, *, mark=None):
        found = super().scan(after, limit, mark=mark)
        self.read_records += len(found)
        return found

    def read(self, record_id):
        self.read_records += 1
        return super().read(record_id)

    def find(self, marks):
        found = super().find(marks)
        self.read_records += len(found)
        return found


class Confirming(Zoho):
    """Confirms every revocation at once, or says nothing of it."""

    says = True

    def revoke(self, token):
        del token
        return self.says


def filled(backend, number, *, client_id="c", first=0, **given):
    """Put tokens into a store as fast as it takes them, and return a keeper of it."""
    vault = vault_over(backend, cache_size=10)
    known = {"client_id": client_id, "provider": "zoho", "data_center": "us"}
    for n in range(first, first + number):
        token = Token(id=new_id(), user=f"u{n}@x.com:{n}", refresh_token=f"r{n}", **known)
        vault.adopt(saving.first(token, login=f"{n}", now=1.0).but(id=token.id))
    return Keeper(vault, providers=Providers("zoho", {"zoho": Confirming()}), **given)


@pytest.mark.parametrize(
    "said",
    [{"client_id": "leaked"}, {"user": "u1000@x.com:1000"}, {"tenant": "1000"}],
    ids=lambda said: next(iter(said)),
)
def test_by_marks(said):
    """A few of many are found without the others: three reads for each, at most."""
    backend = Counting()
    keeper = filled(backend, 500, client_id="good")
    filled(backend, 50, client_id="leaked", first=1000)
    backend.read_records = 0

    found = outcomes(keeper.revoke_all(**said))

    expected = 50 if "client_id" in said else 1
    assert expected == len(found)
    assert backend.read_records <= 3 * expected + 1


@pytest.fixture
def quick_folder(tmp_path):
    """A folder that is on no disk, where there is such a thing: there a write takes no time."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else tmp_path))
    yield folder
    shutil.rmtree(folder)


def test_a_page_of_them_is_in_memory(quick_folder):
    """Not all that are revoked: neither as they are written here, nor as they are told."""
    page, most, number = 500, [0], 2_000

    def count(event):
        if event is None or event.name == "revoked":
            turns.append(1)
        if len(turns) % 200 == 0:
            living = (type(each) is Token for each in gc.get_objects())
            most[0] = max(most[0], sum(living))

    turns = []
    with filled(SQLiteBackend(quick_folder / "tokens.db"), number, on_event=count) as keeper:
        before = sum(type(each) is Token for each in gc.get_objects())
        for _ in keeper.revoke_all(everything=True):
            count(None)

    assert 2 * number == len(turns)
    assert most[0] - before < page + 200


def test_a_provider_that_says_nothing_of_it(monkeypatch):
    """One of somebody's own that returns None has confirmed."""
    monkeypatch.setattr(Confirming, "says", None)
    keeper = filled(MemoryBackend(), 3, client_id="c")

    assert ["confirmed"] * 3 == [each.outcome for each in keeper.revoke_all(client_id="c")]


def test_a_store_of_six_methods():
    """It finds by nothing and keeps no history; what is meant is revoked all the same."""
    store = ListStore()
    keeper = Keeper(store, providers=Providers("zoho", {"zoho": Confirming()}))
    for n in range(4):
        keeper.save(Token(user=f"u{n}:{n % 2}", client_id="c", refresh_token=f"r{n}"))

    found = [each.token.user for each in keeper.revoke_all(tenant="1", status=Status.OK)]

    assert ["u1:1", "u3:1"] == sorted(found)
    dead = {row.user for row in store.get_tokens() if row.status is Status.REVOKED}
    assert {"u1:1", "u3:1"} == dead


def test_no_secret_in_a_crash_report(stage, people, monkeypatch):
    """Whatever goes wrong in the midst, the frames it goes through show no refresh token."""

    def breaks(*_):
        raise SystemExit

    keeper = stage.keeper()
    found = keeper.revoke_all(everything=True)
    monkeypatch.setattr(keeper.providers.named("zoho"), "_post", breaks)

    with pytest.raises(SystemExit) as caught:
        list(found)

    text = reported(caught.value)
    assert "Revocations." in text
    assert not [row for row in people if row.refresh_token in text]
