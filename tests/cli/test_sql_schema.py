"""The command that prints the tables of a SQL store."""

from __future__ import annotations

import json
import sqlite3

import pytest


def test_prints_what_the_store_makes(run, tmp_path):
    """A database made of what is printed is a store."""
    from tokenkeep.backends import open_backend

    path = tmp_path / "made.db"
    db = sqlite3.connect(path)
    db.executescript(run("sql-schema", "--dialect", "sqlite", "--table", "kept").stdout)
    tables = "SELECT type, name FROM sqlite_master ORDER BY name"
    made = db.execute(tables).fetchall()

    backend = open_backend(f"sql+sqlite:///{path}?table=kept")

    assert backend.scan(None, 1) == []
    assert made == db.execute(tables).fetchall()
    backend.close()
    db.close()


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ("mysql", "CHAR(32)"),
        ("mariadb", "ENGINE=InnoDB"),
        ("postgresql", 'COLLATE "C"'),
        ("oracle", "CREATE TABLE"),
        ("mssql", "CREATE TABLE"),
    ],
)
def test_dialects(run, dialect, said):
    """Each dialect has its own types; no database has to be there."""
    printed = run("sql-schema", "--dialect", dialect, "--schema", "auth").stdout

    assert said in printed
    assert "auth.tokenkeep" in printed
    assert "INSERT INTO auth.tokenkeep_schema" in printed


def test_json(run):
    """For programs."""
    document = json.loads(run("sql-schema", "--dialect", "postgresql", "--json").stdout)

    assert "postgresql" == document["dialect"]
    assert "BYTEA" in document["sql"]


def test_unknown_dialect(run):
    """A dialect nobody has is answered with those there are."""
    result = run("sql-schema", "--dialect", "dbase")

    assert 1 == result.exit_code
    assert "postgresql" in result.stderr


def test_a_name_that_is_none(run):
    """Nothing is printed that would do something else than make tables."""
    result = run("sql-schema", "--dialect", "mysql", "--table", "t; DROP TABLE x")

    assert 1 == result.exit_code
    assert "DROP" not in result.stdout
