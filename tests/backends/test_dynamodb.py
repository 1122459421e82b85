"""DynamoDB: the contract, on moto's server over HTTP."""

from __future__ import annotations

import functools

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedBackendContract


class TestContract(SharedBackendContract):
    very_many = 500  # each mark is a request

    @pytest.fixture
    def open_backend(self, aws):
        return functools.partial(open_backend, aws.url("dynamodb"))
