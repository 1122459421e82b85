"""What the errors of databases and their drivers mean, and what to do about them: one table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tokenkeep.errors import (
    ConfigurationError,
    StoreConflict,
    StoreForeign,
    StoreUnavailable,
    TokenKeepError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# Patterns of what `_spelled` returns: the code of MySQL, PostgreSQL or SQLite first; behind it the
# words of those who give no code (DuckDB, PostgreSQL before the login) or one for all.

TAKEN = (
    "^(1062|1586|23505|SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY)):|"
    "^(None|SQLITE_ERROR):(?s:.)*(?i:unique|duplicate|primary)"
)
"""An id or owner is another record's."""

BUSY = (
    "^(1020|1205|1213|3572|40001|40P01|55P03|SQLITE_(BUSY|LOCKED|BUSY_SNAPSHOT)):|"
    "^(None|SQLITE_ERROR):(?s:.)*(?i:deadlock|serializ|conflict|database is locked)"
)
"""Somebody is in the way, and the database has undone the statement."""

MADE = "^(1050|1061|42P07|42710):|^(None|SQLITE_ERROR):(?s:.)*already exists"
"""The table or index is there already."""

LOST = (
    "^(1053|1927|2006|2013|4031|57P01|57P02|57P05|08000|08003|08006):|"
    "^None:(?s:.)*(closed the connection|connection .*(lost|closed))"
)
"""The connection is gone, which `Dialect.is_disconnect` does not always know."""

_RIGHTS = (
    "Grant SELECT, INSERT, UPDATE and DELETE on the table of the records, and SELECT on the one "
    "of the schema; tables are made by who may, with what `tokenkeep sql-schema` prints"
)


class _Refusal(NamedTuple):
    """Why a database is of no use. *said* is what the driver says, *doing* the statement."""

    pattern: str
    reason: str
    hint: str
    kind: type[TokenKeepError] = StoreUnavailable


_REFUSALS = (
    _Refusal(
        ": (unpack requires|index out of range|invalid literal)",
        "it does not answer as MySQL does",
        "Check host and port",
    ),
    _Refusal(
        "^2061:|requested a cleartext password",
        "it asks for the password itself, and has not proven who it is: it was not told",
        "If it is the database, let TLS verify it, or use its Unix socket: docs/sql.md",
    ),
    _Refusal(
        "^(1045|1698|3118|28P01|28000):|authentication failed|role .* does not exist|pg_hba|"
        "no password supplied",
        "it refuses this user or password",
        "Check user and password",
    ),
    _Refusal(
        "^(1049|3D000|3F000):|database .* does not exist",
        "it has no such database or schema: {said}",
        "Create it, or name another",
    ),
    _Refusal(
        "^(1044|1142|1143|42501):|permission denied",
        "this user lacks the privilege {doing}: {said}",
        _RIGHTS,
    ),
    _Refusal(
        "^(1054|42703):|no such column",
        "its table has other columns than those of tokenkeep; it is left as it is",
        "Name another table with table=",
        StoreForeign,
    ),
    _Refusal(
        "^(1146|1932|42P01):|no such table",
        "the tables of tokenkeep are not there any more",
        "Put them back from a backup; a new process makes empty ones",
    ),
    _Refusal(
        "^(3|28|1021|1114|53100|SQLITE_FULL):|[Nn]o space left|disk.*full",
        "its disk is full",
        "Make room on the server, then try again",
    ),
    _Refusal(
        "^(1290|1792|1836|25006|SQLITE_READONLY):|read-only",
        "it is read-only",
        "Name the primary server; this may be a replica, or it was set to read-only",
    ),
    _Refusal(
        "connection option|invalid [a-z_]+ value|weak sslmode",
        "the driver does not take an option of the URL: {said}",
        "Correct it; other options than those of docs/sql.md are the driver's",
        ConfigurationError,
    ),
    _Refusal(
        "^(2026|3159):|certificate|SSL|TLS",
        "no safe connection could be made",
        "Check its certificate, and the options for TLS in the URL",
    ),
    _Refusal(
        "^(2002|2005|1129|1130):|[Rr]efused|tim(ed|e) ?out|timeout expired|could not translate|"
        "resolve|No route|unreachable|No such file|[Cc]an't connect|closed the connection",
        "it can't be reached",
        "Check that it runs, its host and port, and the network between",
    ),
)

_OTHER = _Refusal("", "{said}", "See the log of the server")

OLDEST: dict[str, tuple[int, ...]] = {"mysql": (8, 0, 1), "mariadb": (10, 3), "postgresql": (12,)}
"""The first versions that know all of our statements."""

_LONGEST = 300


def code_of(exc: BaseException) -> int | str | None:
    """Return a database's error code. None if the driver gives none."""
    first: object = exc.args[0] if exc.args else None
    if isinstance(first, int) and not isinstance(exc, OSError):
        return first
    names = ("sqlstate", "pgcode", "sqlite_errorname")
    return next((str(code) for name in names if (code := getattr(exc, name, None))), None)


def _spelled(exc: BaseException) -> str:
    return f"{code_of(exc)}: {exc}"


def means(exc: BaseException, meaning: str) -> bool:
    """Return whether an error is one of `TAKEN`, `BUSY`, `MADE` or `LOST`."""
    return bool(re.search(meaning, _spelled(exc)))


def unknown(what: str, doing: str, record_id: str | None) -> StoreUnavailable:
    """Return the error for a call whose answer never came; for the arguments see `explain`."""
    if doing in {"INSERT", "UPDATE", "DELETE"}:
        what += "; whether the change was made is not known"
    return StoreUnavailable(
        what, token_id=record_id, hint="Try again; if it stays so, look at the server"
    )


def explain(
    exc: BaseException,
    *,
    where: str,
    doing: str,
    record_id: str | None = None,
    lost: bool = False,
    secrets: Sequence[str] = (),
) -> TokenKeepError:
    """
    Return our error for a driver's, which may quote rows and options in its text.

    Args:
        exc: What the driver says.
        where: Which database.
        doing: The statement: SELECT, INSERT, UPDATE, DELETE or CREATE.
        record_id: The record that was meant. None if it was none, or several.
        lost: Whether the connection is gone.
        secrets: What must be in no text, the longest first.
    """
    if means(exc, TAKEN):
        return StoreConflict(
            "There is a record with this id, or another one for the same thing", token_id=record_id
        )
    if means(exc, BUSY):
        return StoreUnavailable(f"Others kept {where} busy", token_id=record_id, hint="Try again")
    spelled, found = _spelled(exc), _OTHER
    # A code goes before words; of a connection that is lost, words say nothing.
    for match in (re.match,) if lost else (re.match, re.search):
        found = next((row for row in _REFUSALS if match(row.pattern, spelled)), _OTHER)
        if found is not _OTHER:
            break
    if lost and found is _OTHER:
        return unknown(f"The connection to {where} was lost", doing, record_id)
    reason = found.reason.format(doing=doing, said=_said(exc, secrets))
    place = where[:1].upper() + where[1:]
    return found.kind(f"{place} can't be used: {reason}", hint=found.hint)


def _said(exc: BaseException, secrets: Sequence[str]) -> str:
    """Return what the driver says, in one line and without a password."""
    said = next((arg for arg in exc.args[::-1] if isinstance(arg, str)), "")
    # PostgreSQL quotes the whole row in a line of its own.
    said = said.strip().partition("\n")[0]
    for secret in secrets:
        said = said.replace(secret, "***")
    number = f" ({code})" if (code := code_of(exc)) is not None else ""
    return f"{type(exc).__name__}{number}: {said[:_LONGEST]}"
