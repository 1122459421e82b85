"""A signal handler that asks the store which its own thread is just using."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
from itertools import count

import pytest

from tokenkeep.backends import private_file
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing._contract_workers import again, digits, record

CALLS = {
    "read": lambda backend: backend.read(record().id),
    "find": lambda backend: backend.find([("owner", record().owner)]),
    "revision": lambda backend: backend.revision(),
    "touch": lambda backend: backend.touch(record().id, 5.0),
    "close": lambda backend: backend.close(),
    "open": lambda backend: (backend.close(), backend.read(record().id)),
}


class Interruption:
    """What a handler does in the midst of a call; what came of it, each time."""

    def __init__(self):
        self.ask = lambda: None
        self.answers = []

    def handle(self, *_):
        try:
            self.answers.append(self.ask())
        except StoreUnavailable as exc:
            self.answers.append(str(exc))

    def strike(self, *_, **__):
        """Be interrupted, here."""
        signal.raise_signal(signal.SIGUSR1)


@pytest.fixture
def interruption():
    interruption = Interruption()
    before = signal.signal(signal.SIGUSR1, interruption.handle)
    yield interruption
    signal.signal(signal.SIGUSR1, before)


def in_sqlite(path, _, interruption):
    backend = SQLiteBackend(path)
    backend._link.db.set_trace_callback(interruption.strike)
    return backend


def in_a_file(path, monkeypatch, interruption):
    backend = FileBackend(path)
    monkeypatch.setattr(private_file, "sync_folder", interruption.strike)
    return backend


@pytest.mark.parametrize("make", [in_sqlite, in_a_file])
def test_interrupted_write(make, tmp_path, monkeypatch, interruption):
    """A handler that asks in the midst of a write is refused by name, and nothing hangs."""
    backend = make(tmp_path / "tokens", monkeypatch, interruption)
    interruption.ask = lambda: backend.write(record("handler"), replaces=None)

    backend.write(record(), replaces=None)

    assert interruption.answers
    assert all("signal handler" in answer for answer in interruption.answers)
    found = []
    thread = threading.Thread(target=lambda: found.extend(backend.scan(None, 10)))
    interruption.ask = lambda: None
    thread.start()
    thread.join()
    assert found == [record()]
    backend.close()


@pytest.mark.parametrize("asked", ["read", "revision", "find", "touch", "close"])
@pytest.mark.parametrize("during", ["read", "revision", "find"])
def test_interrupted_read(asked, during, tmp_path, interruption):
    """Whatever a handler asks during whatever call: that call gets its own answer."""
    ask, during = CALLS[asked], CALLS[during]
    backend = in_sqlite(tmp_path / "tokens", None, interruption)
    backend.write(record(), replaces=None)
    expected = during(backend)
    interruption.answers.clear()
    interruption.ask = lambda: ask(backend)

    assert during(backend) == expected

    assert interruption.answers
    assert all("signal handler" in answer for answer in interruption.answers)
    interruption.ask = lambda: None
    assert during(backend) == expected
    backend.close()


class Watchdog:
    """Raise after the n-th step of our code, where a signal handler may."""

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, _):
        code = frame.f_code
        ours = "tokenkeep/backends/" in code.co_filename.replace(os.sep, "/")
        # A generator that is closed is called too, but no handler runs there.
        if ours and (
            event == "c_return" or (event == "call" and not code.co_flags & inspect.CO_GENERATOR)
        ):
            self.left -= 1
            if not self.left:
                raise TimeoutError("the application's watchdog")


def until_uninterrupted(call):
    """Make a call again and again, interrupted one step later each time; yield what was raised."""
    for at in range(1, 10_000):
        watchdog = Watchdog(at)
        sys.setprofile(watchdog)
        try:
            call()
        except TimeoutError as exc:
            sys.setprofile(None)
            yield exc  # not over: what it passed is still held by its traceback
        else:
            assert watchdog.left > 0, "what it raised was swallowed"
            return
        finally:
            sys.setprofile(None)


# Python's own open() may be interrupted before anybody could close the file.
interrupts_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(params=[SQLiteBackend, FileBackend, MemoryBackend])
def backend(request, tmp_path):
    memory = request.param is MemoryBackend
    backend = MemoryBackend() if memory else request.param(tmp_path / "tokens", busy_timeout=0.5)
    backend.write(record(), replaces=None)
    yield backend
    backend.close()


@interrupts_open
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_handler_that_raises(backend, call):
    """What a handler raises comes through, whatever it is, and the store goes on."""
    for raised in until_uninterrupted(lambda: call(backend)):
        assert str(raised) == "the application's watchdog"
        assert backend.read(record().id).version == record().version
        reader = threading.Thread(target=backend.read, args=(record().id,))
        reader.start()
        reader.join(30)
        assert not reader.is_alive()


@interrupts_open
def test_a_handler_that_raises_in_a_write(backend):
    """In a write, too; after it the old or the new record is there, and can be replaced."""
    versions = (again(record(), f"{n}", access=digits(f"{n}")) for n in count())
    tried, revisions = [record(), next(versions)], [None]

    def write():
        revisions[:] = [backend.revision()]
        backend.write(tried[1], replaces=tried[0].version)

    for raised in until_uninterrupted(write):
        assert str(raised) == "the application's watchdog"
        stored = backend.read(record().id)
        assert stored == tried[0] or (stored == tried[1] and backend.revision() != revisions[0])
        for each in tried:
            found = backend.find([("access", each.access or digits("none"))])
            assert found == ([stored] if stored == each and each.access else [])
        tried[:] = [next(versions), next(versions)]
        backend.write(tried[0], replaces=stored.version)
    assert backend.scan(None, 10) == backend.find([("access", tried[1].access)]) == [tried[1]]
