"""What the processes of `SharedBackendContract` do; without pytest, which they need not load."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import Backend, Record
from tokenkeep.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

    # Of a Backend, or of a TokenStore for the contracts of those.
    Factory = Callable[[], Any]
    Work = Callable[[Any, int], object]

PATIENCE = 60.0
"""How long a process may take before the test fails, in seconds."""


def record(record_id: str = "id", **changes: Any) -> Record:
    """Return a record to test with; its identity is its own unless given."""
    values: dict[str, Any] = {
        "id": record_id,
        "version": "1",
        "identity": f"identity of {record_id}",
        "key_id": "key",
        "sealed": b"sealed",
    }
    return Record(**{**values, **changes})


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
        if any(codes):
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
    start.wait(PATIENCE)
    backend = open_backend()
    answers.put(work(backend, number))
    backend.close()


def replace_first_version(backend: Backend, number: int) -> bool:
    """Try to write over version 1; say whether this process won."""
    try:
        backend.write(record(version=f"of {number}"), replaces="1")
    except StoreConflict:
        return False
    return True


def insert_same_identity(backend: Backend, number: int) -> bool:
    """Try to insert a record for the one thing; say whether this process won."""
    try:
        backend.write(record(f"id {number}", identity="the one thing"), replaces=None)
    except StoreConflict:
        return False
    return True


SAVES = 15
"""How many records `save_many` inserts and how often it counts."""


def save_many(backend: Backend, number: int) -> int:
    """Insert records of one's own, and count in one that all share; return the conflicts."""
    conflicts = 0
    for turn in range(SAVES):
        backend.write(record(f"{number}-{turn}"), replaces=None)
        while not _count_one(backend, f"{number}-{turn}"):
            conflicts += 1
    return conflicts


def _count_one(backend: Backend, version: str) -> bool:
    old = backend.read("counter")
    if old is None:
        raise AssertionError("the counter is gone")
    new = replace(old, version=version, sealed=b"%d" % (int(old.sealed) + 1))
    try:
        backend.write(new, replaces=old.version)
    except StoreConflict:
        return False
    return True
