"""One row that does not open hides no other one."""

from __future__ import annotations

import itertools
import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from tokenkeep import Keeper, StoreError, StoreTampered, Token, open_store
from tokenkeep.records import ROW

COUNT = 12
DAMAGES = {
    "a broken seal": lambda record: replace(record, sealed=record.sealed[:-1] + b"x"),
    "an unknown key": lambda record: replace(record, key=7),
    "garbage that is text": lambda record: replace(record, sealed=b"REDACTED by ops" * 9),
    "a newer tokenkeep's": lambda record: replace(record, sealed=b"\x09" + record.sealed),
}
URLS = ("sqlite:///tokens.db", "file:///tokens.json")


@pytest.fixture
def rows(request, configured, environment):  # noqa: ARG001  # its providers first
    """A store, and its rows in the order of their ids."""
    environment.setenv("TOKENKEEP_STORE", getattr(request, "param", URLS[0]))
    known = Token(client_id="c", data_center="us", expires_at=9e9)
    with open_store() as store:
        saved = [
            store.save_token(known.but(user=f"u{n}", access_token=f"a{n}", refresh_token=f"r{n}"))
            for n in range(COUNT)
        ]
        yield store, sorted(saved, key=lambda token: str(token.id))


@pytest.fixture
def row(rows):
    """The store, and a row in the midst of it."""
    return rows[0], rows[1][COUNT // 2]


@pytest.fixture
def edit(tmp_path):
    """Write into the database past the library."""

    def _edit(sql, *values):
        with closing(sqlite3.connect(tmp_path / "tokens.db", isolation_level=None)) as db:
            return db.execute(sql, values).fetchall()

    return _edit


@pytest.fixture
def damaged(row):
    """Change what is stored of the row past the library; return its id."""
    store, token = row

    def _damaged(how):
        record = store.backend.read(token.id.removeprefix("tk_"))
        store.backend.delete(record.id)
        store.backend.write(DAMAGES[how](record), replaces=None)
        return token.id

    return _damaged


def left(store):
    """Return the ids of the rows there are, whether they open or not."""
    return {f"tk_{each.id}" for each in store.backend.scan(None, 100) if each.kind == ROW}


@pytest.mark.parametrize("rows", URLS, indirect=True)
@pytest.mark.parametrize("how", DAMAGES)
def test_one_of_them(run, row, how, damaged, tmp_path, caplog):  # noqa: PLR0917  # its fixtures
    """The others are listed, moved and handed out, it is named; and can be deleted by its id."""
    store, token = row
    store.add_id("customer-42", token)
    bad = damaged(how)

    listed = run("list")
    assert (1, COUNT - 1) == (listed.exit_code, listed.stdout.count("\n")), listed.output
    assert f"token {bad}" in listed.stderr
    exported = run("export", "--official-csv", "sdk.csv", "--yes")
    assert (1, True) == (exported.exit_code, bad in exported.stderr)
    assert COUNT == (tmp_path / "sdk.csv").read_text().count("\n")
    copied = run("copy", "configured", "sqlite:///copy.db", "--json")
    assert 1 == copied.exit_code
    assert COUNT - 1 == json.loads(copied.stdout.splitlines()[-1])["rows"]["new"]
    assert bad in copied.stdout

    logging.getLogger("tokenkeep").addHandler(caplog.handler)
    try:
        others = store.get_tokens()
    finally:
        logging.getLogger("tokenkeep").removeHandler(caplog.handler)
    assert COUNT - 1 == len(others)
    assert bad in caplog.text
    tokens = Keeper(store).tokens()
    assert COUNT - 1 == len([*itertools.islice(tokens, COUNT - 1)])
    with pytest.raises(StoreError, match=bad):
        next(tokens)
    with pytest.raises(StoreError, match=bad), open_store() as again:
        again.find_token_by_id(bad)

    for more in ([bad, "--environment", "production"], [bad, "--user=x"]):
        assert 0 != run("delete", *more, "--yes").exit_code
    assert bad in run("delete", "--user", token.user, "--yes").stderr
    if "newer" in how:
        return
    for each in (bad, others[0].id):
        done = run("delete", each, "--yes")
        assert 0 == done.exit_code, done.output
    assert COUNT - 2 == len(left(store))
    assert not {bad, others[0].id} & left(store)
    assert 0 == run("list").exit_code


def test_its_login_is_imported(run, row, damaged, tmp_path):
    """A row that does not open is told, and all others are taken over."""
    token = row[1]
    bad = damaged("a broken seal")
    (tmp_path / "in.csv").write_text(
        "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,"
        "redirect_uri,api_domain\n1,new,c,s,fresh,x,,,,https://www.zohoapis.com\n"
        f"2,{token.user},c,s,{token.refresh_token},other,,,,https://www.zohoapis.com\n"
    )

    done = run("import", "in.csv", "--json")

    assert 1 == json.loads(done.stdout.splitlines()[-1])["rows"]["new"], done.output
    assert bad in done.output


def test_a_damaged_database(run, store, tmp_path, edit):
    """To try again later is of no use: status 1."""
    for number in range(30):
        store.save_token(Token(user=f"u{number}", access_token="a" * 2000, client_id="c"))
    store.close()
    path = tmp_path / "tokens.db"
    edit("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:8192] + b"\xff" * (path.stat().st_size - 8192))

    done = run("list")

    assert (1, True) == (done.exit_code, "is damaged" in done.stderr), done.output
    with pytest.raises(StoreTampered, match="backup"), open_store() as again:
        again.get_tokens()


def test_several_of_them(run, rows, edit):
    """The first is named, and how many more there are."""
    ids = [str(token.id) for token in rows[1]][:3]
    for each in ids:
        edit("UPDATE token SET sealed = '' WHERE id = ?", each[3:])

    listed, looked = run("list").stderr, run("doctor").stdout

    for said in (listed, looked):
        assert (True, True) == (ids[0] in said, "; and 2 more" in said)
