"""Secrets Manager: the contract, and what is special about it, on moto's server over HTTP."""

from __future__ import annotations

import functools
import os

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedBackendContract
from tokenkeep.testing._contract_workers import record
from tokenkeep.testing.backend_contract import HARD_TEXTS

SHORT_TEXTS = tuple(text for text in HARD_TEXTS if len(text) < 1000)


@pytest.fixture
def url(aws):
    return aws.url()


class TestContract(SharedBackendContract):
    """As for all, but for what is larger than a secret's 64 KB, and the time of last use."""

    hard_texts = SHORT_TEXTS

    @pytest.fixture
    def open_backend(self, url):
        return functools.partial(open_backend, url)

    @pytest.mark.parametrize("text", SHORT_TEXTS, ids=range(len(SHORT_TEXTS)))
    def test_any_text(self, backend, text):
        super().test_any_text(backend, text)

    @pytest.mark.parametrize(
        "sealed",
        [b"", b"\0", bytes(range(256)), b"\xff\xfe'\"; --", os.urandom(48_000)],
        ids=["empty", "nul", "all", "quotes", "48 KB"],
    )
    def test_any_bytes(self, backend, sealed):
        super().test_any_bytes(backend, sealed)

    def test_touch(self, backend):
        """A touch does nothing: it would be one of the hundred versions of a day."""
        backend.write(record(last_used_at=3.0), replaces=None)

        backend.touch("id", 7.5)

        assert backend.read("id") == record(last_used_at=3.0)

    def test_touch_never_goes_back(self, backend):
        """Nor does it move the time on."""
        backend.write(record(), replaces=None)
        backend.touch("id", 7.0)

        assert backend.read("id") == record()

    def test_touch_does_not_disturb_a_write(self, connect):
        """The time that was first stored stays."""
        mine, yours = connect(), connect()
        mine.write(record(last_used_at=2.0), replaces=None)
        yours.touch("id", 7.0)

        mine.write(record(version="2", last_used_at=3.0), replaces="1")

        assert mine.read("id") == record(version="2", last_used_at=2.0)
