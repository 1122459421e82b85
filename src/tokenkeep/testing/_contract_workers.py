"""What the processes of `SharedBackendContract` do; without pytest, which they need not load."""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import WIDTH, Backend, Record
from tokenkeep.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, MutableSequence
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

    # Of a Backend, or of a TokenStore for the contracts of those.
    Factory = Callable[[], Any]
    Work = Callable[[Any, int], object]

PATIENCE = 60.0
"""How long a process may take before the test fails, in seconds."""


def digits(text: str) -> str:
    """Return the digits, as many as those of an id, that stand for a text."""
    return sha256(text.encode()).hexdigest()[:WIDTH]


def record(name: str = "one", **changes: Any) -> Record:
    """Return a record to test with; its version and id, which is its owner, are its name's."""
    values: dict[str, Any] = {
        "id": digits(f"id of {name}"),
        "version": digits(f"first version of {name}"),
        "owner": changes.get("id", digits(f"id of {name}")),
        "kind": "row",
        "key": 1,
        "sealed": b"sealed",
    }
    return Record(**{**values, **changes})


def again(old: Record, version: str = "again", **changes: Any) -> Record:
    """Return another version of a record."""
    return replace(old, version=digits(version), **changes)


def in_threads(work: Callable[[int], Any], count: int) -> list[Any]:
    """Do *work* in threads that start together; return what it returned, None where it failed."""
    start = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        start.wait(PATIENCE)
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def in_processes(work: Work, open_backend: Factory, count: int) -> list[Any]:
    """
    Do something at the same time in several fresh processes.

    Args:
        work: Called with a backend or store opened in that process and its number.
        open_backend: Opens it. Must be picklable.
        count: How many processes.

    Returns:
        What the calls returned, in no order.

    Raises:
        AssertionError: A process failed or did not end in time.
    """
    # spawn: nothing is inherited, as between programs started by hand.
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(count)
    answers: SimpleQueue[Any] = context.SimpleQueue()
    processes = [
        context.Process(target=_process, args=(work, open_backend, number, start, answers))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(PATIENCE)
        codes = [process.exitcode for process in processes]
        if any(code != 0 for code in codes):  # None: it has not ended
            raise AssertionError(f"processes ended with {codes}")
        return [answers.get() for _ in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()
            process.close()
        answers.close()


def _process(
    work: Work, open_backend: Factory, number: int, start: Barrier, answers: SimpleQueue[Any]
) -> None:
    try:
        backend = open_backend()
    except BaseException:
        start.abort()  # nobody waits for who failed
        raise
    start.wait(PATIENCE)
    answers.put(work(backend, number))
    backend.close()


def _won(backend: Backend, new: Record, replaces: str | None) -> bool:
    try:
        backend.write(new, replaces=replaces)
    except StoreConflict:
        return False
    return True


SAVES = 15
"""How many records `race` inserts, and how often it counts."""


def race(backend: Backend, number: int) -> tuple[bool, bool]:
    """
    Write over the first version, insert a record for the one thing, save many beside others.

    Returns:
        Whether this process won the first, and the second.
    """
    replaced = _won(backend, again(record(), f"of {number}"), record().version)
    owner = digits("the one thing")
    mine = backend.id_for(owner) or digits(f"thing of {number}")
    inserted = _won(backend, record(id=mine, owner=owner), None)
    for turn in range(SAVES):
        backend.write(record(f"{number}-{turn}"), replaces=None)
        while not _count_one(backend, f"{number}-{turn}"):
            pass
    return replaced, inserted


def _count_one(backend: Backend, version: str) -> bool:
    old = backend.read(record("counter").id)
    if old is None:
        raise AssertionError("the counter is gone")
    return _won(backend, again(old, version, sealed=b"%d" % (int(old.sealed) + 1)), old.version)


# One writes, others look. They tell each other on a board of numbers that they
# share: first how many writes have returned, then for each reader how many had
# when its last look began.

TURNS = range(20, 200)
"""How often `write_and_look` writes at least, and at most, while `_LONG_ENOUGH` is not over."""

_LONG_ENOUGH = 1.0
"""In seconds."""

_OVER = 1_000_000
"""How many writes have returned when the record is deleted."""


def write_and_look(board: MutableSequence[int], backend: Backend, number: int) -> list[str]:
    """
    Write (number 0), or look what is there as often as can be, until it is deleted.

    Returns:
        What a reader saw first that was no longer so: nothing, if all is well.
    """
    try:
        if number:
            return _look(board, backend, number)
        _write(board, backend)
        return []
    finally:
        board[number] = _OVER  # nobody waits for who failed


def _write(board: MutableSequence[int], backend: Backend) -> None:
    until = time.monotonic() + _LONG_ENOUGH
    old = record("seen", sealed=b"0")
    for turn in range(1, TURNS.stop + 1):
        if turn > TURNS.start and time.monotonic() > until:
            break
        new = again(old, str(turn), sealed=b"%d" % turn)
        backend.write(new, replaces=old.version)
        _wait_for_looks(board, turn)
        old = new
    backend.delete(old.id)
    _wait_for_looks(board, _OVER)


def _wait_for_looks(board: MutableSequence[int], turn: int) -> None:
    """Note that a write has returned, and wait until everybody looked since."""
    board[0] = turn
    deadline = time.monotonic() + PATIENCE
    while min(board) < turn:
        if time.monotonic() > deadline:
            raise AssertionError("a reader does not look any more")
        time.sleep(0)


def _look(board: MutableSequence[int], backend: Backend, number: int) -> list[str]:
    wrong: list[str] = []
    kept: tuple[Hashable, int] | None = None
    deadline = time.monotonic() + PATIENCE
    while board[number] < _OVER and time.monotonic() < deadline:
        returned = board[0]
        # As the cache of the vault does it.
        revision = backend.revision()
        if kept is None or revision is None or kept[0] != revision:
            found = backend.read(record("seen").id)
            kept = revision, int(found.sealed) if found else _OVER
        if kept[1] < returned and not wrong:
            wrong.append(f"write {kept[1]} after write {returned} had returned")
        board[number] = returned
    return wrong
