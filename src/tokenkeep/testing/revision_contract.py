"""
What a backend with a change counter promises beside `BackendContract`.

    class TestRevision(RevisionContract):
        @pytest.fixture
        def open_backend(self, tmp_path):
            return functools.partial(MyBackend, tmp_path / "tokens")

For those whose ``revision()`` is not None: what was read is handed out again
for as long as that stays the same.
"""

# ruff: noqa: S101, PLR2004 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenkeep.errors import StoreConflict
from tokenkeep.testing._backend_fixtures import BackendFixtures
from tokenkeep.testing._contract_workers import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.backends.base import Backend
    from tokenkeep.testing._backend_fixtures import Factory


class RevisionContract(BackendFixtures):
    """The promises of ``Backend.revision``."""

    @pytest.mark.parametrize("change", ["insert", "replace", "touch", "delete", "clear"])
    @pytest.mark.parametrize("writer", [0, 1])
    def test_revision_changes_with_every_commit(
        self, connect: Factory, change: str, writer: int
    ) -> None:
        """After a commit of any kind by anybody, nobody is answered with an old revision."""
        both = connect(), connect()
        both[0].write(record(), replaces=None)
        before = [each.revision() for each in both]
        changes: dict[str, Callable[[Backend], object]] = {
            "insert": lambda by: by.write(record("new"), replaces=None),
            "replace": lambda by: by.write(record(version="2"), replaces="1"),
            "touch": lambda by: by.touch("id", 5.0),
            "delete": lambda by: by.delete("id"),
            "clear": lambda by: by.clear(),
        }

        changes[change](both[writer])

        assert both[0].revision() != before[0]
        assert both[1].revision() != before[1]

    def test_no_two_states_share_a_revision(self, connect: Factory) -> None:
        """However fast commits follow each other, a revision is not used again."""
        writer, reader = connect(), connect()
        writer.write(record(version="0"), replaces=None)
        seen = [reader.revision()]

        for turn in range(1, 101):
            writer.write(record(version=str(turn)), replaces=str(turn - 1))
            seen.append(reader.revision())

        assert len(set(seen)) == 101

    def test_revision_stays_without_a_commit(self, connect: Factory) -> None:
        """Reading, and writes that were refused, leave the revision as it is."""
        backend = connect()
        backend.write(record(last_used_at=5.0), replaces=None)
        before = backend.revision()

        backend.read("id")
        backend.find("user", ["u"])
        backend.scan(None, 10)
        backend.touch("id", 1.0)
        backend.delete("unknown")
        for bad in (record(version="2"), record("other", identity=record().identity)):
            with pytest.raises(StoreConflict):
                backend.write(bad, replaces=None)
        with pytest.raises(StoreConflict):
            backend.write(record(version="2"), replaces="0")

        assert backend.revision() == before
