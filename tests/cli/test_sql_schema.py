"""The command that prints the tables of a SQL store."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tokenkeep.backends import open_backend


def test_prints_what_the_store_makes(run, tmp_path):
    """A database made of what is printed is a store."""
    path = tmp_path / "made.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(run("sql-schema", "--dialect", "sqlite", "--table", "kept").stdout)
        tables = "SELECT type, name FROM sqlite_master ORDER BY name"
        made = db.execute(tables).fetchall()

        backend = open_backend(f"sql+sqlite:///{path}?table=kept")

        assert backend.scan(None, 1) == []
        assert made == db.execute(tables).fetchall()
        backend.close()


@pytest.mark.parametrize(
    ("dialect", "said"),
    [("mariadb", "ENGINE=InnoDB"), ("postgresql", 'COLLATE "C"'), ("oracle", "CREATE TABLE")],
)
def test_dialects(run, run_json, dialect, said):
    """Each has its own types; no database has to be there; for programs in JSON."""
    asked = ("sql-schema", "--dialect", dialect)

    printed = run(*asked).stdout

    assert said in printed
    assert {"dialect": dialect, "sql": printed} == run_json(*asked)
