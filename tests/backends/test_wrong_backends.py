"""The contract fails for backends that are wrong in the ways that backends are wrong."""

from __future__ import annotations

from functools import partial
from inspect import signature
from time import sleep
from uuid import uuid4

import pytest

from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import StoreConflict
from tokenkeep.testing import BackendContract, RevisionContract, SharedBackendContract


class MovesBeforeTheCommit(FileBackend):
    """Seen in the backend of a new contributor, which passed every other test."""

    def write(self, record, *, replaces):
        self._counter.write_text(str(uuid4()))
        super().write(record, replaces=replaces)

    def revision(self):
        return self._counter.exists() and self._counter.read_text()

    @property
    def _counter(self):
        return self.home.with_suffix(".revision")


class MovesBeforeTheCommitAmongThreads(MemoryBackend):
    moved = 0

    def write(self, record, *, replaces):
        self.moved += 1
        sleep(0.0005)
        super().write(record, replaces=replaces)

    def revision(self):
        return self.moved


class CountsItsOwnCommitsAlone(FileBackend):
    own = 0

    def write(self, record, *, replaces):
        super().write(record, replaces=replaces)
        self.own += 1

    def revision(self):
        return self.own


class RemembersWhatItRead(FileBackend):
    def read(self, record_id):
        kept = self.__dict__.setdefault("kept", {})
        return kept.setdefault(record_id, super().read(record_id))


class DeletesFromMemoryAlone(FileBackend):
    def delete(self, record_id, *, replaces=None):  # noqa: ARG002
        self.__dict__.setdefault("deleted", set()).add(record_id)
        return True

    def read(self, record_id):
        gone = record_id in self.__dict__.get("deleted", ())
        return None if gone else super().read(record_id)

    def close(self):
        self.__dict__.pop("deleted", None)
        super().close()


class ReplacesInTwoSteps(FileBackend):
    def write(self, record, *, replaces):
        if replaces is not None:
            self.delete(record.id, replaces=replaces)
        super().write(record, replaces=None)


class AnswersWithWhatAnInterruptionLeft(MemoryBackend):
    def read(self, record_id):
        answers = self.__dict__.setdefault("answers", [])
        answers.append(super().read(record_id))
        for _ in range(3000):
            pass  # as one who waits for a server
        return answers.pop(0)


class ComparesBeforeItWrites(MemoryBackend):
    def write(self, record, *, replaces):
        stored = self.read(record.id)
        if (stored and stored.version) != replaces:
            raise StoreConflict("changed")
        sleep(0.02)
        self.delete(record.id)
        super().write(record, replaces=None)


class ListsAMarkPageByPageOfAll(MemoryBackend):
    def scan(self, after, limit, *, mark=None):
        page = super().scan(after, limit)
        return [each for each in page if not mark or getattr(each, mark[0]) == mark[1]]


class GoesOnByTimeAlone(MemoryBackend):
    def due(self, before, limit, *, after=None):
        return super().due(before, limit, after=after and (after[0], "g"))


class HasARevisionThatNobodyTests(MemoryBackend):
    pass


WRONG = {
    MovesBeforeTheCommit: "test_processes_see_what_was_written",
    MovesBeforeTheCommitAmongThreads: "test_threads_see_what_was_written",
    CountsItsOwnCommitsAlone: "test_processes_see_what_was_written",
    RemembersWhatItRead: "test_processes_see_what_was_written",
    DeletesFromMemoryAlone: "test_reopened_after_a_deletion",
    ReplacesInTwoSteps: "test_interrupted",
    AnswersWithWhatAnInterruptionLeft: "test_interrupted",
    ComparesBeforeItWrites: "test_threads_race",
    ListsAMarkPageByPageOfAll: "test_scan_by_mark",
    GoesOnByTimeAlone: "test_due_in_pages",
    HasARevisionThatNobodyTests: "test_a_revision_has_its_contract",
}


class Everything(SharedBackendContract, RevisionContract):
    """All that is promised."""


def run(contract, test, kind, path):
    """Run a test of a contract, as pytest does, on one kind of backend."""
    opens = partial(kind, path) if issubclass(kind, FileBackend) else kind
    given = {"open_backend": opens, "connect": opens, "backend": opens(), "field": "user"}
    method = getattr(contract, test)
    method(**{name: given[name] for name in signature(method).parameters})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("kind", "test"), WRONG.items())
def test_wrong_backends_fail(kind, test, tmp_path):
    """Each of these mistakes breaks the promise beside it, which the right ones keep."""
    tests = BackendContract if kind is HasARevisionThatNobodyTests else Everything
    run(Everything(), test, kind.__base__, tmp_path / "right")

    with pytest.raises((AssertionError, pytest.fail.Exception, StoreConflict, IndexError)):
        run(tests(), test, kind, tmp_path / "wrong")
