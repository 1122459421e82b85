"""The command that prints the tables of a SQL store."""

from __future__ import annotations

import sqlite3

import pytest

from tokenkeep.backends import open_backend


def test_prints_what_the_store_makes(run, tmp_path):
    """A database made of what is printed is a store."""
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
def test_dialects(run, run_json, dialect, said):
    """Each has its own types; no database has to be there; for programs in JSON."""
    asked = ("sql-schema", "--dialect", dialect, "--schema", "auth")

    printed = run(*asked).stdout

    for each in (said, "auth.tokenkeep", "INSERT INTO auth.tokenkeep_schema"):
        assert each in printed
    document = run_json(*asked)
    assert (dialect, True) == (document["dialect"], said in document["sql"])


def test_names_that_are_none(run):
    """Unknown dialects get the known ones; nothing is printed that would do something else."""
    unknown = run("sql-schema", "--dialect", "dbase")
    wrong = run("sql-schema", "--dialect", "mysql", "--table", "t; DROP TABLE x")

    assert (2, True) == (unknown.exit_code, "postgresql" in unknown.stderr)
    assert (1, "") == (wrong.exit_code, wrong.stdout)
