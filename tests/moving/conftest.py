"""Two stores under one ring, files as the official SDK writes them, and bringing them together."""

from __future__ import annotations

import csv
import os
import sqlite3
from contextlib import closing

import pytest
from moved_tokens import NEW, copied

import tokenkeep
from tokenkeep.moving import Defaults, Merge, open_source

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


@pytest.fixture
def store(open_store):
    """An empty store to import into."""
    return open_store("memory:")


@pytest.fixture
def run(store):
    """Import a file; return for each row its action and reason."""

    def _run(path, *, dry_run=False, replace=False, **defaults):
        source = open_source(path, defaults=Defaults(**defaults))
        steps = Merge(source, store, replace=replace).steps(dry_run=dry_run)
        return [(step.action.value, step.reason) for step in steps]

    return _run


@pytest.fixture
def write_csv(tmp_path):
    """Write rows as the SDK's FileStore does."""

    def _write(*rows, header=NEW, name="sdk_tokens.txt", **given):
        path = tmp_path / name
        with path.open("w", newline="", **given) as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([row.get(column, "") for column in header] for row in rows)
        return path

    return _write


@pytest.fixture
def write_db(tmp_path):
    """Write rows as the SDK's sample does."""

    def _write(*rows, mode="delete"):
        path = tmp_path / "zohooauth.db"
        columns = ", ".join(NEW).replace("redirect_uri", "redirect_url")
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"PRAGMA journal_mode = {mode}").fetchall()
            db.execute(f"CREATE TABLE oauthtoken ({columns})")
            marks = ", ".join("?" * len(NEW))
            for row in rows:
                db.execute(f"INSERT INTO oauthtoken VALUES ({marks})", [*map(row.get, NEW)])
        return path

    return _write
