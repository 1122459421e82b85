"""A signal handler that asks the store which its own thread is just using."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tokenkeep.backends import private_file
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing.records import again, digits, record

CALLS = {
    "read": lambda backend: backend.read(record().id),
    "find": lambda backend: backend.find([("owner", record().owner)]),
    "revision": lambda backend: backend.revision(),
    "touch": lambda backend: backend.touch(record().id, 5.0),
    "close": lambda backend: backend.close(),
    "open": lambda backend: (backend.close(), backend.read(record().id)),
}
ASKED = {
    **CALLS,
    "write": lambda backend: backend.write(record("written"), replaces=None),
}
del ASKED["open"]


def strike(*_, **__):
    """Be interrupted, here."""
    signal.raise_signal(signal.SIGUSR1)


@pytest.fixture
def on_signal():
    """Let a handler do something, from now on."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    yield lambda handle: signal.signal(signal.SIGUSR1, lambda *_: handle())
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    ("kind", "during", "asked"),
    [
        (FileBackend, "write", ["touch", "write"]),  # who reads need not wait for it
        *((SQLiteBackend, during, [*ASKED]) for during in ("read", "revision", "find", "write")),
    ],
)
def test_a_handler_that_asks(  # noqa: PLR0917
    kind, during, asked, tmp_path, monkeypatch, on_signal, connections
):
    """In the midst of a call it is refused by name, and the call gets its own answer."""
    backend, answers = kind(tmp_path / "tokens"), []
    backend.write(record(), replaces=None)
    expected = None if during == "write" else ASKED[during](backend)

    def handle():
        for name in asked:
            try:
                answers.append(ASKED[name](backend))
            except StoreUnavailable as exc:
                answers.append(str(exc))

    on_signal(handle)
    if kind is FileBackend:
        monkeypatch.setattr(private_file, "sync_folder", strike)
    else:
        connections[-1].set_trace_callback(strike)
    assert ASKED[during](backend) == expected
    on_signal(lambda: None)

    assert len(answers) >= len(asked)
    assert all("signal handler" in answer for answer in answers)
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(backend.scan, None, 10).result()) == 1 + (during == "write")
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
        with ThreadPoolExecutor(1) as pool:
            pool.submit(backend.read, record().id).result(30)


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
