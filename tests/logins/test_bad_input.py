"""What nobody should ever store, write or ask: named errors, and nothing is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from login_stage import after_write, before_write, refused, rows_of

from tokenkeep import StoreUnavailable, Token, TokenKeepError
from tokenkeep.backends.base import HEADER, Record
from tokenkeep.records import Alias

MINUTE = 61.0
"""After this long an open store looks at its header before it writes, in seconds."""


@pytest.fixture
def ana(stage):
    """A user's token in the store, and the process that has saved it."""
    stage.store = stage.open()
    return stage.store.save_token(stage.login(stage.ana))


def edit(store, record_id=HEADER, **changes):
    """Change a record past the library; return it as it was."""
    was = store.backend.read(record_id)
    store.backend.write(replace(was, **changes), replaces=was.version)
    return was


def replaced_file(stage):
    """Put another store's file in the place of the one that is open."""
    aside = stage.folder / "aside.db"
    other = stage.open(f"sqlite:///{aside}")
    other.save_token(stage.login(stage.bo, at="eu"))
    other.close()
    aside.replace(stage.folder / "tokens.db")


def removed_file(stage):
    for path in stage.folder.glob("tokens.db*"):
        if path.is_file():
            path.unlink()


def dropped_table(stage):
    with closing(sqlite3.connect(stage.folder / "tokens.db", isolation_level=None)) as db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            if not name.startswith("sqlite_"):
                db.execute(f"DROP TABLE {name}")


def goes_on_saving(stage, store, passed):
    """A process is told that its ground is gone, or what it saves is there for the next one."""
    for number in range(3):
        stage.clock.advance(passed)
        saved = None
        with suppress(TokenKeepError):
            saved = store.save_token(stage.login(f"carla:{number}"))
        try:
            fresh = stage.open()  # makes the store anew where there is none
        except TokenKeepError:
            assert saved is None
        else:
            assert saved is None or saved == fresh.find_token_by_id(saved.id)


at_once_or_later = pytest.mark.parametrize(
    "passed", [0.0, MINUTE], ids=["at once", "after a minute"]
)


@at_once_or_later
@pytest.mark.parametrize("deed", [replaced_file, removed_file, dropped_table])
@pytest.mark.usefixtures("ana")
def test_the_ground_is_taken_away(stage, deed, passed):
    """A file is replaced or removed, a table dropped, under a process that goes on saving."""
    deed(stage)

    goes_on_saving(stage, stage.store, passed)


# Records


def an_alias(store, number, to):
    """Write an alias by hand, under an id of ours."""
    record_id = f"{number:032x}"
    store._rows.put(
        Alias(id=record_id, version="", owner=record_id, to=f"tk_{to:032x}", at=0.0), replaces=None
    )
    return f"tk_{record_id}"


@pytest.mark.parametrize(
    "links",
    [[(1, 1)], [(1, 2), (2, 1)], [(1, 2), (2, 3), (3, 1)], [(1, 99)], [(1, 0)]],
    ids=["to itself", "a circle of two", "a circle of three", "to nothing", "to the header"],
)
def test_an_alias_that_leads_nowhere(stage, ana, links):
    """It counts as none, and can be deleted."""
    ids = [an_alias(stage.store, *link) for link in links]

    assert stage.open().find_token_by_id(ids[0]) is None
    with refused("TokenNotFound"):
        stage.keeper().get(id=ids[0])
    with refused("TokenNotFound"):
        stage.keeper().revoke(ids[0])
    with refused("StoreConflict"):
        stage.open().save_token(stage.login(stage.bo, at="eu", id=ids[0]))
    for each in ids:
        stage.keeper().delete(each)

    assert [ana.id] == [row.id for row in stage.living()]
    assert {HEADER, ana.id[3:]} == {r.id for r in stage.store.backend.scan(None, 100)}


def test_a_record_of_an_unknown_kind(stage, ana):
    """A later version has written it: it is left alone, and is nobody's token."""
    record_id = "b" * 32
    stage.store.backend.write(
        Record(id=record_id, version="c" * 32, owner="d" * 32, kind="poem", key=1, sealed=b"...",
               due_at=0.0),
        replaces=None,
    )  # fmt: skip

    assert [ana] == stage.open().get_tokens()
    with refused("StoreTooNew"):
        stage.open().find_token_by_id(f"tk_{record_id}")
    with refused("StoreTooNew"):
        stage.keeper().delete(f"tk_{record_id}")
    with suppress(TokenKeepError):  # it says so, after all else is done
        stage.keeper().sweep()
    assert stage.store.backend.read(record_id)


@pytest.mark.parametrize("field", ["user", "client", "access", "refresh", "grant", "state"])
def test_a_mark_that_was_edited(stage, ana, field):
    """Whoever can write the database makes nobody's token another's."""
    bo = stage.store.save_token(stage.login(stage.bo, at="eu", got_here=True))
    [theirs] = [record for record in rows_of(stage.store) if f"tk_{record.id}" == bo.id]
    edit(stage.store, ana.id[3:], **{field: getattr(theirs, field)})
    asked = {
        "user": Token(user=bo.user),
        "access": Token(access_token=bo.access_token),
        "refresh": Token(refresh_token=bo.refresh_token, client_id=bo.client_id),
        "grant": Token(grant_token=bo.grant_token),
    }.get(field, Token(user=bo.user))

    try:
        found = stage.open().find_token(asked)
    except TokenKeepError as exc:
        assert type(exc).__name__ == "StoreTampered"  # noqa: PT017  # bo's own is right, too
    else:
        assert bo.id == found.id
    assert ana.id == stage.open().find_token_by_id(ana.id).id


