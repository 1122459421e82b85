"""What is read from each kind of file, and what is refused."""

from __future__ import annotations

import sqlite3

import pytest
from sdk_rows import ANA, MIDDLE, NEW, OLD

from tokenkeep import ConfigurationError, Token
from tokenkeep.moving import open_source


def tokens(path, **given):
    return [row.token for row in open_source(path, **given).rows()]


def problems(path):
    return [(row.number, row.problem) for row in open_source(path).rows() if row.problem]


def test_newest_generation(write_csv):
    """Ten columns: every one of them arrives, the expiry in seconds."""
    path = write_csv(ANA)

    expected = Token(
        user="ana@example.com:1",
        client_id="1000.CLIENT",
        client_secret="client-secret",
        refresh_token="1000.refresh",
        access_token="1000.access",
        grant_token="1000.grant",
        expires_at=1764000000.123,
        redirect_uri="https://example.com/back",
        api_domain="https://www.zohoapis.eu",
        provider="zoho",
    )
    assert [expected] == tokens(path)


@pytest.mark.parametrize("header", [MIDDLE, OLD], ids=["nine columns", "six columns"])
def test_older_generations(write_csv, header):
    """Nine and six columns: what they have arrives, the rest is not known."""
    (token,) = tokens(write_csv(ANA | {"user_mail": "ana@example.com"}, header=header))

    assert "ana@example.com" == token.user
    assert ("1000.CLIENT", "1000.refresh") == (token.client_id, token.refresh_token)
    assert 1764000000.123 == token.expires_at
    assert ("client-secret" if header is MIDDLE else None) == token.client_secret
    assert token.api_domain is None


def test_sample_database(write_db):
    """The table of the sample holds the same as the newest CSV."""
    path = write_db(ANA, ANA | {"user_name": None, "expiry_time": 1764000000123})

    named, nameless = tokens(path)
    assert ("ana@example.com:1", 1764000000.123) == (named.user, named.expires_at)
    assert "https://example.com/back" == named.redirect_uri
    assert (None, 1764000000.123) == (nameless.user, nameless.expires_at)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_database_is_left_alone(write_db, mode):
    """Reading changes not a byte of the database, and leaves no file beside it."""
    path = write_db(ANA, mode=mode)
    path.chmod(0o400)
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())

    assert 1 == len(tokens(path))

    assert before == (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir()))


def test_a_database_in_use_is_refused(write_db):
    """What is still in a write-ahead log would be missed, so it is an error."""
    path = write_db(mode="wal")
    db = sqlite3.connect(path)
    db.execute("INSERT INTO oauthtoken (refresh_token) VALUES ('r')")
    db.commit()

    with pytest.raises(ConfigurationError, match="in use"):
        open_source(path)
    db.close()


def test_content_decides_not_the_name(write_csv, write_db):
    """A CSV named .db is a CSV, a database named .csv a database."""
    as_db = write_csv(ANA, name="tokens.db")
    as_csv = write_db(ANA).rename(as_db.with_name("tokens.csv"))

    assert tokens(as_db) == tokens(as_csv)


def test_hard_values(write_csv):
    """Quotes, commas, line breaks of both kinds, NUL and 64 KB arrive as they are."""
    hard = '"a", b\r\nc\nd\0' + "x" * 65536

    (token,) = tokens(write_csv(ANA | {"refresh_token": hard}))

    assert hard == token.refresh_token


def test_blank_lines_and_windows_line_ends(write_csv):
    """Blank lines, and lines ended the way a Windows delete leaves them, are no rows."""
    path = write_csv(ANA, ANA)
    path.write_bytes(b"\r\n" + path.read_bytes().replace(b"\r\n", b"\r\r\n") + b"\n,,,,,,,,,\n")

    assert 2 == len(tokens(path))
    assert [] == problems(path)


def test_rows_that_are_none(write_csv):
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(write_csv, encoding):
    """A file with a byte order mark is read in what the mark says."""
    (token,) = tokens(write_csv(ANA | {"user_name": "josé"}, encoding=encoding))

    assert "josé" == token.user


def test_other_encodings_are_named(write_csv):
    """What is not UTF-8 is not guessed: the error says how to name the encoding."""
    path = write_csv(ANA | {"user_name": "josé"}, encoding="cp1252")

    with pytest.raises(ConfigurationError, match="--encoding"):
        tokens(path)
    (token,) = tokens(path, encoding="cp1252")
    assert "josé" == token.user
    with pytest.raises(ConfigurationError, match="no encoding"):
        tokens(path, encoding="klingon")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"name,price\r\napple,1\r\n", "first line differs"),
        (b"{}", "first line differs"),
        (b"SQLite format 3\0 and then nothing", "can't be read"),
        (b"\x89PNG\r\n\x1a\n\0", "not text"),
    ],
    ids=["empty", "blank", "other csv", "json", "cut database", "png"],
)
def test_foreign_files(tmp_path, content, said):
    """A file that is something else is one named error."""
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=said):
        tokens(path)


def test_foreign_databases(tmp_path):
    """A database without the SDK's table, or with another one of that name, is refused."""
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (id)")
    db.commit()
    with pytest.raises(ConfigurationError, match="without a table"):
        open_source(path)

    db.execute("CREATE TABLE oauthtoken (id, token_hash)")
    db.commit()
    db.close()
    with pytest.raises(ConfigurationError, match="not that of the official SDK"):
        open_source(path)


def test_no_file_at_all(tmp_path):
    """A missing path and a folder are named errors."""
    with pytest.raises(ConfigurationError, match="can't be read"):
        open_source(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="is not a file"):
        open_source(tmp_path)


def test_an_unclosed_quote_hides_nothing(write_csv):
    """A file cut off inside a quoted value is an error, not a file with fewer rows."""
    path = write_csv(ANA)
    with path.open("a") as file:
        file.write('2,"cut off')

    with pytest.raises(ConfigurationError, match="damaged behind line"):
        tokens(path)


def test_a_file_written_meanwhile_is_an_error(write_csv):
    """Rows of two states of a file are never mixed."""
    path = write_csv(ANA)
    source = open_source(path)
    path.write_text(path.read_text() + "\n\n")

    with pytest.raises(ConfigurationError, match="written while"):
        list(source.rows())
