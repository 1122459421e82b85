"""The command that prints the tables of a SQL store; that they are right is in tests/servers."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("dialect", "said"), [("mariadb", "`kept_user`"), ("postgresql", 'COLLATE "C"')]
)
def test_dialects(run, run_json, dialect, said):
    """Each has its own types; no database has to be there; for programs in JSON."""
    asked = ("sql-schema", "--dialect", dialect, "--table", "kept")

    printed = run(*asked).stdout

    assert said in printed
    assert {"dialect": dialect, "sql": printed} == run_json(*asked)