@pytest.mark.parametrize(
    "changes",
    [{"owner": "e" * 32}, {"version": "e" * 32}, {"kind": "ended"}, {"kind": "lease"},
     {"kind": "alias"}, {"sealed": b""}, {"sealed": b"\x02" + bytes(60)}, {"key": 7}],
    ids=lambda changes: "{}".format(*changes),
)  # fmt: skip
def test_a_record_that_was_edited(stage, ana, changes):
    """It does not open, and holds nobody else up; its user logs in again once it is deleted."""
    bo = stage.store.save_token(stage.login(stage.bo, at="eu"))
    edit(stage.store, ana.id[3:], **changes)

    with refused("StoreTampered"):
        stage.open().find_token_by_id(ana.id)
    assert bo == stage.open().find_token_by_id(bo.id)
    assert bo == stage.open().find_token(Token(user=bo.user))
    stage.keeper().delete(ana.id)
    assert [bo] == stage.open().get_tokens()


def test_a_version_of_another_row(stage, ana):
    """It is a conflict like any other."""
    bo = stage.store.save_token(stage.login(stage.bo, at="eu"))
    mixed = [ana.but(version=bo.version, scope="x"), bo.but(id=ana.id), ana.but(id=bo.id)]

    for each in mixed:
        with refused("StoreConflict"):
            stage.open().swap(each)
        with refused("StoreConflict"):
            stage.open().save_token(each.but(access_token="another"))

    assert {ana.id: ana, bo.id: bo} == {row.id: row for row in stage.open().get_tokens()}


# Ids


HARD_IDS = ["x" * 65_536, "a\0b", "'; DROP TABLE token; --", '"', "%", "\N{PILE OF POO}", " ",
            "\n", "../../etc/passwd", "tk_", f"tk_{'A' * 32}", f"tk_{'a' * 31}", f"TK_{'a' * 32}",
            "0" * 32, "f" * 32]  # fmt: skip


@pytest.mark.parametrize("own", HARD_IDS, ids=lambda own: ascii(own[:20]))
def test_hard_ids(stage, ana, own):
    """A caller's own id may be any text."""
    store = stage.open()
    assert store.find_token_by_id(own) is None
    store.delete_token(own)
    with refused("TokenNotFound") as error:
        stage.keeper().get(id=own)
    assert "\n" not in error.why
    assert "\0" not in error.why

    saved = store.save_token(stage.login(stage.bo, at="eu", id=own))

    assert saved == stage.open().find_token_by_id(own)
    stage.keeper().delete(own)
    assert [ana] == stage.open().get_tokens()


@pytest.mark.parametrize("where", ["header", "other store", "deleted"])
def test_ids_of_our_form_that_are_no_tokens(stage, ana, where):
    """Neither the store's own record nor another store's row is reached by one."""
    other = stage.open(f"sqlite:///{stage.folder}/other.db").save_token(stage.login(stage.bo))
    gone = stage.store.save_token(stage.login("carla:1"))
    stage.store.delete_token(gone.id)
    token_id = {"header": f"tk_{HEADER}", "other store": other.id, "deleted": gone.id}[where]

    assert stage.open().find_token_by_id(token_id) is None
    with refused("StoreConflict"):
        stage.open().save_token(stage.login(stage.bo, at="eu", id=token_id))
    for deed in (stage.keeper().revoke, stage.keeper().renew, stage.keeper().end):
        with refused("TokenNotFound"):
            deed(token_id)
    stage.open().touch(token_id, 1.0)
    stage.open().delete_token(token_id)

    assert [ana] == stage.open().get_tokens()


@pytest.mark.parametrize("wrong", ["\ud800", "a\udfffb", b"bytes", 42, ["list"]])
@pytest.mark.parametrize("field", ["id", "user", "refresh_token"])
def test_what_is_no_text(stage, ana, field, wrong):
    """Half a character, or no text at all: an error that says so, and does not show it."""
    with refused("LookupFailed"):
        stage.open().save_token(stage.login(stage.bo, at="eu").but(**{field: wrong}))
    with refused("LookupFailed"):
        stage.open().find_token(Token(client_id="c").but(**{field: wrong}))
    if field == "id":
        with refused("LookupFailed"):
            stage.open().find_token_by_id(wrong)

    assert [ana] == stage.open().get_tokens()


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_the_store_is_away_for_one_write(stage, ana, lost):
    """Whichever write of a move fails: an error, or done; and the next save goes through."""

    def away():
        raise StoreUnavailable("The database did not answer")

    for number in range(1, 5):
        store = stage.open()
        login = stage.login()
        store.save_token(login)
        (before_write if lost == "request" else after_write)(store, number, away)
        with suppress(StoreUnavailable):
            store.save_token(login.but(user=stage.ana))

        saved = stage.open().save_token(login.but(user=stage.ana))
        stage.keeper().sweep()
        assert [saved.id] == [ana.id] == [row.id for row in stage.living()]
        assert login.refresh_token == stage.living()[0].refresh_token
