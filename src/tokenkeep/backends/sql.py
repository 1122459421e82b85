"""Sealed records in a SQL database: MySQL, MariaDB, PostgreSQL, and whatever SQLAlchemy speaks."""

from __future__ import annotations

import re
import weakref
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import CHAR, LONGBLOB
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.schema import CreateIndex, CreateTable

from tokenkeep.backends.base import HEADER, MARKS, WIDTH, Backend, Due, Mark, Record
from tokenkeep.backends.exposure import warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.backends.sql_database import LABELS, Database, TableMissing
from tokenkeep.errors import ConfigurationError, StoreConflict, StoreUnavailable, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from sqlalchemy import Dialect

    from tokenkeep.backends.base import Risk

_BATCH, _ROW = 2**18, 500
"""How many bytes one statement inserts, and what a row has beside its seal. Escaped, a seal may
have twice as many; of more than 1,024,000 PyMySQL makes several statements, each committed."""

MANY = 500
"""How many values one query looks for: old SQLite allows 999, SQL Server 2100."""

OLDEST: dict[str, tuple[int, ...]] = {"MariaDB": (10, 3), "PostgreSQL": (12,), "": (8, 0, 1)}
"""The first versions that know all of our statements; MySQL's says no name."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,47}")
"""What becomes of it, with an ending, fits every database; and needs no escaping in a driver."""

# Hexadecimal digits are alike in all encodings and collations; those of bytes are the fastest.
# Not CHAR in PostgreSQL: what is compared with a VARCHAR there is looked for without an index.
_DIGITS = (
    sa.String(WIDTH)
    .with_variant(CHAR(WIDTH, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    .with_variant(sa.String(WIDTH, collation="C"), "postgresql")
)
_TYPES: dict[str, Any] = {
    "kind": sa.String(8),
    "key": sa.Integer(),
    "sealed": sa.LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb"),
    "due_at": sa.Double(),
    "last_used_at": sa.Double(),
}
# Some would be a word of SQL.
_NAMES = {"key": "data_key", **{mark: f"{mark}_mark" for mark in MARKS}}
_SEALED = COLUMNS.index("sealed")
_CONFLICT = "Somebody else wrote this record first"


def records_table(name: str) -> sa.Table:
    """
    Return a store's table: its columns go by the names of a record's fields.

    Raises:
        ConfigurationError: It can't be called that.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            "The name of the table can't be used",
            hint="It is made of letters, digits, '_', '$' and '-', begins with a letter "
            "and has 48 characters at most",
        )
    columns: list[sa.Column[Any]] = [
        sa.Column(
            _NAMES.get(field, field),
            _TYPES.get(field, _DIGITS),
            key=field,
            primary_key=field == "id",
            unique=field == "owner" or None,
            nullable=field in {*MARKS, "due_at", "last_used_at"},
        )
        for field in COLUMNS
    ]
    # A crash must lose nothing, and a write be whole: not so with MySQL's other engines.
    safe: dict[str, Any] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
    table = sa.Table(name, sa.MetaData(), *columns, **safe)
    for field in (*MARKS, "due_at"):  # each with the id behind it, for pages in its order
        sa.Index(f"{name}_{field}", table.c[field], table.c.id)
    return table


def ddl(dialect_name: str, *, table: str = "tokenkeep") -> str:
    """
    Return the SQL that makes the table, for those who run it themselves.

    Args:
        dialect_name: As SQLAlchemy names it: ``mysql``, ``postgresql``, ``sqlite`` and so on.
        table: Its name.

    Raises:
        UnknownName: SQLAlchemy has no such dialect.
        ConfigurationError: The name can't be one.
    """
    made = records_table(table)
    try:
        # For a word alone the registry may have what is no dialect yet; for a URL it has one.
        dialect: Any = make_url(f"{dialect_name}://").get_dialect()
    except ArgumentError:
        raise UnknownName(
            f"SQLAlchemy has no dialect {dialect_name!r}",
            hint="It has mysql, mariadb, postgresql, sqlite, oracle and mssql; "
            "others come with packages of their own",
        ) from None
    return ";\n\n".join(_creating(made, dialect())) + ";\n"


def _creating(table: sa.Table, dialect: Dialect) -> list[str]:
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    made: list[Any] = [CreateTable(table), *map(CreateIndex, indexes)]
    texts = [str(each.compile(dialect=dialect)).strip() for each in made]
    return [re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE) for text in texts]


