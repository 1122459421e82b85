"""Two stores under one ring, files as the official SDK writes them, and bringing them together."""

from __future__ import annotations

import csv
import os

import pytest
from moved_tokens import NEW, copied

import tokenkeep
from tokenkeep.moving import Merge, open_source

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
            step.row.token.user or step.row.id: (step.action.value, step.reason)
            for step in copied(source, target, **options)
        }

    return _copy


@pytest.fixture
def store(open_store):
    """An empty store to import into."""
    return open_store("memory:")


@pytest.fixture
def run(store):
    """Import a file; return for each row its action and reason."""

    def _run(path, *, dry_run=False, replace=False):
        steps = Merge(open_source(path), store, replace=replace).steps(dry_run=dry_run)
        return [(step.action.value, step.reason) for step in steps]

    return _run


@pytest.fixture
def write_csv(tmp_path):
    """Write rows as the SDK's FileStore does."""

    def _write(*rows, header=NEW, **given):
        path = tmp_path / "sdk_tokens.txt"
        with path.open("w", newline="", **given) as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([row.get(column, "") for column in header] for row in rows)
        return path

    return _write
