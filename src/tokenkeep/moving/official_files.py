"""The files of the official SDK's stores, and its sample's; each is only read."""

from __future__ import annotations

import csv
import os
import sqlite3
import stat
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError
from tokenkeep.moving import zcrm_pickle
from tokenkeep.moving.official import Defaults, OfficialSource, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.moving.official import Lines

_SQLITE = b"SQLite format 3\0"
"""The first bytes of a SQLite database (https://sqlite.org/fileformat2.html)."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Its byte order marks."""

_LONGEST = 1_000_000
"""How many characters one value may have; more is a quote that was never closed."""


def open_source(
    path: Path, *, encoding: str | None = None, defaults: Defaults | None = None
) -> OfficialSource:
    """
    Find out what a file is: by its content, not its name.

    Args:
        path: The official SDK's CSV file, its pickle, or its sample's SQLite database.
        encoding: Of a CSV file or a pickle of Python 2, e.g. ``cp1252``. None
            means UTF-8, or UTF-16 with a byte order mark.
        defaults: What holds for rows that don't say it. None means `Defaults`.

    Raises:
        ConfigurationError: It is something else, or can't be read.
    """
    with _explained(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(
                f"{path} is not a file", hint="Name the file that holds the tokens"
            )
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
        stamp = _stamp(path)
    encoding = encoding or ("utf-16" if head.startswith(_UTF_16) else "utf-8-sig")
    if head == _SQLITE:
        kind, read = "SQLite database of the official SDK's sample", partial(_in_database, path)
    elif zcrm_pickle.BEGINS.match(head):
        kind, read = "pickle of zcrmsdk 1 or 2", partial(_in_pickle, path, encoding)
    else:
        kind, read = "CSV file of the official SDK", partial(_in_csv, path, encoding)

    def unchanged() -> Lines:
        with _explained(path, encoding):
            yield from read()
            if _stamp(path) != stamp:
                raise ConfigurationError(
                    f"{path} was written while it was read",
                    hint="Stop the programs that use it, then try again",
                )

    return OfficialSource(kind, str(path), unchanged, defaults or Defaults())


def _in_csv(path: Path, encoding: str) -> Lines:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
    # Without newline="" a line break inside a token would be changed.
    with path.open(encoding=encoding, newline="") as file:
        # Strict: else a quote that was never closed hides all that follows.
        reader, begins, is_first = csv.reader(file, strict=True), 1, True
        try:
            for values in reader:
                # Two processes that start at once may both write the header.
                if any(values) and (is_first or not fields_of(values)):
                    is_first = False
                    yield begins, values
                begins = reader.line_num + 1
        except csv.Error as exc:
            raise ConfigurationError(
                f"{path} is damaged behind line {reader.line_num}: {exc}",
                hint="Mend or remove that line in a copy, and import the copy",
            ) from exc


def _in_pickle(path: Path, encoding: str) -> Lines:
    for number, found in enumerate(zcrm_pickle.tokens_in(path, encoding), 1):
        if found is None:
            raise ConfigurationError(
                f"{path} is a pickle, but object {number} of it is no token as "
                "zcrmsdk 1 and 2 write them. Nothing in it was run",
                hint="If it is zcrm_oauthtokens.pkl, it is damaged: import a copy from a "
                "backup. Anything else can't be imported",
            )
        if number == 1:
            yield 0, zcrm_pickle.COLUMNS
        yield number, [found[name] for name in zcrm_pickle.COLUMNS]


def _in_database(path: Path) -> Lines:
    for suffix in ("-journal", "-wal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise ConfigurationError(
                f"{path} is in use, or was when its program ended: {beside.name} holds "
                "what is not in it yet",
                hint="Stop the programs that use it; if none does, open it once with "
                "the one that made it",
            )
    # mode=ro alone would make -wal and -shm files beside a database in WAL mode.
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        names = db.execute("SELECT name FROM pragma_table_info('oauthtoken')").fetchall()
        yield 0, [name for (name,) in names]
        yield from enumerate(db.execute("SELECT * FROM oauthtoken ORDER BY rowid"), 1)


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


@contextmanager
def _explained(path: Path, encoding: str = "") -> Iterator[None]:
    """Turn what Python says about a file into our error; what was read may be in its text."""
    try:
        yield
    except LookupError:
        what, hint = f"There is no encoding {encoding!r}", None
    except UnicodeError:
        what = f"{path} is not text in {encoding.removesuffix('-sig')}"
        hint = (
            "Name its encoding with --encoding, e.g. cp1252 for a file of a Western "
            "European Windows"
        )
    except sqlite3.Error as exc:
        said = "it holds text that is not UTF-8" if "decode" in str(exc) else str(exc)
        what, hint = f"{path} can't be read: {said}", "Import a copy from a backup"
    except OSError as exc:
        what = f"{path} can't be read: {exc.strerror or os.strerror(exc.errno or 0)}"
        hint = "Name a file that exists and that this user may read"
    else:
        return
    raise ConfigurationError(what, hint=hint) from None
