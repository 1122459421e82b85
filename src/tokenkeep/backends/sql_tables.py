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

from tokenkeep.backends.base import FOUND_BY, HEADER, MARKS, WIDTH
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.backends.sql_errors import BUSY, MADE, OLDEST, TAKEN, means
from tokenkeep.backends.sql_url import TABLE
from tokenkeep.backends.waiting import tries
from tokenkeep.errors import (
    ConfigurationError,
    StoreForeign,
    StoreTooNew,
    UnknownName,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Dialect
    from sqlalchemy.sql.elements import ColumnElement
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
        nullable = {*MARKS, "due_at", "last_used_at"}
        self.records: Table = Table(
            table,
            metadata,
            *(
                Column(
                    column_name(name),
                    _TYPES.get(name, _DIGITS),
                    key=name,
                    primary_key=name == "id",
                    unique=name == "owner" or None,
                    nullable=name in nullable,
                )
                for name in COLUMNS
            ),
            **_SAFE,
        )
        self.version: Table = Table(
            f"{table}_schema",
            metadata,
            Column("name", String(20), primary_key=True),
            Column("version", Integer, nullable=False),
            **_SAFE,
        )
        c = self.records.c
        # Each with the id behind it, for pages in its order.
        indexes = [Index(f"{table}_{name}", c[name], c.id) for name in (*MARKS, "due_at")]
        version = insert(self.version).values(name="tokenkeep", version=VERSION)
        self.create: list[Any] = [
            CreateTable(self.records),
            *map(CreateIndex, indexes),
            CreateTable(self.version),
            version,
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
    create = Schema(table, schema).create
    try:
        # For a word alone the registry may have what is no dialect yet; for a URL it has one.
        dialect = make_url(f"{dialect_name}://").get_dialect()()
        *tables, row = create
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
        StoreForeign: A table is not ours, or of an earlier layout.
        StoreTooNew: A newer tokenkeep made them.
    """
    if _is_ready(db, schema, target):
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


def _is_ready(db: Connection, schema: Schema, target: Target) -> bool:
    """Return whether all is there: the version is written last."""
    if not _is_ours(db, schema.version, target):
        return False
    found = db.execute(select(schema.version.c.version)).scalar()
    if found is not None and found > VERSION:
        raise StoreTooNew(
            f"The table {schema.records.name} was made by a newer tokenkeep (format {found})",
            hint="Upgrade tokenkeep",
        )
    if found is not None and found < VERSION:
        raise _foreign(target, f"is in the format {found}, which no released tokenkeep had")
    return found is not None


def _is_ours(db: Connection, table: Table, target: Target) -> bool:
    """Return whether there is such a table; it is an error if it has other columns."""
    if not inspect(db).has_table(table.name, schema=table.schema):
        return False
    # Not each dialect can look at a table's columns, but each names those of a result.
    found = db.execute(select(literal_column("*")).select_from(table).where(false())).keys()
    db.rollback()
    if {name.lower() for name in found} != {column.name for column in table.columns}:
        raise _foreign(target, f"has a table {table.name} that is not one of tokenkeep's")
    return True


def _foreign(target: Target, what: str) -> StoreForeign:
    return StoreForeign(
        f"T{target.describe()[1:]} {what}; it is left as it is",
        hint="Name another table with table=; `tokenkeep import` takes over "
        "the tokens of the Zoho SDK's table",
    )


class Statement:
    """
    SQL text as the driver wants it, and what puts values in the driver's order.

    SQLAlchemy's own execution costs half of PyMySQL's; made ready once, it costs nothing.

    Args:
        clause: What to do.
        dialect: Of the database.
        columns: Those that are written, for an INSERT or UPDATE.
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
    """
    All statements of one store; what has to be given for them is in their parameters' names.

    Args:
        schema: Its tables.
        dialect: Of the database, which has been connected to.
    """

    def __init__(self, schema: Schema, dialect: Dialect) -> None:
        table, c = schema.records, schema.records.c
        self._columns = c
        self._dialect = dialect
        self._select = select(*c)
        is_server = dialect.name in OLDEST
        # Old SQLite allows 999 parameters, SQL Server 2100.
        self.many: int = 10_000 if is_server else 500
        """How many values one query looks for."""
        is_it = c.id == bindparam("the_id")
        is_version = c.version == bindparam("the_version")
        touched = [is_it, or_(c.last_used_at.is_(None), c.last_used_at < bindparam("now"))]
        if is_server:
            # A touch is not worth waiting for a lock. MySQL wants the inner one of two selects.
            free = select(c.id).where(*touched).with_for_update(nowait=True).subquery()
            touched = [c.id.in_(select(free.c.id))]
        others = delete(table).where(c.id > HEADER, c.id <= bindparam("the_id"))
        ids = select(c.id).where(c.id > HEADER).order_by(c.id).limit(bindparam("limit"))
        # The first of the two bounds the index; not each database can compare pairs.
        when = bindparam("when", type_=c.due_at.type)
        behind = [c.due_at >= when, or_(c.due_at > when, c.id > bindparam("after"))]
        pages = self._select.where(c.due_at <= bindparam("before"), *behind)

        self.read: Statement = self._made(self._select.where(is_it))
        self.insert: Statement = self._made(insert(table), list(COLUMNS))
        self.takes_many: bool = is_server
        """Whether one INSERT may have several rows."""
        self.replace: Statement = self._made(
            update(table).where(is_it, is_version),
            [field for field in COLUMNS if field not in {"id", "last_used_at"}],
        )
        self.delete: Statement = self._made(delete(table).where(is_it))
        self.delete_version: Statement = self._made(delete(table).where(is_it, is_version))
        self.touch: Statement = self._made(
            update(table).where(*touched).values(last_used_at=bindparam("now"))
        )
        self.ids: Statement = self._made(ids)
        """The first ids but the header's, which is before all others."""
        self.clear: Statement = self._made(others)
        """Delete up to an id."""
        self.due: Statement = self._made(pages.order_by(c.due_at, c.id).limit(bindparam("limit")))
        self.scan: Callable[[str | None], Statement] = lru_cache(self._scan)
        """Of the field of a mark, if any."""
        self._finding = lru_cache(256)(self._find)
        self._inserting = lru_cache(self._insert)

    def find(self, marks: Sequence[Mark]) -> tuple[Statement, dict[str, str]]:
        """
        Return what finds the records with one of some marks, and the values for it.

        A record that has several of them is found as often.

        Args:
            marks: At least one, and no more than `many`.
        """
        wanted: dict[str, list[str]] = {field: [] for field in FOUND_BY}
        for field, value in marks:
            wanted[field].append(value)
        shape, values = [], {}
        for field, some in wanted.items():
            if some:
                # A few lengths, so that drivers prepare the same statements again and again.
                count = 1 << (len(some) - 1).bit_length()
                shape.append((field, count))
                padded = some + some[-1:] * (count - len(some))
                values.update({f"{field}_{n}": value for n, value in enumerate(padded)})
        return self._finding(tuple(shape)), values

    def insert_many(self, rows: Sequence[Sequence[Any]]) -> tuple[Statement, dict[str, Any]]:
        """Return what inserts rows, in the order of `COLUMNS`, and the values for it."""
        names = ([f"{name}_{n}" for name in COLUMNS] for n in range(len(rows)))
        values = {k: v for row in zip(names, rows, strict=True) for k, v in zip(*row, strict=True)}
        return self._inserting(len(rows)), values

    def _made(self, clause: ClauseElement, columns: list[str] | None = None) -> Statement:
        return Statement(clause, self._dialect, columns)

    def _find(self, shape: tuple[tuple[str, int], ...]) -> Statement:
        arms = []
        for field, count in shape:
            column: ColumnElement[Any] = self._columns[field]
            values = [bindparam(f"{field}_{n}", type_=column.type) for n in range(count)]
            arms.append(
                self._select.where(column == values[0] if count == 1 else column.in_(values))
            )
        # Each arm goes by its own index; with OR a database may read the whole table.
        return self._made(union_all(*arms))

    def _insert(self, count: int) -> Statement:
        c = self._columns
        rows = [
            {name: bindparam(f"{name}_{n}", type_=c[name].type) for name in COLUMNS}
            for n in range(count)
        ]
        return self._made(insert(c.id.table).values(rows))

    def _scan(self, field: str | None) -> Statement:
        c = self._columns
        page = self._select.where(c.id > bindparam("after"))
        if field is not None:
            page = page.where(c[field] == bindparam("mark"))
        return self._made(page.order_by(c.id).limit(bindparam("limit")))
