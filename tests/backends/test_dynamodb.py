"""DynamoDB: the contract, and what is special about it, on moto's server over HTTP."""

from __future__ import annotations

import functools

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedBackendContract
from tokenkeep.testing.backend_contract import HARD_TEXTS

SHORT_TEXTS = tuple(text for text in HARD_TEXTS if len(text) < 1000)


@pytest.fixture
def url(aws):
    return aws.url("dynamodb")


class TestContract(SharedBackendContract):
    very_many = 250  # a request takes 100 keys

    @pytest.fixture
    def open_backend(self, url):
        return functools.partial(open_backend, url)

    @pytest.mark.parametrize("text", SHORT_TEXTS, ids=range(len(SHORT_TEXTS)))
    def test_any_text(self, backend, text):
        """As for all; but 64 KB in each of ten fields is more than an item of 400 KB holds."""
        super().test_any_text(backend, text)
