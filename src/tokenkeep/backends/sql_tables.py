"""The tables of a SQL store and its statements, made by SQLAlchemy once and sent as they are."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    false,
    insert,
    inspect,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.mysql import CHAR, LONGBLOB
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, CompileError, DBAPIError, NoSuchModuleError
from sqlalchemy.schema import CreateIndex, CreateTable

from tokenkeep.backends.base import HEADER, MARKS, WIDTH
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.backends.sql_errors import BUSY, MADE, OLDEST, TAKEN, means
from tokenkeep.backends.sql_url import TABLE
from tokenkeep.backends.waiting import tries
from tokenkeep.errors import ConfigurationError, StoreForeign, StoreTooNew, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Dialect
    from sqlalchemy.sql.expression import ClauseElement
    from sqlalchemy.types import TypeEngine

    from tokenkeep.backends.base import Mark
    from tokenkeep.backends.sql_url import Target

VERSION = 2
"""The number in the schema's table: how the tables look."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,47}")
"""What becomes of it, with an ending, fits every database; and needs no escaping in a driver."""

# Hexadecimal digits are alike in all encodings and collations; those of bytes are the fastest.
# Not CHAR in PostgreSQL: what is compared with a VARCHAR there is looked for without an index.
_DIGITS = (
    String(WIDTH)
    .with_variant(CHAR(WIDTH, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    .with_variant(String(WIDTH, collation="C"), "postgresql")
)

_TYPES: dict[str, TypeEngine[Any]] = {
    "kind": String(8),
    "key": Integer(),
    "sealed": LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb"),
    "due_at": Double(),
    "last_used_at": Double(),
}
"""The types of the columns that are not `WIDTH` digits."""

_NAMES = {"key": "data_key", **{mark: f"{mark}_mark" for mark in MARKS}}
"""Columns whose name would be a word of SQL as a field."""

_NUMBERED = tuple(enumerate(COLUMNS))

# A crash must lose nothing, and a write be whole: not so with MySQL's other engines.
_SAFE: dict[str, Any] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}


class Schema:
    """
    The two tables of a store.

    The records are in the first, whose columns go by the names of a record's
    fields; the second has one row, the version of both. It is written last:
    where it is, all is there.

    Args:
        table: The name of the first; the second is ``<table>_schema``.
        schema: In which schema (in MySQL: database) they are. None means the
            connection's own.

    Raises:
        ConfigurationError: A name can't be one.
    """

    def __init__(self, table: str = TABLE, schema: str | None = None) -> None:
        for what, name in (("table", table), ("schema", schema)):
            if name is not None and not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"The name of the {what} can't be used",
                    hint="It is made of letters, digits, '_', '$' and '-', begins with a letter "
                    "and has 48 characters at most",
                )
        metadata = MetaData(schema=schema)
        columns: list[Column[Any]] = [
            Column(
                column_name(name),
                _TYPES.get(name, _DIGITS),
                key=name,
                primary_key=name == "id",
                unique=name == "owner" or None,
                nullable=name in {*MARKS, "due_at", "last_used_at"},
            )
            for name in COLUMNS
        ]
        self.records: Table = Table(table, metadata, *columns, **_SAFE)
        one = Column("name", String(20), primary_key=True)
        version = Column("version", Integer, nullable=False)
        self.version: Table = Table(f"{table}_schema", metadata, one, version, **_SAFE)
        c = self.records.c
        # Each with the id behind it, for pages in its order.
        indexes = [Index(f"{table}_{name}", c[name], c.id) for name in (*MARKS, "due_at")]
        self.create: list[Any] = [
            CreateTable(self.records),
            *map(CreateIndex, indexes),
            CreateTable(self.version),
            insert(self.version).values(name="tokenkeep", version=VERSION),
        ]
        """The statements that make them, in their order."""


def column_name(field: str) -> str:
    """Return the name of a field's column."""
    return _NAMES.get(field, field)