class Statement:
    """
    SQL text as the driver wants it, and what puts values in the driver's order.

    SQLAlchemy's own execution costs half of PyMySQL's; made ready once, it costs nothing.
    """

    def __init__(self, clause: Any, dialect: Dialect, columns: list[str] | None = None) -> None:
        compiled: Any = clause.compile(
            dialect=dialect, column_keys=columns, compile_kwargs={"render_postcompile": True}
        )
        self.sql: str = str(compiled)
        self._names: list[str] = compiled.positiontup or list(compiled.params)
        self._is_positional: bool = compiled.positional
        self._fixed = {n: value for n, value in compiled.params.items() if value is not None}

    def bind(self, values: Mapping[str, Any]) -> Any:
        """Return the parameters for the driver; *values* may have more than are needed."""
        if self._fixed:
            values = {**self._fixed, **values}
        if self._is_positional:
            return tuple([values[name] for name in self._names])
        return {name: values[name] for name in self._names}


class Statements:
    """All statements of one store; what has to be given for them is their parameters' names."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        c, bind = table.c, sa.bindparam
        self._table, self._dialect, self._select = table, dialect, sa.select(*c)
        is_it, is_version = c.id == bind("the_id"), c.version == bind("the_version")
        touched = [is_it, sa.or_(c.last_used_at.is_(None), c.last_used_at < bind("now"))]
        if dialect.name in LABELS:
            # A touch is not worth waiting for a lock. MySQL wants the inner one of two selects.
            free = sa.select(c.id).where(*touched).with_for_update(nowait=True).subquery()
            touched = [c.id.in_(sa.select(free.c.id))]
        kept = {"id", "last_used_at"}
        # The first of the two bounds the index; not each database can compare pairs.
        when, limit = bind("when", type_=c.due_at.type), bind("limit", type_=sa.Integer())
        behind = [c.due_at >= when, sa.or_(c.due_at > when, c.id > bind("after"))]
        due = self._select.where(c.due_at <= bind("before"), *behind)
        page = self._select.where(c.id > bind("after")).order_by(c.id).limit(limit)

        made = self._made
        self.none: Statement = made(self._select.where(sa.false()))
        self.read: Statement = made(self._select.where(is_it))
        self.insert: Statement = made(sa.insert(table), list(COLUMNS))
        replace = sa.update(table).where(is_it, is_version)
        self.replace: Statement = made(replace, [each for each in COLUMNS if each not in kept])
        self.delete: Statement = made(sa.delete(table).where(is_it))
        self.delete_version: Statement = made(sa.delete(table).where(is_it, is_version))
        touch = sa.update(table).where(*touched).values(last_used_at=bind("now"))
        self.touch: Statement = made(touch)
        self.clear: Statement = made(sa.delete(table).where(c.id > HEADER))  # it is before others
        self.due: Statement = made(due.order_by(c.due_at, c.id).limit(limit))
        self.scan: dict[str | None, Statement] = {
            field: made(page if field is None else page.where(c[field] == bind("mark")))
            for field in (None, *MARKS)
        }
        """By the field of a mark, if any."""
        self._finding = lru_cache(256)(self._find)

    def find(self, marks: Sequence[Mark]) -> tuple[Statement, dict[str, Any]]:
        """Return what finds the records with one of up to `MANY` marks, and the values for it."""
        wanted: dict[str, list[str]] = {}
        for field, value in marks:
            wanted.setdefault(field, []).append(value)
        # A few lengths, so that drivers prepare the same statements again and again.
        counts = {field: 1 << (len(some) - 1).bit_length() for field, some in wanted.items()}
        values = {
            f"{field}_{n}": some[min(n, len(some) - 1)]
            for field, some in wanted.items()
            for n in range(counts[field])
        }
        return self._finding(*sorted(counts.items())), values

    def _made(self, clause: Any, columns: list[str] | None = None) -> Statement:
        return Statement(clause, self._dialect, columns)

    def _find(self, *counts: tuple[str, int]) -> Statement:
        # Each arm goes by its own index; with OR a database may read the whole table.
        c = self._table.c
        arms = [
            self._select.where(
                c[field].in_([sa.bindparam(f"{field}_{n}", type_=c[field].type) for n in range(k)])
            )
            for field, k in counts
        ]
        return self._made(sa.union_all(*arms))


class SQLBackend(Backend):
    """
    Serve any number of hosts, through a database server.

    Each call is one statement, committed by itself, on a pooled connection; a
    thread waits for nobody else's. What is not listed here goes to the driver,
    from the URL's query as from the arguments: ``ssl_ca`` of MySQL,
    ``sslmode`` of PostgreSQL and so on.

    Args:
        url: ``mysql://user:password@host:port/database``,
            ``postgresql://…``, or ``sql+`` and any URL of SQLAlchemy.
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
        self._table = records_table(self._database.table)
        self._statements = Statements(self._table, self._database.dialect)
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
        found = self._fetch(self._statements.read, {"the_id": record_id}, record_id)
        return found[0] if found else None

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = list(dict.fromkeys(marks))
        found: dict[str, Record] = {}
        for start in range(0, len(wanted), MANY):
            statement, values = self._statements.find(wanted[start : start + MANY])
            found.update({each.id: each for each in self._fetch(statement, values)})
        return list(found.values())

    def write(self, record: Record, *, replaces: str | None) -> None:
        values = dict(zip(COLUMNS, to_row(record), strict=True))
        if replaces is None:
            done = self._ask("INSERT", self._statements.insert, values, record.id)
        else:
            values |= {"the_id": record.id, "the_version": replaces}
            done = self._ask("UPDATE", self._statements.replace, values, record.id)
        if not done:
            raise StoreConflict(_CONFLICT, token_id=record.id)

    def insert(self, records: Sequence[Record]) -> list[str]:
        if not (records and self._database.is_server):  # others may keep the half of it
            return super().insert(records)
        half = len(records) // 2
        if half and sum(len(each.sealed) + _ROW for each in records) > _BATCH:
            return self.insert(records[:half]) + self.insert(records[half:])
        rows = [dict(zip(COLUMNS, to_row(record), strict=True)) for record in records]
        try:
            self._ask("INSERT", self._statements.insert, rows)
        except StoreConflict:  # one is taken, so none was written
            return super().insert(records)
        return []

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        values = {"the_id": record_id, "the_version": replaces}
        if replaces is None:
            return bool(self._ask("DELETE", self._statements.delete, values, record_id))
        if self._ask("DELETE", self._statements.delete_version, values, record_id):
            return True
        if self.read(record_id) is not None:
            raise StoreConflict(_CONFLICT, token_id=record_id)
        return False

    def touch(self, record_id: str, last_used_at: float) -> None:
        values = {"the_id": record_id, "now": last_used_at}
        self._ask("UPDATE", self._statements.touch, values, record_id, patience=0)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        field, value = mark or (None, None)
        values = {"limit": limit, "after": after or "", "mark": value}
        return self._fetch(self._statements.scan[field], values)

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
        if database.is_server:
            ((said,),) = database.run("SELECT", "SELECT version()", ())
            name = next(each for each in OLDEST if each in said)
            found = tuple(map(int, re.findall(r"\d+", said)[:3]))
            if found < OLDEST[name]:
                oldest = ".".join(map(str, OLDEST[name]))
                raise StoreUnavailable(
                    f"The database is too old: {said}", hint=f"{oldest} will do"
                )
        try:
            database.run("SELECT", self._statements.none.sql, self._statements.none.bind({}))
        except TableMissing:
            is_made = make
            for each in _creating(self._table, database.dialect) if make else ():
                with suppress(StoreConflict):  # another process was faster
                    database.run("CREATE", each, ())
        self._is_made = is_made

    def _fetch(
        self, statement: Statement, values: dict[str, Any], record_id: str | None = None
    ) -> list[Record]:
        """Return the records that a statement finds."""
        return [_record(row) for row in self._ask("SELECT", statement, values, record_id)]

    def _ask(
        self,
        doing: str,
        statement: Statement,
        values: dict[str, Any] | list[dict[str, Any]],
        record_id: str | None = None,
        *,
        patience: float | None = None,
    ) -> Any:
        """Return the rows of a SELECT, or how many rows were changed."""
        if not self._is_made:  # by whomever: as long as not, each call looks
            self._open(make=doing == "INSERT")
            if not self._is_made:
                return [] if doing == "SELECT" else 0
        bind = statement.bind
        bound: Any = bind(values) if isinstance(values, dict) else [*map(bind, values)]
        return self._database.run(doing, statement.sql, bound, record_id, patience)


def _record(row: Sequence[Any]) -> Record:
    """Return the record of a row; each driver has its own type for bytes."""
    if not isinstance(row[_SEALED], bytes | str | None):  # a text was written by somebody else
        row = (*row[:_SEALED], bytes(row[_SEALED]), *row[_SEALED + 1 :])
    return from_row(row)
