"""``tokenkeep import``: what it says, what it refuses, and where a password comes from."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from tokenkeep import StoreError
from tokenkeep.vault import Vault

HEADER = (
    "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,"
    "expiry_time,redirect_uri,api_domain"
)
ROW = "1,ana@example.com,1000.C,secret s,secret r,secret a,secret g,,,https://www.zohoapis.eu"


@pytest.fixture
def path(tmp_path):
    """A file with one row."""
    path = tmp_path / "sdk_tokens.txt"
    path.write_text(f"{HEADER}\n{ROW}\n")
    return str(path)


@pytest.fixture
def table(mariadb, environment):  # noqa: ARG001  # first of all an empty one
    """The URL of a table with one token, without its password."""
    database = mariadb.new_database()
    texts = ", ".join(f"{name} varchar(255)" for name in HEADER.split(","))
    with closing(mariadb.connect()) as db, db.cursor() as cursor:
        cursor.execute(f"create table {database}.oauthtoken ({texts}, primary key (id))")
        marks = ", ".join(["%s"] * len(ROW.split(",")))
        cursor.execute(f"insert into {database}.oauthtoken values ({marks})", ROW.split(","))
    return f"mysql://app@{mariadb.host}:{mariadb.port}/{database}"


def test_dry_run_then_import_then_again(run, path, tmp_path, environment):
    """It shows what it will do, does it, and has nothing to do the second time."""
    with environment.context() as nothing:
        nothing.delenv("TOKENKEEP_STORE")
        assert 0 == run("import", path, "--dry-run").exit_code
    assert [path] == [str(each) for each in tmp_path.rglob("*")]
    options = ("--to", "sqlite:///x.db")
    dry = run("import", path, *options, "--dry-run")
    assert (0, False) == (dry.exit_code, (tmp_path / "x.db").exists())
    assert "2\tnew\tana@example.com\t1000.C\teu\tproduction\t\n" == dry.stdout
    assert "1 new. Dry run, nothing was written" in dry.stderr

    done = run("import", path, *options)
    assert (0, dry.stdout) == (done.exit_code, done.stdout)

    before = (tmp_path / "x.db").read_bytes()
    again = [run("import", path, *options, "--json", *more) for more in ((), ("--dry-run",))]
    listed = json.loads(run("list", "--store", "sqlite:///x.db", "--json").stdout)
    for each in again:
        row, summary = map(json.loads, each.stdout.splitlines())
        assert ("already there", "1", listed["id"]) == (row["action"], row["source_id"], row["id"])
        assert {"already there": 1} == summary["rows"]
    assert before == (tmp_path / "x.db").read_bytes()
    for each in (dry, done, *again):
        assert "secret " not in each.output


def test_what_is_skipped_or_failed_is_told(run, path, tmp_path, monkeypatch):
    """In the row, in the sum and by the exit status; it has no id."""
    run("import", path)
    other = tmp_path / "other.txt"
    other.write_text(f"{HEADER}\n{ROW.replace('secret', 'another')}\n")
    skipped, summary = map(json.loads, run("import", str(other), "--json").stdout.splitlines())
    assert ("skipped", None) == (skipped["action"], skipped["id"])
    assert "--replace" in skipped["reason"]
    assert {"skipped": 1} == summary["rows"]

    def refuse(_vault, row):
        raise StoreError("This token takes 70000 bytes", user=row.user, hint="Smaller!")

    monkeypatch.setattr(Vault, "adopt", refuse)
    told = run("import", path, "--to", "memory:")
    assert 1 == told.exit_code
    assert "2\tfailed\tana@example.com\t" in told.stdout
    assert "This token takes 70000 bytes" in told.stdout
    assert "1 failed" in told.stderr


def test_a_store_opened_on_the_source_points_here(run, path):
    """A store that is told to open the SDK's file refuses it, and names this command."""
    done = run("list", "--store", f"sqlite:///{path}")

    assert (1, True) == (done.exit_code, "tokenkeep import" in done.stderr)


def test_where_the_password_comes_from(run, table, mariadb, environment, tmp_path):
    """A file, standard input, a variable, or a URL in a variable; each of them works."""
    secret = tmp_path / "password"
    secret.write_text(f"{mariadb.password}\n")
    environment.setenv("OLD_TABLE", table.replace("app@", f"app:{mariadb.password}@"))

    done = [
        run("import", table, "--password-file", str(secret)),
        run("import", table, "--password-file", "-", stdin=mariadb.password),
        run("import", "env:OLD_TABLE"),
    ]
    environment.setenv("TOKENKEEP_SOURCE_PASSWORD", mariadb.password)
    for each in (*done, run("import", table)):
        assert (0, "ana@example.com") == (each.exit_code, each.stdout.split("\t")[2]), each.stderr
        assert mariadb.password not in each.output


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ([], 2, "SOURCE"),
        (["missing"], 1, "can't be read"),
        (["FILE", "--data-center", "mars"], 2, "mars"),
        (["FILE", "--password-file", "-"], 2, "A file takes no password"),
        (["TABLE"], 2, "--password-file or TOKENKEEP_SOURCE_PASSWORD"),
        (["postgresql://app@h/d"], 2, "tokenkeep copy"),
        (["TABLE", "--encoding", "cp1252", "--password-file", "-"], 2, "encoding"),
        (["mysql://app:@127.0.0.1:1/d"], 5, "can't be reached"),
        (["WRONG"], 5, "refuses this user or password"),
    ],
)
def test_bad_input(run, request, path, args, status, said):  # noqa: PLR0917  # a table
    """Wrong usage ends with 2, a named error with 1, what a server says with 5."""
    if {"TABLE", "WRONG"} & {*args}:
        table = request.getfixturevalue("table")
        named = {"TABLE": table, "WRONG": table.replace("app@", "app:@")}
    else:
        named = {"FILE": path}

    done = run("import", *[named.get(each, each) for each in args])

    assert (status, True) == (done.exit_code, said in done.stderr), done.stderr
