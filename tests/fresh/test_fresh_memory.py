"""Of very many tokens that are stored, renewals ahead cost what is due, and no memory."""

from __future__ import annotations

import secrets
import tracemalloc
from dataclasses import replace

from fresh_stage import DAY, MINUTE, Stage

from tokenkeep.backends.base import WIDTH
from tokenkeep.backends.sqlite import SQLiteBackend

MANY, DUE = 20_000, 200


def measured(path, beside):
    """Return how many bytes it takes to renew some, with so many tokens beside them."""
    stage = Stage(SQLiteBackend(path))
    stage.clock.advance(10 * MINUTE)
    stage.here.sweep()  # policies are applied for good: nobody looks at all of them
    for number in range(DUE):
        stage.login(f"user{number}")
    like = next(each for each in stage.backend.scan(None, 10) if each.kind == "row")
    bare = replace(like, user=None, client=None, access=None, refresh=None, grant=None)
    later = stage.clock.now() + 30 * DAY
    for _ in range(beside // 100):
        ids = [secrets.token_hex(WIDTH // 2) for _ in range(100)]
        rows = [replace(bare, id=each, owner=each, due_at=later) for each in ids]
        assert [] == stage.backend.insert(rows)
    keeper, told = stage.host(), []  # has nothing in its cache
    tracemalloc.start()
    renewed = keeper.keep_fresh(on_error=told.append, workers=1).renewed
    took = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (DUE, []) == (renewed, told)  # the others don't open: nobody has tried
    return took


def test_memory(tmp_path):
    """With 20,000 tokens beside those that are due it takes what it takes without."""
    few, many = measured(tmp_path / "few.db", 0), measured(tmp_path / "many.db", MANY)

    assert many < few * 1.2
