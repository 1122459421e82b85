"""Sealed records in a SQL database: MySQL, MariaDB and PostgreSQL."""

from __future__ import annotations

import re
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import HEADER, MARKS, Backend, Due, Mark, Record, written_first
from tokenkeep.backends.exposure import warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.backends.sql_database import Database, TableMissing
from tokenkeep.errors import ConfigurationError, StoreConflict, StoreUnavailable, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from tokenkeep.backends.base import Risk

_BATCH, _ROW = 2**18, 500
"""How many bytes one statement inserts, and what a row has beside its seal. Escaped, a seal may
have twice as many; of more than 1,024,000 PyMySQL makes several statements, each committed."""

OLDEST: dict[str, tuple[int, ...]] = {"MariaDB": (10, 3), "PostgreSQL": (12,), "": (8, 0, 1)}
"""The first versions that know all of our statements; MySQL's says no name."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,47}")
"""What becomes of it, with an ending, fits every database; and needs no escaping in a driver."""

# Hexadecimal digits are alike in all encodings and collations; those of bytes are the fastest.
# Not CHAR in PostgreSQL: what is compared with a VARCHAR there is looked for without an index.
_MYSQL = {
    "digits": "CHAR(32) CHARACTER SET ascii COLLATE ascii_bin",
    "bytes": "LONGBLOB",
    # A crash must lose nothing, and a write be whole: not so with MySQL's other engines.
    "end": "ENGINE=InnoDB",
    "quote": "`",
    "in": "IN %({})s",
}
_POSTGRESQL = {
    "digits": 'VARCHAR(32) COLLATE "C"',
    "bytes": "BYTEA",
    "end": "",
    "quote": '"',
    "in": "= ANY(%({})s)",
}
_DIALECTS = {"mysql": _MYSQL, "mariadb": _MYSQL, "postgresql": _POSTGRESQL}

# A mark's own name would be a word of SQL, and so would "key".
NAMES: dict[str, str] = {
    **dict(zip(COLUMNS, COLUMNS, strict=True)),
    "key": "data_key",
    **{mark: f"{mark}_mark" for mark in MARKS},
}
"""What the columns of a record's fields are called, in their order."""

_ALL = ", ".join(NAMES.values())
_NULLABLE = {*MARKS, "due_at", "last_used_at"}
_KEPT = {"id", "last_used_at"}
"""What the replacing of a record leaves as it is."""


def ddl(dialect: str, *, table: str = "tokenkeep") -> str:
    """
    Return the SQL that makes the table, for those who run it themselves.

    Args:
        dialect: ``mysql``, ``mariadb`` or ``postgresql``.
        table: Its name.

    Raises:
        UnknownName: It is none of these.
        ConfigurationError: The name can't be one.
    """
    if dialect not in _DIALECTS:
        raise UnknownName(f"There is no SQL dialect {dialect!r}", hint=", ".join(_DIALECTS))
    refuse_name(table)
    return ";\n\n".join(_creating(dialect, table)) + ";\n"


def _creating(dialect: str, table: str) -> list[str]:
    its, name = _DIALECTS[dialect], _quoted(table, dialect)
    types = {"kind": "VARCHAR(8)", "key": "INTEGER", "sealed": its["bytes"]}
    types |= dict.fromkeys(("due_at", "last_used_at"), "DOUBLE PRECISION")
    unique = {"id": " PRIMARY KEY", "owner": " UNIQUE"}
    columns = ",\n".join(
        f"    {NAMES[field]} {types.get(field, its['digits'])}"
        f"{'' if field in _NULLABLE else ' NOT NULL'}{unique.get(field, '')}"
        for field in COLUMNS
    )
    made = [f"CREATE TABLE {name} (\n{columns}\n) {its['end']}".rstrip()]
    for field in sorted((*MARKS, "due_at")):  # each with the id behind it, for pages in its order
        index = _quoted(f"{table}_{field}", dialect)
        made.append(f"CREATE INDEX {index} ON {name} ({NAMES[field]}, id)")
    return made


def refuse_name(table: str) -> None:
    """Raise `ConfigurationError` if a table can't be called that."""
    if not _NAME.fullmatch(table):
        raise ConfigurationError(
            "The name of the table can't be used",
            hint="It is made of letters, digits, '_', '$' and '-', begins with a letter "
            "and has 48 characters at most",
        )


