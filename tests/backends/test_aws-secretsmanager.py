"""Secrets Manager: the contract, but for the time of last use, on moto's server over HTTP."""

from __future__ import annotations

import functools

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedBackendContract
from tokenkeep.testing._contract_workers import again, record


class TestContract(SharedBackendContract):
    largest = 48_000  # a secret's 64 KB, in base64

    @pytest.fixture
    def open_backend(self, aws):
        return functools.partial(open_backend, aws.url())

    def test_touch(self, backend):
        """A touch does nothing: it would be one of the hundred versions of a day."""
        backend.write(record(last_used_at=3.0), replaces=None)

        backend.touch(record().id, 7.5)

        assert backend.read(record().id) == record(last_used_at=3.0)

    def test_touch_never_goes_back(self, backend):
        """Nor does it move the time on."""
        backend.write(record(), replaces=None)
        backend.touch(record().id, 7.0)

        assert backend.read(record().id) == record()

    def test_touch_does_not_disturb_a_write(self, connect):
        """The time that was first stored stays."""
        mine, yours = connect(), connect()
        mine.write(record(last_used_at=2.0), replaces=None)
        yours.touch(record().id, 7.0)

        mine.write(again(record(), last_used_at=3.0), replaces=record().version)

        assert mine.read(record().id) == again(record(), last_used_at=2.0)
