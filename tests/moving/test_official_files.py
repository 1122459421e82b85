"""What is read from each kind of file of the official SDK's, and what is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from traceback import format_exception

import pytest
from moved_tokens import ANA, NEW, NOW

from tokenkeep import ConfigurationError
from tokenkeep.moving import Defaults, open_source
from tokenkeep.providers import Providers

US = Defaults(data_center="us")


def rows(path, **given):
    return list(open_source(path, defaults=US, **given).rows(NOW, Providers()))


def tokens(path, **given):
    return [row.token for row in rows(path, **given)]


def problems(path):
    return [(row.number, row.problem) for row in rows(path) if row.problem]


HELD = ("client_id", "client_secret", "refresh_token", "access_token", "grant_token",
        "redirect_uri", "api_domain")  # fmt: skip


@pytest.mark.parametrize("kind", ["write_csv", "write_db"])
def test_newest_generation(request, kind):
    """Ten columns: every one of them arrives, the expiry in seconds; a number, too."""
    write = request.getfixturevalue(kind)
    other = {"user_name": "", "expiry_time": 1764000000123, "refresh_token": "another"}

    named, nameless = tokens(write(ANA, ANA | other | {"grant_token": ""}))

    assert {name: ANA[name] for name in HELD} == {name: getattr(named, name) for name in HELD}
    assert ("1", ANA["user_name"], "zoho") == (named.id, named.user, named.provider)
    assert (None, 1764000000.123) == (nameless.user, nameless.expires_at)
    assert named.expires_at == nameless.expires_at


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_database_is_left_alone(write_db, mode):
    """Reading changes not a byte of the database, and leaves no file beside it."""
    path = write_db(ANA, mode=mode)
    path.chmod(0o400)
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())

    assert 1 == len(tokens(path))

    assert before == (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir()))


def test_text_that_is_none_is_not_shown(write_db):
    """Invariant 9: SQLite repeats what it can't decode, a secret as well."""
    path = write_db(ANA)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE oauthtoken SET refresh_token = CAST(x'5345435245542dff' AS TEXT)")

    with pytest.raises(ConfigurationError, match="not UTF-8") as caught:
        rows(path)

    assert "SECRET-" not in "".join(format_exception(caught.value))


def test_a_database_in_use_is_refused(write_db):
    """What is still in a write-ahead log would be missed, so it is an error."""
    path = write_db(mode="wal")
    db = sqlite3.connect(path)
    db.execute("INSERT INTO oauthtoken (refresh_token) VALUES ('r')")
    db.commit()

    with pytest.raises(ConfigurationError, match="in use"):
        open_source(path)
    db.close()


def test_hard_values(write_csv):
    """Quotes, commas, line breaks of both kinds, NUL and 64 KB arrive as they are."""
    hard = '"a", b\r\nc\nd\0' + "x" * 65536
    long = '"a", b' + "x" * 65536

    (token,) = tokens(write_csv(ANA | {"user_name": hard, "refresh_token": long}))

    assert (hard, long) == (token.user, token.refresh_token)


@pytest.mark.parametrize("kind", ["write_csv", "write_db"])
def test_blanks_around_values(request, kind):
    """What files and spreadsheets add around a value is trimmed."""
    around = ["{}\n", "  {}", "\r\n{}\t", "\ufeff{}", "{}\u00a0", "{}\ufeff", "{} "]
    given = {name: each.format(ANA[name]) for name, each in zip(HELD, around, strict=True)}

    (token,) = tokens(request.getfixturevalue(kind)(ANA | given))

    assert {name: ANA[name] for name in HELD} == {name: getattr(token, name) for name in HELD}


@pytest.mark.parametrize("name", ["refresh_token", "client_id", "client_secret", "access_token"])
def test_control_characters_in_secrets(write_csv, name):
    """A row with one is left out, and the reason names the column, not the value."""
    ((number, problem),) = problems(write_csv(ANA | {name: "a\x1b[2Jb"}))

    assert (2, True) == (number, f"The {name} has a control character" in problem)
    assert "[2J" not in problem


def test_blank_lines_and_windows_line_ends(write_csv):
    """Blank lines, and lines ended the way a Windows delete leaves them, are no rows."""
    path = write_csv(ANA)
    path.write_bytes(b"\r\n" + path.read_bytes().replace(b"\r\n", b"\r\r\n") + b"\n,,,,,,,,,\n")

    assert [None] == [row.problem for row in rows(path)]


def test_rows_that_are_none(write_csv, write_db):
    """Rows of the wrong length and the like are named with their line and the reason."""
    bare = {"access_token": "", "refresh_token": "", "grant_token": ""}
    path = write_csv(
        ANA | bare,
        ANA | {"refresh_token": "two\nlines", "expiry_time": "tomorrow"},
        dict.fromkeys(NEW, "x") | {"client_id": "", "expiry_time": ""},
        ANA | {"expiry_time": "9" * 400},
    )
    with path.open("a") as file:
        file.write(f"4,short\n{','.join(NEW)}\n")

    assert [
        (2, "it holds no token"),
        (3, "its expiry_time is no time"),
        (5, "its refresh token has no client_id, so nobody could renew with it: --client-id"),
        (6, "its expiry_time is no time"),
        (7, "it has 2 columns, not 10"),
    ] == problems(path)
    # Its content tells what a file is, not its name.
    in_bytes = write_db(ANA | {"refresh_token": b"r"})
    as_csv = in_bytes.rename(path.with_name("tokens.csv"))
    assert [(1, "it holds bytes where text belongs")] == problems(as_csv)


def test_encodings(write_csv):
    """A byte order mark tells; what is not UTF-8 is not guessed: the error says how to name it."""
    for marked in ("utf-8-sig", "utf-16"):
        (token,) = tokens(write_csv(ANA | {"user_name": "josé"}, encoding=marked))
        assert "josé" == token.user
    path = write_csv(ANA | {"user_name": "josé"}, encoding="cp1252")

    with pytest.raises(ConfigurationError, match="not text in utf-8") as caught:
        tokens(path)
    assert "--encoding" in caught.value.hint
    (token,) = tokens(path, encoding="cp1252")
    assert "josé" == token.user
    with pytest.raises(ConfigurationError, match="no encoding"):
        tokens(path, encoding="klingon")


@pytest.mark.parametrize(
    ("content", "said"),
    {
        b"": "columns are not there",
        b"\n\n": "columns are not there",
        b"name,price\r\napple,1\r\n": "columns are not there",
        b"SQLite format 3\0 and then nothing": "can't be read",
        b"\x89PNG\r\n\x1a\n\0": "not text",
    }.items(),
)
def test_foreign_files(tmp_path, content, said):
    """A file that is something else, a folder or nothing is one named error."""
    path = tmp_path / "file"
    with pytest.raises(ConfigurationError, match="can't be read"):
        open_source(path)
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=said):
        tokens(path)
    with pytest.raises(ConfigurationError, match="is not a file"):
        open_source(tmp_path)


@pytest.mark.parametrize("table", ["other (id)", "oauthtoken (id, token_hash)"])
def test_foreign_databases(tmp_path, table):
    """A database without the SDK's table, or with another one of that name, is refused."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"CREATE TABLE {table}")

    with pytest.raises(ConfigurationError, match="its columns are"):
        open_source(path)


def test_a_file_written_meanwhile_is_an_error(write_csv):
    """Rows of two states of a file are never mixed."""
    path = write_csv(ANA)
    source = open_source(path)
    path.write_text(path.read_text() + "\n\n")

    with pytest.raises(ConfigurationError, match="written while"):
        list(source.rows(NOW, Providers()))