def _quoted(name: str, dialect: str) -> str:
    quote = _DIALECTS[dialect]["quote"]
    return f"{quote}{name}{quote}"


class Statements:
    """
    The statements of one store, with parameters by their names, as both drivers take them.

    Args:
        dialect: As for `ddl`.
        table: The table's name.
    """

    def __init__(self, dialect: str, table: str) -> None:
        self._in, name = _DIALECTS[dialect]["in"], _quoted(table, dialect)
        select = self._select = f"SELECT {_ALL} FROM {name} WHERE"
        it, its_version = "id = %(id)s", "id = %(id)s AND version = %(replaces)s"
        values = ", ".join(f"%({field})s" for field in COLUMNS)
        changes = ", ".join(f"{NAMES[f]} = %({f})s" for f in COLUMNS if f not in _KEPT)
        # A touch is not worth waiting for a lock. MySQL wants the inner one of two selects.
        older = f"{it} AND (last_used_at IS NULL OR last_used_at < %(now)s)"
        free = f"SELECT id FROM (SELECT id FROM {name} WHERE {older} FOR UPDATE NOWAIT) AS free"
        # The first of the two bounds the index.
        behind = "due_at >= %(when)s AND (due_at > %(when)s OR id > %(after)s)"
        page = "ORDER BY id LIMIT %(limit)s"

        self.none: str = f"{select} 1 = 0"
        self.read: str = f"{select} {it}"
        self.insert: str = f"INSERT INTO {name} ({_ALL}) VALUES ({values})"
        self.replace: str = f"UPDATE {name} SET {changes} WHERE {its_version}"
        self.delete: str = f"DELETE FROM {name} WHERE {it}"
        self.delete_version: str = f"DELETE FROM {name} WHERE {its_version}"
        self.touch: str = f"UPDATE {name} SET last_used_at = %(now)s WHERE id IN ({free})"
        self.clear: str = f"DELETE FROM {name} WHERE id > '{HEADER}'"  # it is before others
        self.due: str = (
            f"{select} due_at <= %(before)s AND {behind} ORDER BY due_at, id LIMIT %(limit)s"
        )
        self.scan: str = f"{select} id > %(after)s {page}"
        self.scan_mark: dict[str, str] = {
            f: f"{select} {NAMES[f]} = %(mark)s AND id > %(after)s {page}" for f in MARKS
        }

    def find(self, fields: Iterable[str]) -> str:
        """Return what finds those who have one of several values in one of these fields."""
        # Each by its own index; with OR a database may read the whole table.
        arms = [f"{self._select} {NAMES[f]} {self._in.format(f)}" for f in fields]
        return " UNION ALL ".join(arms)


