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
from tokenkeep.testing._contract_workers import again, digits, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.backends.base import Backend
    from tokenkeep.testing._backend_fixtures import Factory

ONE = record()


class RevisionContract(BackendFixtures):
    """The promises of ``Backend.revision``."""

    @pytest.mark.parametrize("change", ["insert", "replace", "touch", "delete", "clear"])
    @pytest.mark.parametrize("writer", [0, 1])
    def test_revision_changes_with_every_commit(
        self, connect: Factory, change: str, writer: int
    ) -> None:
        """After a commit of any kind by anybody, nobody is answered with an old revision."""
        both = connect(), connect()
        both[0].write(ONE, replaces=None)
        before = [each.revision() for each in both]
        changes: dict[str, Callable[[Backend], object]] = {
            "insert": lambda by: by.write(record("new"), replaces=None),
            "replace": lambda by: by.write(again(ONE), replaces=ONE.version),
            "touch": lambda by: by.touch(ONE.id, 5.0),
            "delete": lambda by: by.delete(ONE.id),
            "clear": lambda by: by.clear(),
        }

        changes[change](both[writer])

        assert both[0].revision() != before[0]
        assert both[1].revision() != before[1]

    def test_no_two_states_share_a_revision(self, connect: Factory) -> None:
        """However fast commits follow each other, a revision is not used again."""
        writer, reader = connect(), connect()
        old = ONE
        writer.write(old, replaces=None)
        seen = [reader.revision()]

        for turn in range(1, 101):
            new = again(old, str(turn))
            writer.write(new, replaces=old.version)
            seen.append(reader.revision())
            old = new

        assert len(set(seen)) == 101

    def test_revision_stays_without_a_commit(self, connect: Factory) -> None:
        """Reading, and writes that were refused, leave the revision as it is."""
        backend = connect()
        one = record(last_used_at=5.0)
        backend.write(one, replaces=None)
        before = backend.revision()

        backend.read(one.id)
        backend.find([("user", digits("u")), ("id", one.id)])
        backend.scan(None, 10)
        backend.due(5.0, 10)
        backend.touch(one.id, 1.0)
        backend.delete(digits("unknown"))
        for bad in (again(one), record("other", owner=one.owner)):
            with pytest.raises(StoreConflict):
                backend.write(bad, replaces=None)
        with pytest.raises(StoreConflict):
            backend.write(again(one), replaces=digits("another"))

        assert backend.revision() == before
