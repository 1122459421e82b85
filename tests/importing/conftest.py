"""Files as the official SDK writes them, and a store to take them over into."""

from __future__ import annotations

import csv
import os
import sqlite3

import pytest
from sdk_rows import NEW

import tokenkeep
from tokenkeep.moving import Defaults, Merge, open_source


@pytest.fixture
def store():
    store = tokenkeep.open_store("memory:", keys_newest_first=[os.urandom(32)], environ={})
    yield store
    store.close()


@pytest.fixture
def run(store):
    """Import a file; return for each row its action and reason."""

    def _run(path, *, encoding=None, dry_run=False, replace=False, **defaults):
        source = open_source(path, encoding=encoding, defaults=Defaults(**defaults))
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
            for row in rows:
                writer.writerow([row.get(column, "") for column in header])
        return path

    return _write


@pytest.fixture
def write_db(tmp_path):
    """Write rows as the SDK's sample does."""

    def _write(*rows, mode="delete"):
        path = tmp_path / "zohooauth.db"
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        columns = [name.replace("redirect_uri", "redirect_url") for name in NEW]
        db.execute(f"CREATE TABLE oauthtoken ({', '.join(f'{c} varchar(255)' for c in columns)})")
        for row in rows:
            values = [row.get(column) for column in NEW]
            db.execute(f"INSERT INTO oauthtoken VALUES ({', '.join('?' * len(NEW))})", values)
        db.close()
        return path

    return _write