def ddl(dialect_name: str, *, table: str = TABLE, schema: str | None = None) -> str:
    """
    Return the SQL that makes the tables, for those who run it themselves.

    Args:
        dialect_name: As SQLAlchemy names it: ``mysql``, ``postgresql``, ``sqlite`` and so on.
        table: As for `Schema`.
        schema: As for `Schema`.

    Raises:
        UnknownName: SQLAlchemy has no such dialect.
        ConfigurationError: A name can't be one, or the dialect can't have such tables.
    """
    *tables, row = Schema(table, schema).create
    try:
        # For a word alone the registry may have what is no dialect yet; for a URL it has one.
        dialect = make_url(f"{dialect_name}://").get_dialect()()
        made = [str(each.compile(dialect=dialect)).strip() for each in tables]
        made.append(str(row.compile(dialect=dialect, compile_kwargs={"literal_binds": True})))
    except (ArgumentError, NoSuchModuleError):
        raise UnknownName(
            f"SQLAlchemy has no dialect {dialect_name!r}",
            hint="It has mysql, mariadb, postgresql, sqlite, oracle and mssql; "
            "others come with packages of their own",
        ) from None
    except CompileError:
        raise ConfigurationError(f"The dialect {dialect_name!r} can't have these tables") from None
    return re.sub(r"[ \t]+$", "", ";\n\n".join(made), flags=re.MULTILINE) + ";\n"


def prepare(db: Connection, schema: Schema, target: Target, *, make: bool) -> bool:
    """
    Look for the tables; make what is missing. Return whether all are there.

    Any number of processes may do so at once: each step is one that somebody
    else may have taken in the meantime. No lock is used, since proxies and
    clusters don't keep those of MySQL and PostgreSQL.

    Args:
        db: A connection.
        schema: The tables.
        target: Where they are.
        make: Whether to make them. False only looks, and completes what was begun.

    Raises:
        DBAPIError: The database says no.
        StoreForeign: A table is not ours.
        StoreTooNew: A newer tokenkeep made them.
    """
    if _is_ours(db, schema.version, target):
        found = db.execute(select(schema.version.c.version)).scalar()
        if found is not None and found > VERSION:
            raise StoreTooNew(
                f"The table {schema.records.name} was made by a newer tokenkeep (format {found})",
                hint="Upgrade tokenkeep",
            )
        if found is not None:  # it is written last
            return True
    if not _is_ours(db, schema.records, target) and not make:
        return False
    for each in schema.create:
        for _ in tries(target.timeout):
            try:
                db.execute(each)
                db.commit()
                break
            except DBAPIError as exc:
                db.rollback()
                said = exc.orig or exc
                if means(said, MADE) or (each is schema.create[-1] and means(said, TAKEN)):
                    break  # another process was faster
                if not means(said, BUSY) and not means(said, TAKEN):
                    raise
    return True


def _is_ours(db: Connection, table: Table, target: Target) -> bool:
    """Return whether there is such a table; it is an error if it has other columns."""
    if not inspect(db).has_table(table.name, schema=table.schema):
        return False
    # Not each dialect can look at a table's columns, but each names those of a result.
    found = db.execute(select(literal_column("*")).select_from(table).where(false())).keys()
    db.rollback()
    if {name.lower() for name in found} != {column.name for column in table.columns}:
        raise StoreForeign(
            f"T{target.describe()[1:]} has a table {table.name} that is not one of tokenkeep's; "
            "it is left as it is",
            hint="Name another table with table=; `tokenkeep import` takes over "
            "the tokens of the Zoho SDK's table",
        )
    return True


