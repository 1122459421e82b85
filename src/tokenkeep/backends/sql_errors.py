"""What the errors of databases and their drivers mean, and what to do about them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreConflict, StoreError, StoreForeign, StoreUnavailable

if TYPE_CHECKING:
    from tokenkeep.backends.sql_target import Target

Code = int | str | None

_TAKEN: set[Code] = {
    1062,
    1586,
    "23505",
    "SQLITE_CONSTRAINT_UNIQUE",
    "SQLITE_CONSTRAINT_PRIMARYKEY",
}
_AGAIN: set[Code] = {
    *(1020, 1205, 1213, 3572),  # changed since read, lock wait timeout, deadlock, locked now
    *("40001", "40P01", "55P03"),  # serialization failure, deadlock, lock not available
    *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT"),
}
"""Somebody is in the way, and the database has undone the statement."""

_MADE: set[Code] = {1050, 1061, "42P07", "42710"}
"""The table or index is there already."""

_LOST: set[Code] = {1053, 1927, 2006, 2013, 4031, "57P01", "57P02", "57P05"}
"""The connection is gone, which `Dialect.is_disconnect` does not always know."""

_UNREACHABLE = (
    "it can't be reached",
    "Check that it runs, its host and port, and the network between",
)
_NO_LOGIN = ("it refuses this user or password", "Check user and password")
_NO_DATABASE = ("it has no such database", "Create the database, or name another")
_NO_SCHEMA = ("there is no such schema", "Create the schema, or name another with schema=")
_READ_ONLY = (
    "it is read-only",
    "Name the primary server; this may be a replica, or it was set to read-only",
)
_FULL = ("its disk is full", "Make room on the server, then try again")
_CROWDED = (
    "it has too many connections",
    "Raise its limit, or lower pool_size and max_overflow",
)
_STARTING = ("it is starting up or shutting down", "Try again")
_TOO_LARGE = (
    "the record is larger than it accepts",
    "Raise max_allowed_packet on the server",
)
_SLOW = ("it did not finish in time", "Try again; look what keeps the server busy")
_GONE = (
    "the tables of tokenkeep are not there any more",
    "Put them back from a backup; a new process makes empty ones",
)
_IN_CLEAR = (
    "it asks for the password itself, and has not proven who it is: it was not told",
    "If it is the database, let TLS verify it, or use its Unix socket: docs/sql.md",
)
_NO_TLS = (
    "no safe connection could be made",
    "Check its certificate, and the options for TLS in the URL",
)

_NO_NACL = (
    "it asks for a login by Ed25519, for which a package is missing here",
    "Install it: pip install PyNaCl. Or let the user log in another way: docs/sql.md",
)

_REASONS: dict[Code, tuple[str, str]] = {
    **dict.fromkeys((1045, 1698, 3118, "28P01", "28000"), _NO_LOGIN),
    **dict.fromkeys((1049, "3D000"), _NO_DATABASE),
    **dict.fromkeys((1290, 1792, 1836, "25006", "SQLITE_READONLY"), _READ_ONLY),
    **dict.fromkeys((3, 28, 1021, 1114, "53100", "SQLITE_FULL"), _FULL),
    **dict.fromkeys((1040, 1203, 1226, "53300"), _CROWDED),
    **dict.fromkeys((1053, 1047, "57P01", "57P02", "57P03"), _STARTING),
    **dict.fromkeys((1317, 1969, 3024, "57014"), _SLOW),
    **dict.fromkeys((1146, 1932, "42P01"), _GONE),
    **dict.fromkeys((2002, 2005, 1129, 1130), _UNREACHABLE),
    **dict.fromkeys((2026, 3159), _NO_TLS),
    2061: _IN_CLEAR,
    1153: _TOO_LARGE,
    "3F000": _NO_SCHEMA,
    "53200": ("it is out of memory", "Try again"),
}
"""What to say for an error code of MySQL, PostgreSQL or SQLite, and what to do about it."""

# The server's own words, where a driver gives no code (PostgreSQL's before the login),
# or one code for all (PyMySQL's 2003).
_WORDS = (
    (r"'pynacl' package is required", _NO_NACL),
    (r"server requested a cleartext password", _IN_CLEAR),
    (r"authentication failed|role .* does not exist|pg_hba", _NO_LOGIN),
    (r"no password supplied", _NO_LOGIN),
    (r"database .* does not exist", _NO_DATABASE),
    (r"too many (clients|connections)|connection slots", _CROWDED),
    (r"starting up|shutting down", _STARTING),
    (r"certificate|SSL|TLS", _NO_TLS),
    (r"[Nn]o space left|disk.*full", _FULL),
    (r"read-only", _READ_ONLY),
    (r"connection (timeout|timed out|refused)|timeout expired|timed out", _UNREACHABLE),
    (r"[Cc]onnection refused|could not translate|resolve|No route|unreachable", _UNREACHABLE),
    (r"No such file|[Cc]an't connect|Unknown.* host|closed the connection", _UNREACHABLE),
)

_LONGEST = 300


class Explainer:
    """
    Say in our words what went wrong with one database.

    The exceptions of drivers do not get past this: their texts may quote the
    rows and the options that were sent.

    Args:
        target: The database.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    def code(self, exc: BaseException) -> Code:
        """Return a driver's error code. None if there is none, or it is not known where."""
        first: object = exc.args[0] if exc.args else None
        for attribute in ("sqlstate", "pgcode") if self._target.is_postgresql else ("errno",):
            value = getattr(exc, attribute, None)
            if isinstance(value, int | str) and value:
                return value
        if isinstance(first, dict):  # pg8000
            return str(first.get("C"))
        if self._target.is_mysql and isinstance(first, int):
            return first
        name = getattr(exc, "sqlite_errorname", None)
        return name if isinstance(name, str) else None

    def is_taken(self, exc: BaseException) -> bool:
        """Return whether a record was refused because of its id or owner."""
        code = self.code(exc)
        if code is not None:
            return code in _TAKEN
        # DuckDB looks at it when it commits, and says that with another error.
        kinds = {kind.__name__ for kind in type(exc).__mro__}
        is_integrity = kinds & {"IntegrityError", "TransactionException"}
        return bool(is_integrity) and bool(re.search(r"(?i)unique|duplicate|primary", str(exc)))

    def is_busy(self, exc: BaseException) -> bool:
        """Return whether others are in the way, so that nothing was done."""
        code = self.code(exc)
        if code is not None:
            return code in _AGAIN
        return bool(re.search(r"(?i)deadlock|serializ|conflict|database is locked", str(exc)))

    def is_made(self, exc: BaseException) -> bool:
        """Return whether a table or index was not made because it is there already."""
        code = self.code(exc)
        return code in _MADE or (not isinstance(code, int) and "already exists" in str(exc))

    def is_lost(self, exc: BaseException) -> bool:
        """Return whether the code of an error says that the connection is gone."""
        code = self.code(exc)
        return code in _LOST or (isinstance(code, str) and code.startswith("08"))

    def explain(
        self,
        exc: BaseException,
        *,
        doing: str,
        record_id: str | None = None,
        lost: bool = False,
    ) -> StoreError:
        """
        Return our error for a driver's; to be raised ``from None``.

        Args:
            exc: What the driver says.
            doing: Which privilege it takes: SELECT, INSERT, UPDATE, DELETE or CREATE.
            record_id: The record that was asked for or written. None if it was none, or several.
            lost: Whether the connection is gone.
        """
        where = self._target.database()
        if self.is_taken(exc):
            return StoreConflict(
                "There is a record with this id, or another one for the same thing",
                token_id=record_id,
            )
        if self.is_busy(exc):
            return StoreUnavailable(
                f"Others kept {where} busy", token_id=record_id, hint="Try again"
            )
        code = self.code(exc)
        denied = self._denied(exc, code, doing)
        if denied:
            return denied
        if code in {1054, "42703"}:
            return self.foreign("has other columns than those of tokenkeep")
        if lost:
            return self._lost(exc, doing, record_id)
        reason, hint = _REASONS.get(code) or self._by_words(exc) or (self._said(exc, code), "")
        if self._target.schema and code in {1049, "3F000"}:
            where, (reason, hint) = self._target.describe(), _NO_SCHEMA
        return StoreUnavailable(
            f"{_upper(where)} can't be used: {reason}",
            token_id=record_id if reason == _TOO_LARGE[0] else None,
            hint=hint or "See the log of the server",
        )

    def too_large(self, packet: int, record_id: str) -> StoreUnavailable:
        """
        Return the error to raise for a record that the server would not take.

        Args:
            packet: What it takes, in bytes.
            record_id: The record.
        """
        return StoreUnavailable(
            f"A record is larger than {self._target.database()} accepts",
            token_id=record_id,
            hint=f"Raise max_allowed_packet on the server, which is {packet} bytes now",
        )

    def foreign(self, what: str) -> StoreForeign:
        """
        Return the error to raise for a table that tokenkeep did not make.

        Args:
            what: What is wrong with it, to stand behind its name.
        """
        return StoreForeign(
            f"{_upper(self._target.describe())} {what}; it is left as it is",
            hint="Name another table with table=; `tokenkeep import` takes over "
            "the tokens of the Zoho SDK's table",
        )

    def _lost(self, exc: BaseException, doing: str, record_id: str | None) -> StoreUnavailable:
        where = self._target.database()
        timed_out = bool(re.search(r"(?i)tim(ed|e) ?out", str(exc)))
        how = (
            f"did not answer within {self._target.timeout:g} seconds" if timed_out else "was lost"
        )
        what = f"{_upper(where)} {how}" if timed_out else f"The connection to {where} was lost"
        if doing in {"INSERT", "UPDATE", "DELETE"}:
            what += "; whether the change was made is not known"
        return StoreUnavailable(
            what, token_id=record_id, hint="Try again; if it stays so, look at the server"
        )

    def _denied(self, exc: BaseException, code: Code, doing: str) -> StoreUnavailable | None:
        """Return the error for a missing privilege. None if that is not what happened."""
        said = str(exc)
        privilege, on = doing, "its tables"
        if code in {1142, 1143}:
            match = re.search(r"\b([A-Z]+) command denied", said)
            privilege = match[1] if match else doing
            match = re.search(r"for (?:table|column .* in table) .*?([\w$-]+)[`']*\"?\)?$", said)
            on = f"the table {match[1]}" if match else on
        elif code == 1044:  # noqa: PLR2004 - an error code of MySQL
            privilege, on = doing, "this database"
        elif code == "42501":
            match = re.search(r"permission denied for (\w+) \"?([\w$-]+)", said)
            on = f"the {match[1]} {match[2]}" if match else on
            if match and match[1] == "schema":
                privilege = "CREATE and USAGE" if doing == "CREATE" else "USAGE"
            elif doing == "CREATE":
                privilege = "SELECT"  # of tables that are there; to make one needs the schema's
            elif doing == "UPDATE":
                privilege = "SELECT or UPDATE"
            elif doing == "DELETE":
                privilege = "SELECT or DELETE"
        else:
            return None
        makes = doing == "CREATE"
        return StoreUnavailable(
            f"{_upper(self._target.database())} can't be used: this user lacks the "
            f"privilege {privilege} on {on}",
            hint="Grant it, or have somebody who may create tables run what "
            "`tokenkeep sql-schema` prints"
            if makes
            else "Grant SELECT, INSERT, UPDATE and DELETE on the table of the records, "
            "and SELECT on the one of the schema",
        )

    def _by_words(self, exc: BaseException) -> tuple[str, str] | None:
        said = str(exc)
        return next((reason for words, reason in _WORDS if re.search(words, said)), None)

    def _said(self, exc: BaseException, code: Code) -> str:
        """Return what the driver says, in one line and without a password."""
        said = next((arg for arg in exc.args[::-1] if isinstance(arg, str)), "")
        # PostgreSQL quotes the whole row in a line of its own.
        said = said.strip().partition("\n")[0]
        for secret in self._target.secrets:
            said = said.replace(secret, "***")
        number = f" ({code})" if code is not None else ""
        return f"{type(exc).__name__}{number}: {said[:_LONGEST]}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
