"""The threads of the sample application, and what it does beside answering."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet

import crm_desk.app
import crm_desk.guard
import crm_desk.pool
import crm_desk.threads
from crm_desk.connections import KEPT
from crm_desk.crm import DESK_BUSY, CrmRefused
from crm_desk.guard import Guard
from crm_desk.ledger import Ledger
from crm_desk.pool import Pool
from crm_desk.threads import AT_ONCE, Ending, Threads
from tokenkeep.errors import StoreUnavailable


@pytest.fixture
def gate():
    """What calls that hang wait for."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_each_call_is_counted_once(gate):
    """Nobody waits any more: what has begun counts until it ends, what has not no longer."""
    pools, made = Threads(), []
    pools._work["us"] = Pool(1)

    async def counted():
        for call in (gate.wait, lambda: made.append(1)):
            task = asyncio.create_task(pools.work(call, of="ana", at="us"))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait([task])
            yield pools._of["ana"]
        gate.set()
        await asyncio.sleep(0.1)
        yield pools._of["ana"]

    async def counts():
        return [count async for count in counted()]

    assert asyncio.run(counts()) == [1, 1, 0]
    assert made == []


def test_cancelled_as_it_begins():
    """However many are, a login can make as many calls as before."""
    pools = Threads()

    async def many():
        for number in range(300):
            task = asyncio.create_task(pools.work(lambda: None, of="ana"))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await asyncio.sleep(0.2)

    asyncio.run(many())

    assert dict(pools._of) == {}


def test_one_data_centre_holds_no_other_up(gate, monkeypatch):
    """However much hangs in one; a call that got no thread there was not made, and is told so."""
    pools, made = Threads(), []

    async def work():
        hanging = [
            asyncio.create_task(pools.work(gate.wait, of=f"login {number}", at="us"))
            for number in range(11)
            for _ in range(AT_ONCE)
        ]
        await asyncio.sleep(0.2)
        elsewhere = await asyncio.wait_for(pools.work(lambda: "done", of="eva", at="eu"), 5)
        monkeypatch.setattr(crm_desk.threads, "PATIENCE", 0.1)
        with pytest.raises(CrmRefused, match=DESK_BUSY):
            await pools.work(lambda: made.append(1), of="ben", at="us")
        gate.set()
        await asyncio.gather(*hanging)
        return elsewhere

    assert asyncio.run(work()) == "done"
    assert made == []


def test_no_more_threads_than_are_needed():
    """Who is done takes what is next, and nobody who waits is forgotten: a few are enough."""
    pool, done = Pool(200), threading.Event()

    def ask():
        while not done.is_set():
            pool.submit(lambda: time.sleep(0.001)).result(10)

    people = [threading.Thread(target=ask) for _ in range(8)]
    for each in people:
        each.start()
    time.sleep(2.0)
    done.set()
    for each in people:
        each.join()

    assert pool._threads <= 24


def test_idle_threads_end(monkeypatch):
    """A pool that nothing is asked of has none after a while, and starts others for what comes."""
    monkeypatch.setattr(crm_desk.pool, "IDLE", 0.05)
    pool = Pool(8)
    for _ in range(40):
        calls = [pool.submit(time.monotonic) for _ in range(8)]
        assert all(each.result(10) for each in calls)
        time.sleep(0.05)  # as they are about to end
    deadline = time.monotonic() + 10
    while pool._threads and time.monotonic() < deadline:
        time.sleep(0.01)

    assert (pool._threads, pool._idle) == (0, 0)
    assert pool.submit(lambda: "done").result(10) == "done"


def test_cancelled_calls_are_not_kept(gate):
    """What nobody waits for leaves the line, however long what is before it hangs."""
    pool = Pool(1)
    hangs = pool.submit(gate.wait)
    while not hangs.running():
        time.sleep(0.01)
    for _ in range(100):
        pool.submit(time.monotonic).cancel()
    last = pool.submit(lambda: "done")

    assert len(pool._calls) == 1
    gate.set()
    assert last.result(10) == "done"