class Statement:
    """
    SQL text as the driver wants it, and what puts values in the driver's order.

    SQLAlchemy's own execution costs half of PyMySQL's; made ready once, it costs nothing.
    """

    def __init__(
        self, clause: ClauseElement, dialect: Dialect, columns: list[str] | None = None
    ) -> None:
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

    def __init__(self, schema: Schema, dialect: Dialect) -> None:
        table, c = schema.records, schema.records.c
        self._columns, self._dialect, self._select = c, dialect, select(*c)
        is_server = dialect.name in OLDEST
        self.many: int = 10_000 if is_server else 500
        """How many values one query looks for: old SQLite allows 999, SQL Server 2100."""
        self.takes_many: bool = is_server
        """Whether one INSERT may have several rows."""
        is_it = c.id == bindparam("the_id")
        is_version = c.version == bindparam("the_version")
        touched = [is_it, or_(c.last_used_at.is_(None), c.last_used_at < bindparam("now"))]
        if is_server:
            # A touch is not worth waiting for a lock. MySQL wants the inner one of two selects.
            free = select(c.id).where(*touched).with_for_update(nowait=True).subquery()
            touched = [c.id.in_(select(free.c.id))]
        kept = {"id", "last_used_at"}
        # The first of the two bounds the index; not each database can compare pairs.
        when = bindparam("when", type_=c.due_at.type)
        behind = [c.due_at >= when, or_(c.due_at > when, c.id > bindparam("after"))]
        limit: Any = bindparam("limit")
        is_other = c.id > HEADER  # which is before all others

        made = self._made
        self.read: Statement = made(self._select.where(is_it))
        self.insert: Statement = made(insert(table), list(COLUMNS))
        replace = update(table).where(is_it, is_version)
        self.replace: Statement = made(replace, [each for each in COLUMNS if each not in kept])
        self.delete: Statement = made(delete(table).where(is_it))
        self.delete_version: Statement = made(delete(table).where(is_it, is_version))
        touch = update(table).where(*touched).values(last_used_at=bindparam("now"))
        self.touch: Statement = made(touch)
        self.ids: Statement = made(select(c.id).where(is_other).order_by(c.id).limit(limit))
        self.clear: Statement = made(delete(table).where(is_other, c.id <= bindparam("the_id")))
        due = self._select.where(c.due_at <= bindparam("before"), *behind)
        self.due: Statement = made(due.order_by(c.due_at, c.id).limit(limit))
        page = self._select.where(c.id > bindparam("after")).order_by(c.id).limit(limit)
        self.scan: dict[str | None, Statement] = {
            field: made(page if field is None else page.where(c[field] == bindparam("mark")))
            for field in (None, *MARKS)
        }
        """By the field of a mark, if any."""
        self._finding = lru_cache(256)(self._find)
        self._inserting = lru_cache(self._insert)

    def find(self, marks: Sequence[Mark]) -> tuple[Statement, dict[str, str]]:
        """Return what finds the records with one of up to `many` marks, and the values for it."""
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

    def insert_many(self, rows: Sequence[Sequence[Any]]) -> tuple[Statement, dict[str, Any]]:
        """Return what inserts rows, in the order of `COLUMNS`, and the values for it."""
        cells = ((f"{name}_{n}", row[i]) for n, row in enumerate(rows) for i, name in _NUMBERED)
        return self._inserting(len(rows)), dict(cells)

    def _made(self, clause: ClauseElement, columns: list[str] | None = None) -> Statement:
        return Statement(clause, self._dialect, columns)

    def _bound(self, field: str, n: int) -> Any:
        return bindparam(f"{field}_{n}", type_=self._columns[field].type)

    def _find(self, *counts: tuple[str, int]) -> Statement:
        # Each arm goes by its own index; with OR a database may read the whole table.
        arms = [
            self._select.where(
                self._columns[field].in_([self._bound(field, n) for n in range(count)])
            )
            for field, count in counts
        ]
        return self._made(union_all(*arms))

    def _insert(self, count: int) -> Statement:
        rows = [{name: self._bound(name, n) for name in COLUMNS} for n in range(count)]
        return self._made(insert(self._columns.id.table).values(rows))
