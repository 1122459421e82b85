"""What is stored opens in its own store only; two stores share nothing but a key ring."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from login_stage import refused, rows_of

from tokenkeep import Token


@pytest.fixture
def two(rotating):
    """Staging and production, with one key ring."""
    rotating.staging = f"sqlite:///{rotating.folder}/staging.db"
    rotating.production = f"sqlite:///{rotating.folder}/production.db"
    return rotating


def test_a_row_of_another_store(two):
    """Copied from staging to production, it opened there and was handed out."""
    staging, production = two.open(two.staging), two.open(two.production)
    token = staging.save_token(two.login(two.ana))
    [record] = rows_of(staging)
    production.backend.write(record, replaces=None)

    with refused("StoreTampered"):
        two.open(two.production).find_token_by_id(token.id)
    assert two.open(two.production).find_token(Token(user=two.ana)) is None


def test_two_first_processes_with_a_key_each(stage, environment):
    """
    Two processes with homes of their own made two keys for one empty store.

    Each sealed with its own, and neither opened the store afterwards.
    """
    environment.delenv("TOKENKEEP_KEYS")
    homes = [stage.folder / name / "keys" for name in ("one", "other")]
    environment.setenv("TOKENKEEP_KEY_FILE", str(homes[0]))
    first = stage.open()
    environment.setenv("TOKENKEEP_KEY_FILE", str(homes[1]))

    with refused("KeyMissing"):
        stage.open().save_token(stage.login(stage.bo))
    saved = first.save_token(stage.login(stage.ana))

    assert not homes[1].exists()
    environment.setenv("TOKENKEEP_KEY_FILE", str(homes[0]))
    assert [saved] == stage.open().get_tokens()


def test_a_copy_of_a_store_is_that_store(stage):
    """A backup that is put back opens, with the same key."""
    saved = stage.open().save_token(stage.login(stage.ana))
    with (
        closing(sqlite3.connect(stage.folder / "tokens.db")) as db,
        closing(sqlite3.connect(stage.folder / "backup.db")) as backup,
    ):
        db.backup(backup)

    restored = stage.open(f"sqlite:///{stage.folder}/backup.db")

    assert saved == restored.find_token(Token(user=stage.ana))
