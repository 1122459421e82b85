"""What somebody who can write the database can and can't do, in real files."""

from __future__ import annotations

import os
import sqlite3
from base64 import b64encode

import pytest

import tokenkeep
from tokenkeep import KeyRing, Status, StoreTampered, Token

KEY = bytes(range(32))
SECRETS = {
    name: f"the-{name}-of"
    for name in ("client_secret", "access_token", "refresh_token", "grant_token")
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


@pytest.fixture
def open_store(path):
    opened = []

    def _open(url=f"sqlite:///{path}"):
        opened.append(tokenkeep.open_store(url, keys_newest_first=[KEY], environ={}))
        return opened[-1]

    yield _open
    for store in opened:
        store.close()


@pytest.fixture
def edit(path):
    """Change the database past the library."""

    def _edit(sql, *values):
        db = sqlite3.connect(path, isolation_level=None)
        assert db.execute(sql, values).rowcount > 0
        db.close()

    return _edit


def token(user, **changes):
    secrets = {name: f"{value}-{user}" for name, value in SECRETS.items()}
    return Token(**{"user": user, "client_id": "c", **secrets, **changes})


def record_id(token):
    return token.id.removeprefix("tk_")


def test_swapped_blobs_do_not_open(open_store, path, edit):
    """Two rows whose blobs were swapped don't open; who knows their versions goes by memory."""
    store = open_store()
    ana, bob = store.save_token(token("ana")), store.save_token(token("bob"))
    db = sqlite3.connect(path)
    blobs = dict(db.execute("SELECT id, sealed FROM token").fetchall())
    db.close()
    edit("UPDATE token SET sealed = ? WHERE id = ?", blobs[record_id(bob)], record_id(ana))
    edit("UPDATE token SET sealed = ? WHERE id = ?", blobs[record_id(ana)], record_id(bob))

    fresh = open_store()
    for one in (ana, bob):
        assert one == store.find_token(Token(user=one.user)) == store.find_token_by_id(one.id)
        for question in (Token(user=one.user), Token(id=one.id)):
            with pytest.raises(StoreTampered):
                fresh.find_token(question)
    for each in (store, fresh):
        with pytest.raises(StoreTampered):
            each.get_tokens()


def test_marks_decide_nothing(open_store, edit, path):
    """A revoked token with the marks of a living one is still revoked, and its own user's."""
    store = open_store()
    ana, bob = store.save_token(token("ana")), store.save_token(token("bob"))
    store.save_token(ana.but(status=Status.REVOKED))
    columns = ("user", "client", "access", "refresh", '"grant"', "state")
    db = sqlite3.connect(path)
    (of_bob,) = db.execute(
        f"SELECT {', '.join(columns)} FROM token WHERE id = ?", [record_id(bob)]
    ).fetchall()
    db.close()
    sets = ", ".join(f"{column} = ?" for column in columns)
    edit(f"UPDATE token SET {sets}, due_at = 9e9 WHERE id = ?", *of_bob, record_id(ana))

    for each in (store, open_store()):
        found = each.find_token_by_id(ana.id)
        assert ("ana", Status.REVOKED, None) == (found.user, found.status, found.access_token)


@pytest.mark.parametrize("column", ["user", "access", "refresh", "grant"])
def test_an_edited_mark_is_noticed(open_store, path, edit, column):
    """A mark of somebody else's on a row does not make it answer for that."""
    store = open_store()
    ana, bob = store.save_token(token("ana")), store.save_token(token("bob"))
    db = sqlite3.connect(path)
    ((mark,),) = db.execute(
        f'SELECT "{column}" FROM token WHERE id = ?', [record_id(bob)]
    ).fetchall()
    db.close()
    store.delete_token(bob.id)
    edit(f'UPDATE token SET "{column}" = ? WHERE id = ?', mark, record_id(ana))
    name = "user" if column == "user" else f"{column}_token"
    where = {"client_id": "c"} if column in ("refresh", "grant") else {}
    asked = Token(**{name: getattr(bob, name)}, **where)

    for each in (store, open_store()):
        with pytest.raises(StoreTampered):
            each.find_token(asked)
        assert ["ana"] == [row.user for row in each.get_tokens()]


@pytest.mark.parametrize("url", ["sqlite:///{}/t.db", "file:///{}/t.json"])
def test_no_plaintext_on_disk(open_store, tmp_path, url):
    """No file a store leaves shows a secret, a user or an id, in whatever encoding."""
    store = open_store(url.format(tmp_path))
    for user in ("ana@example.com", "bob@example.com"):
        store.save_token(token(user, id=f"customer-{user}"))
    saved = store.save_token(token("ana@example.com", access_token="the-access_token-of-ana-2"))
    store.swap(saved.with_renewal(to_revoke=(("refresh_token", "the-refresh_token-to-revoke"),)))
    while_open = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    store.close()
    after = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]

    assert while_open
    shown = ("the-refresh_token-to-revoke", "ana@example.com", "customer-", "production")
    for data in (*while_open, *after):
        for secret in (*SECRETS.values(), *shown):
            for form in (secret, secret.encode().hex(), b64encode(secret.encode()).decode()[:20]):
                assert form.encode() not in data
        assert KEY not in data
        assert KEY.hex().encode() not in data


def test_a_store_of_another_key_is_refused_unchanged(open_store, path):
    """With the wrong key a store does not open, and not a byte of it changes."""
    store = open_store()
    store.save_token(token("ana"))
    store.close()
    before = path.read_bytes()

    with pytest.raises(tokenkeep.KeyMissing) as caught:
        tokenkeep.open_store(f"sqlite:///{path}", keys_newest_first=[os.urandom(32)], environ={})

    assert KeyRing([KEY]).key_ids[0] in str(caught.value)
    assert before == path.read_bytes()
