"""Two stores under one ring, and rows of every kind to copy."""

from __future__ import annotations

import os

import pytest
from moved_tokens import copied

import tokenkeep

KEYS = [os.urandom(32), os.urandom(32)]
"""Newest first."""


@pytest.fixture
def open_store(tmp_path):
    """Open a store by its URL, or a new one of a kind; closed after the test."""
    opened = []

    def _open(url="sqlite", *, keys=KEYS):
        if url in ("sqlite", "file"):
            url = f"{url}:///{tmp_path}/{len(opened)}.store"
        opened.append(tokenkeep.open_store(url, keys_newest_first=keys, environ={}))
        return opened[-1]

    yield _open
    for store in opened:
        store.close()


@pytest.fixture
def source(open_store):
    """A store whose rows are sealed under the older key."""
    return open_store(keys=KEYS[::-1])


@pytest.fixture
def target(open_store):
    """An empty store."""
    return open_store()


@pytest.fixture
def copy(source, target):
    """Copy; return what was done with each user's or id's row, as action and reason."""

    def _copy(**options):
        return {
            step.row.token.user or step.row.token.id: (step.action.value, step.reason)
            for step in copied(source, target, **options)
        }

    return _copy