class SQLBackend(Backend):
    """
    Serve any number of hosts, through a database server.

    Each call is one statement, committed by itself, on a pooled connection; a
    thread waits for nobody else's. What is not listed here goes to the driver,
    from the URL's query as from the arguments: ``ssl_ca`` of MySQL,
    ``sslmode`` of PostgreSQL and so on.

    Args:
        url: ``mysql://user:password@host:port/database``, also for MariaDB; or ``postgresql://…``.
        make: Whether a missing table is made at once. False: with the first
            record, and until then it is read as an empty one.
        given: What goes before the URL. ``password``; ``table``, its name,
            ``tokenkeep`` if not given; ``timeout``, how long to wait for a
            connection, for others' locks and for each answer, in seconds, 10
            if not given; ``pool_size``, how many connections may be open at
            once, 15 if not given. All else are options of the driver. None
            means as in the URL.

    Raises:
        StoreUnavailable: The database can't be reached or used; the text says why.
        StoreForeign: The table is somebody else's.
        ConfigurationError: The URL or an option is wrong.
        DriverMissing: The driver is not installed.
    """

    @without_frames
    def __init__(self, url: str, *, make: bool = True, **given: object) -> None:
        self._database = Database(url, given)
        refuse_name(self._database.table)
        self._statements = Statements(self._database.kind, self._database.table)
        weakref.finalize(self, self._database.close)
        try:
            self._open(make=make)
        except BaseException:
            self.close()
            raise
        warn(self.describe(), self._database.risks())

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """
        Open the database a URL names; a missing table is made with the first record.

        Args:
            url: As for the class; its query may have what is given there by name.

        Raises:
            ConfigurationError: The URL or an option is wrong.
            StoreError: As for the class.
        """
        return cls(url, make=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.describe()}>"

    def read(self, record_id: str) -> Record | None:
        found = self._fetch(self._statements.read, {"id": record_id}, record_id)
        return found[0] if found else None

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted: dict[str, list[str]] = {}
        for field, value in marks:
            wanted.setdefault(field, []).append(value)
        found = self._fetch(self._statements.find(wanted), wanted) if wanted else []
        return list({each.id: each for each in found}.values())

    def write(self, record: Record, *, replaces: str | None) -> None:
        statements, values = self._statements, _values(record)
        if replaces is None:
            done = self._ask("INSERT", statements.insert, values, record.id)
        else:
            values["replaces"] = replaces
            done = self._ask("UPDATE", statements.replace, values, record.id)
        if not done:
            raise written_first(record.id)

    def insert(self, records: Sequence[Record]) -> list[str]:
        half = len(records) // 2
        if half and sum(len(each.sealed) + _ROW for each in records) > _BATCH:
            return self.insert(records[:half]) + self.insert(records[half:])
        try:
            if records:
                self._ask("INSERT", self._statements.insert, [*map(_values, records)])
        except StoreConflict:  # one is taken, so none was written
            return super().insert(records)
        return []

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        values, statements = {"id": record_id}, self._statements
        if replaces is None:
            return bool(self._ask("DELETE", statements.delete, values, record_id))
        values["replaces"] = replaces
        if self._ask("DELETE", statements.delete_version, values, record_id):
            return True
        if self.read(record_id) is not None:
            raise written_first(record_id)
        return False

    def touch(self, record_id: str, last_used_at: float) -> None:
        values = {"id": record_id, "now": last_used_at}
        self._ask("UPDATE", self._statements.touch, values, record_id, patience=0)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        values = {"limit": limit, "after": after or ""}
        if mark is None:
            return self._fetch(self._statements.scan, values)
        return self._fetch(self._statements.scan_mark[mark[0]], {**values, "mark": mark[1]})

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        when, last = after or (-1e300, "")
        values = {"before": before, "limit": limit, "when": when, "after": last}
        return self._fetch(self._statements.due, values)

    def clear(self) -> int:
        return int(self._ask("DELETE", self._statements.clear, {}))

    def describe(self) -> str:
        return self._database.describe()

    def risks(self) -> list[Risk] | None:
        return self._database.risks() or None

    def close(self) -> None:
        self._database.close()

    # How it is done

    def _open(self, *, make: bool) -> None:
        """Look whether the table is there; *make* it if it is not."""
        database, is_made = self._database, True
        ((said,),) = database.run("SELECT", "SELECT version()", ())
        name = next(each for each in OLDEST if each in said)
        if tuple(map(int, re.findall(r"\d+", said)[:3])) < OLDEST[name]:
            oldest = ".".join(map(str, OLDEST[name]))
            raise StoreUnavailable(f"The database is too old: {said}", hint=f"{oldest} will do")
        try:
            database.run("SELECT", self._statements.none, ())
        except TableMissing:
            is_made = make
            for each in (
                ddl(database.kind, table=database.table).rstrip(";\n").split(";\n") if make else ()
            ):
                with suppress(StoreConflict):  # another process was faster
                    database.run("CREATE", each, ())
        self._is_made = is_made

    def _fetch(
        self, statement: str, values: Mapping[str, object], record_id: str | None = None
    ) -> list[Record]:
        """Return the records that a statement finds."""
        return [from_row(row) for row in self._ask("SELECT", statement, values, record_id)]

    def _ask(
        self,
        doing: str,
        statement: str,
        values: Mapping[str, object] | Sequence[Mapping[str, object]],
        record_id: str | None = None,
        *,
        patience: float | None = None,
    ) -> Any:
        """Return the rows of a SELECT, or how many rows were changed."""
        if not self._is_made:  # by whomever: as long as not, each call looks
            self._open(make=doing == "INSERT")
            if not self._is_made:
                return [] if doing == "SELECT" else 0
        return self._database.run(doing, statement, values, record_id, patience)


def _values(record: Record) -> dict[str, Any]:
    return dict(zip(COLUMNS, to_row(record), strict=True))
