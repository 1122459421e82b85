"""The tables of a SQL store: their columns, and the DDL that makes them, by dialect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy.dialects.mysql import CHAR, LONGBLOB
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, CompileError, NoSuchModuleError
from sqlalchemy.schema import CreateIndex, CreateTable

from tokenkeep.backends.base import MARKS, WIDTH
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.errors import ConfigurationError, UnknownName

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Insert
    from sqlalchemy.sql.ddl import ExecutableDDLElement
    from sqlalchemy.types import TypeEngine

VERSION = 2
"""The number in the schema's table: how the tables look."""

TABLE = "tokenkeep"
"""The name of the table if none is given."""

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

_NULLABLE = {*MARKS, "due_at", "last_used_at"}


def column_name(field: str) -> str:
    """Return the name of a field's column."""
    return _NAMES.get(field, field)


class Schema:
    """
    The two tables of a store.

    The records are in the first; the second has one row, the version of both.
    It is written last: where it is, all is there.

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
        self.metadata: MetaData = MetaData(schema=schema)
        self.records: Table = Table(
            table,
            self.metadata,
            *(
                Column(
                    column_name(name),
                    _TYPES.get(name, _DIGITS),
                    primary_key=name == "id",
                    unique=name == "owner" or None,
                    nullable=name in _NULLABLE,
                )
                for name in COLUMNS
            ),
            # A crash must lose nothing, and a write be whole: not so with MySQL's other engines.
            mysql_engine="InnoDB",
            mariadb_engine="InnoDB",
        )
        # Each with the id behind it, for pages in its order.
        self.indexes: list[Index] = [
            Index(f"{table}_{name}", self.records.c[column_name(name)], self.records.c.id)
            for name in (*MARKS, "due_at")
        ]
        self.version: Table = Table(
            f"{table}_schema",
            self.metadata,
            Column("name", String(20), primary_key=True),
            Column("version", Integer, nullable=False),
            mysql_engine="InnoDB",
            mariadb_engine="InnoDB",
        )
        self.insert_version: Insert = self.version.insert().values(
            name="tokenkeep", version=VERSION
        )

    def create(self) -> list[tuple[Table | Index, ExecutableDDLElement]]:
        """Return what is to be made, in its order, and the statements that do so."""
        return [
            (self.records, CreateTable(self.records)),
            *((index, CreateIndex(index)) for index in self.indexes),
            (self.version, CreateTable(self.version)),
        ]


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
    dialect = _dialect(dialect_name)
    tables = Schema(table, schema)
    try:
        statements = [str(each.compile(dialect=dialect)).strip() for _, each in tables.create()]
        row = tables.insert_version.compile(
            dialect=dialect, compile_kwargs={"literal_binds": True}
        )
    except CompileError:
        raise ConfigurationError(f"The dialect {dialect_name!r} can't have these tables") from None
    statements.append(str(row))
    tidy = (re.sub(r"[ \t]+$", "", each, flags=re.MULTILINE) for each in statements)
    return "".join(f"{each};\n\n" for each in tidy).rstrip("\n") + "\n"


def _dialect(name: str) -> Dialect:
    try:
        # For a word alone the registry may have what is no dialect yet; for a URL it has one.
        return make_url(f"{name}://").get_dialect()()
    except (ArgumentError, NoSuchModuleError):
        raise UnknownName(
            f"SQLAlchemy has no dialect {name!r}",
            hint="It has mysql, mariadb, postgresql, sqlite, oracle and mssql; "
            "others come with packages of their own",
        ) from None
