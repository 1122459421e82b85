"""The contract fails for backends that are wrong in the ways that backends are wrong."""

from __future__ import annotations

import re
from textwrap import dedent, indent

pytest_plugins = ["pytester"]

WRONG = {
    # Seen in the backend of a new contributor, which passed every other test.
    "its revision moves before the commit": (
        "FileBackend",
        "test_processes_see_what_was_written",
        """
        def write(self, record, *, replaces):
            self._counter.write_text(str(uuid4()))
            super().write(record, replaces=replaces)

        def revision(self):
            return self._counter.exists() and self._counter.read_text()

        @property
        def _counter(self):
            return self.home.with_suffix(".revision")
        """,
    ),
    "its revision moves before the commit, among threads": (
        "MemoryBackend",
        "test_threads_see_what_was_written",
        """
        moved = 0

        def write(self, record, *, replaces):
            self.moved += 1
            sleep(0.0005)
            super().write(record, replaces=replaces)

        def revision(self):
            return self.moved
        """,
    ),
    "its revision counts its own commits alone": (
        "FileBackend",
        "test_processes_see_what_was_written",
        """
        own = 0

        def write(self, record, *, replaces):
            super().write(record, replaces=replaces)
            self.own += 1

        def revision(self):
            return self.own
        """,
    ),
    "it remembers what it read": (
        "FileBackend",
        "test_processes_see_what_was_written",
        """
        def read(self, record_id):
            kept = self.__dict__.setdefault("kept", {})
            return kept.setdefault(record_id, super().read(record_id))

        def revision(self):
            return None
        """,
    ),
    "it deletes from memory alone": (
        "FileBackend",
        "test_reopened_after_a_deletion",
        """
        def delete(self, record_id, *, replaces=None):
            self.__dict__.setdefault("deleted", set()).add(record_id)
            return True

        def read(self, record_id):
            if record_id in self.__dict__.get("deleted", ()):
                return None
            return super().read(record_id)

        def close(self):
            self.__dict__.pop("deleted", None)
            super().close()
        """,
    ),
    "it replaces in two steps": (
        "FileBackend",
        "test_interrupted",
        """
        def write(self, record, *, replaces):
            if replaces is not None:
                self.delete(record.id, replaces=replaces)
            super().write(record, replaces=None)
        """,
    ),
    "it answers with what was left by an interruption": (
        "MemoryBackend",
        "test_interrupted",
        """
        def read(self, record_id):
            answers = self.__dict__.setdefault("answers", [])
            answers.append(super().read(record_id))
            for _ in range(3000):
                pass  # as one who waits for a server
            return answers.pop(0)
        """,
    ),
    "it compares before it writes": (
        "MemoryBackend",
        "test_threads_race",
        """
        def write(self, record, *, replaces):
            stored = self.read(record.id)
            if (stored and stored.version) != replaces:
                raise StoreConflict("changed")
            sleep(0.02)
            self.delete(record.id)
            super().write(record, replaces=None)
        """,
    ),
    "it lists a mark page by page of all": (
        "MemoryBackend",
        "test_scan_by_mark",
        """
        def scan(self, after, limit, *, mark=None):
            page = super().scan(after, limit)
            return [each for each in page if not mark or getattr(each, mark[0]) == mark[1]]
        """,
    ),
    "its pages of what is due follow each other by time alone": (
        "MemoryBackend",
        "test_due_in_pages",
        """
        def due(self, before, limit, *, after=None):
            return super().due(before, limit, after=after and (after[0], "g"))
        """,
    ),
    "it has a revision that nobody tests": (
        "MemoryBackend",
        "test_a_revision_has_its_contract",
        "",
    ),
}

HEAD = """
from functools import partial
from time import sleep
from uuid import uuid4

import pytest

from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import StoreConflict
from tokenkeep.testing import BackendContract, RevisionContract, SharedBackendContract
"""

CLASS = """
class {name}({base}):
    "A wrong backend, or the right one."
{body}

class Test{name}({contracts}):
    @pytest.fixture
    def open_backend(self, tmp_path):
        if "{base}" == "FileBackend":
            return partial({name}, tmp_path / "tokens")
        backend = {name}()
        return lambda: backend
"""


def class_of(name, base, test, body=""):
    shared = "Shared" if base == "FileBackend" else ""
    revision = "" if test == "test_a_revision_has_its_contract" else ", RevisionContract"
    return CLASS.format(
        name=name,
        base=base,
        body=indent(dedent(body), "    "),
        contracts=f"{shared}BackendContract{revision}",
    )


def test_wrong_backends_fail(pytester):
    """Each of these mistakes breaks the promise named with it, which the right ones keep."""
    classes = [class_of(f"Right{base}", base, "") for base in ("FileBackend", "MemoryBackend")]
    right = {f"TestRight{base}::{test}" for base, test, body in WRONG.values() if body}
    wrong = set()
    for number, (base, test, body) in enumerate(WRONG.values()):
        classes.append(class_of(f"Wrong{number}", base, test, body))
        wrong.add(f"TestWrong{number}::{test}")
    path = pytester.makepyfile(HEAD + "".join(classes))

    # In a process of its own: pytester unloads what tests loaded, the errors too.
    result = pytester.runpytest_subprocess(
        "-q", "-rfp", "--tb=no", "-p", "no:cacheprovider",
        *(f"{path.name}::{name}" for name in sorted(right | wrong)),
    )  # fmt: skip

    outcomes = {
        kind: set(re.findall(rf"{kind} \S+?::(Test\w+::\w+)", result.stdout.str()))
        for kind in ("PASSED", "FAILED")
    }
    assert outcomes["FAILED"] == wrong
    assert outcomes["PASSED"] >= right
