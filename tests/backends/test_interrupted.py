"""A signal handler that asks the store which its own thread is just using."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenkeep.backends import private_file
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing.records import record

ASKED = {
    "read": lambda backend: backend.read(record().id),
    "find": lambda backend: backend.find([("owner", record().owner)]),
    "revision": lambda backend: backend.revision(),
    "touch": lambda backend: backend.touch(record().id, 5.0),
    "close": lambda backend: backend.close(),
    "write": lambda backend: backend.write(record("written"), replaces=None),
}


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
