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
SQLITE = pytest.mark.parametrize("rows", ["sqlite:///tokens.db"], indirect=True)


def damaged(store, token, how):
    """Change what is stored of a token past the library."""
    backend = store.backend
    record = backend.read(str(token.id).removeprefix("tk_"))
    backend.delete(record.id)
    backend.write(DAMAGES[how](record), replaces=None)
    return str(token.id)


def left(store):
    """Return the ids of the rows there are, whether they open or not."""
    return {f"tk_{each.id}" for each in store.backend.scan(None, 100) if each.kind == ROW}


@pytest.fixture(params=["sqlite:///tokens.db", "file:///tokens.json"])
def rows(request, configured, environment):  # noqa: ARG001  # its providers first
    """A store, and its rows in the order of their ids."""
    environment.setenv("TOKENKEEP_STORE", request.param)
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


@pytest.mark.parametrize("how", DAMAGES)
def test_the_others_are_there(run, row, how, tmp_path, caplog):
    """Listed, exported, copied and handed out by the library; and the one is named."""
    store, token = row
    store.add_id("customer-42", token)
    bad = damaged(store, token, how)

    listed = run("list")
    assert (1, COUNT - 1) == (listed.exit_code, listed.stdout.count("\n"))
    assert bad in listed.stderr

    exported = run("export", "--official-csv", "sdk.csv", "--yes")
    assert (1, True) == (exported.exit_code, bad in exported.stderr)
    assert COUNT == (tmp_path / "sdk.csv").read_text().count("\n")

    copied = run("copy", "configured", "sqlite:///copy.db", "--json")
    assert 1 == copied.exit_code
    assert COUNT - 1 == json.loads(copied.stdout.splitlines()[-1])["rows"]["new"]
    assert bad in copied.stdout

    logger = logging.getLogger("tokenkeep")
    logger.addHandler(caplog.handler)
    try:
        assert COUNT - 1 == len(store.get_tokens())
    finally:
        logger.removeHandler(caplog.handler)
    assert bad in caplog.text
    tokens = Keeper(store).tokens()
    with pytest.raises(StoreError, match=bad):
        [*itertools.islice(tokens, COUNT)]
    assert COUNT - 1 == len([*itertools.islice(Keeper(store).tokens(), COUNT - 1)])


def test_its_login_is_imported(run, row, tmp_path):
    """A row that does not open is told, and all others are taken over."""
    store, token = row
    bad = damaged(store, token, "a broken seal")
    (tmp_path / "in.csv").write_text(
        "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time\n"
        f"1,new,c,s,fresh,x,,\n2,{token.user},c,s,{token.refresh_token},other,,\n"
    )

    done = run("import", "in.csv", "--data-center", "us", "--json")

    assert 1 == json.loads(done.stdout.splitlines()[-1])["rows"]["new"], done.output
    assert bad in done.output


@pytest.mark.parametrize("how", [each for each in DAMAGES if "newer" not in each])
def test_it_can_be_deleted(run, row, how):
    """By its id alone, which the error names; and any other one as ever."""
    store, token = row
    bad = damaged(store, token, how)
    other = next(each for each in store.get_tokens())
    for more in (["--user", token.user], [bad, "--environment", "production"], [bad, "--user=x"]):
        assert 0 != run("delete", *more, "--yes").exit_code
    assert bad in run("delete", "--user", token.user, "--yes").stderr

    for each in (bad, other.id):
        done = run("delete", each, "--yes")
        assert 0 == done.exit_code, done.output

    assert COUNT - 2 == len(left(store))
    assert not {bad, other.id} & left(store)


def test_delete_all(row):
    """All of them, but for what a newer tokenkeep wrote."""
    store, token = row
    bad = damaged(store, token, "a newer tokenkeep's")
    other = next(iter(store.get_tokens()))
    store.swap(other.with_renewal(to_revoke=(("refresh_token", "x"),)))

    with pytest.raises(StoreError, match=bad):
        store.delete_tokens()

    assert {bad} == left(store)


def test_a_damaged_database(run, store, tmp_path, edit):
    """To try again later is of no use: status 1."""
    for number in range(300):
        store.save_token(Token(user=f"u{number}", access_token="a" * 200, client_id="c"))
    store.close()
    path = tmp_path / "tokens.db"
    edit("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:8192] + b"\xff" * (path.stat().st_size - 8192))

    done = run("list")

    assert (1, True) == (done.exit_code, "is damaged" in done.stderr), done.output
    with pytest.raises(StoreTampered, match="backup"), open_store() as again:
        again.get_tokens()


@pytest.mark.parametrize(
    ("rows", "change"),
    [
        ("sqlite:///tokens.db", "last_used_at = 'never'"),
        ("sqlite:///tokens.db", "key = 'two'"),
        ("sqlite:///tokens.db", "owner = 'nobody' || x'c328'"),
        ("sqlite:///tokens.db", "kind = 'row' || x'ff'"),
        ("sqlite:///tokens.db", "kind = ''"),
        ("sqlite:///tokens.db", "user = 7, last_used_at = x'00'"),
        ("sql+sqlite:///tokens.db", "last_used_at = 'never'"),
        ("sql+sqlite:///tokens.db", "owner = 'x' || x'c3'"),
        ("sql+sqlite:///tokens.db", "data_key = 'two'"),
    ],
    indirect=["rows"],
)
def test_who_edits_the_database(run, row, change, edit):
    """Whatever was written past us: that row is named, hides no other, and can be deleted."""
    store, token = row
    bad = str(token.id)
    table = edit("SELECT name FROM sqlite_master WHERE name IN ('token', 'tokenkeep')")[0][0]
    edit(f"UPDATE {table} SET {change} WHERE id = ?", bad.removeprefix("tk_"))

    listed = run("list")

    assert (1, COUNT - 1) == (listed.exit_code, listed.stdout.count("\n")), listed.output
    assert f"token {bad}" in listed.stderr
    assert COUNT - 1 == len(store.get_tokens())
    with pytest.raises(StoreTampered, match=bad), open_store() as again:
        again.find_token_by_id(bad)
    done = run("delete", bad, "--yes")
    assert (0, f"Deleted token {bad}\n") == (done.exit_code, done.stdout), done.output
    assert COUNT - 1 == len(left(store))
    assert 0 == run("list").exit_code


@SQLITE
@pytest.mark.parametrize("count", [2, 12])
def test_all_of_them_are_named(run, rows, count, edit):
    """Ten ids, and how many more there are; a check of the store names those it met."""
    ids = [str(token.id) for token in rows[1]][:count]
    for each in ids:
        edit("UPDATE token SET sealed = '' WHERE id = ?", each[3:])

    listed, looked = run("list"), run("doctor")

    assert f"{count} stored tokens do not open: {', '.join(ids[:10])}" in listed.stderr
    assert ("and 2 more" in listed.stderr) == (count > 10)
    assert ids[1] in looked.stdout


@SQLITE
@pytest.mark.parametrize("name", ["x'00'", "'tk_' || id", "'spoilt' || x'ff'"])
def test_what_can_not_be_named(run, row, name, edit):
    """An id that was edited leads to nothing: nothing is deleted, and nobody says so."""
    _, token = row
    edit(f"UPDATE token SET id = {name} WHERE id = ?", token.id[3:])

    listed = run("list")
    done = run("delete", "--user", token.user, "--yes")

    assert COUNT - 1 == listed.stdout.count("\n")
    assert (1, False) == (done.exit_code, "Deleted" in done.output), done.output
    assert [(COUNT,)] == edit("SELECT count(*) - 1 FROM token")