def test_no_connection_for_each_thread(tmp_path):
    """However many threads note something at the same time, a few files stay open."""
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    threads = [threading.Thread(target=ledger.count, args=("id", "calls")) for _ in range(100)]
    with sqlite3.connect(tmp_path / "desk.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        for each in threads:
            each.start()
        time.sleep(0.5)
        other.execute("ROLLBACK")
    for each in threads:
        each.join()
    other.close()

    assert len(ledger._connections._free) == KEPT
    assert ledger.counts("id") == {"calls": 100}
    ledger.close()
    assert ledger.counts("id") == {"calls": 100}
    ledger.close()


def test_no_thread_can_be_started(monkeypatch):
    """Then nothing is done later that was said to have failed, and nothing is counted for good."""
    pools, made = Threads(), []

    async def work():
        monkeypatch.setattr(threading.Thread, "start", refuse)
        for _ in range(AT_ONCE + 1):
            with pytest.raises(CrmRefused, match=DESK_BUSY):
                await pools.work(lambda: made.append(1), of="ana", at="us")
        with pytest.raises(StoreUnavailable):
            await pools.look(lambda: made.append(1))
        monkeypatch.undo()
        return await pools.work(lambda: "done", of="ana", at="us")

    def refuse(_):
        raise RuntimeError("can't start new thread")

    assert asyncio.run(work()) == "done"
    assert made == []
    assert dict(pools._of) == {}


def test_nobody_waits_when_it_ends(gate):
    """Who waits is told whether it had begun; nothing begins any more."""
    pools, made = Threads(), []

    async def work():
        hanging = asyncio.create_task(pools.work(gate.wait))
        await asyncio.sleep(0.1)
        pools.end()
        with pytest.raises(Ending) as waited:
            await hanging
        with pytest.raises(Ending) as late:
            await pools.work(lambda: made.append(1))
        return waited.value.begun, late.value.begun

    assert asyncio.run(work()) == (True, False)
    assert made == []


def test_a_store_that_is_slow(gate, monkeypatch):
    """What is looked up and does not come in time is the store's trouble."""
    monkeypatch.setattr(crm_desk.threads, "GLANCE", 0.1)
    with pytest.raises(StoreUnavailable):
        asyncio.run(Threads().look(gate.wait))


def test_sweeping_goes_on(monkeypatch, caplog):
    """Whatever goes wrong in one sweep, there is a next one."""
    monkeypatch.setattr(crm_desk.app, "SWEEP_EVERY", 0.01)
    tries = []

    def sweep():
        tries.append(1)
        raise {1: TimeoutError, 2: RuntimeError}.get(len(tries), StoreUnavailable)("not now")

    keeper = SimpleNamespace(sweep=sweep)
    desk = SimpleNamespace(
        threads=Threads(), crm=SimpleNamespace(store=SimpleNamespace(keeper=keeper))
    )

    async def some_time():
        sweeping = asyncio.create_task(crm_desk.app._sweep(desk))
        await asyncio.sleep(0.5)
        sweeping.cancel()

    asyncio.run(some_time())

    assert len(tries) >= 4
    assert "RuntimeError: not now" in caplog.text


def test_a_form_that_takes_for_ever(monkeypatch):
    """It is given up after a while."""
    monkeypatch.setattr(crm_desk.guard, "PATIENCE", 0.1)
    settings = SimpleNamespace(host="desk", url="http://desk", is_secure=False)
    guard = Guard(None, settings, (), Threads())
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/leads",
        "headers": [(b"host", b"desk"), (b"origin", b"http://desk"), (b"content-length", b"9")],
    }
    answers = []

    async def answer(message):
        answers.append(message)

    asyncio.run(guard(scope, asyncio.Event().wait, answer))

    assert answers[0]["status"] == 408


def test_starts_while_its_store_hangs(gate, monkeypatch, caplog):
    """It waits a while for the store, and starts without it."""
    monkeypatch.setattr(crm_desk.threads, "PATIENCE", 0.1)

    class Hanging:
        @property
        def store(self):
            return gate.wait()

    asyncio.run(crm_desk.app._open(SimpleNamespace(threads=Threads(), crm=Hanging())))

    assert "The token store does not answer" in caplog.text
