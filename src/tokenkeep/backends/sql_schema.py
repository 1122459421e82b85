"""The tables of a SQL store: their columns, and the DDL that makes them, by dialect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, MetaData, String, Table, select
from sqlalchemy.dialects.mysql import LONGBLOB, VARBINARY
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, CompileError, NoSuchModuleError
from sqlalchemy.schema import CreateIndex, CreateTable

from tokenkeep.backends.base import FIELDS
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.backends.sql_rows import WIDTH
from tokenkeep.errors import ConfigurationError, UnknownName

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Insert, Select
    from sqlalchemy.sql.ddl import ExecutableDDLElement
    from sqlalchemy.types import TypeEngine

VERSION = 1
"""The number in the schema's table: how the tables look."""

TABLE = "tokenkeep"
"""The name of the table if none is given."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,47}")
"""What becomes of it, with an ending, fits every database; and needs no escaping in a driver."""

# Compared byte by byte, without a look at case, accents or spaces at the end:
# MySQL's binary collations ignore those, and differ between MySQL and MariaDB.
_TEXT = (
    String(WIDTH)
    .with_variant(VARBINARY(WIDTH), "mysql", "mariadb")
    .with_variant(String(WIDTH, collation="C"), "postgresql")
)
_BYTES = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")

_NAMES = {
    "user": "user_name",  # a "user" without quotes is somebody else in PostgreSQL
    **{name: f"{name}_digest" for name in ("identity", "access", "refresh", "grant")},
}
"""Columns whose name is a word of SQL as a field."""

_TYPES: dict[str, TypeEngine[Any]] = {
    "sealed": _BYTES,
    **dict.fromkeys(("expires_at", "created_at", "updated_at", "last_used_at"), Double()),
}
"""The types of the columns that are not text."""

_NEEDED = {"version", "identity", "key_id", "sealed"}


def column_name(field: str) -> str:
    """Return the name of a field's column."""
    return _NAMES.get(field, field)


class Schema:
    """
    The two tables of a store.

    The records are in the first; the second has one row, the version of both
    and the store's id. It is written last: where it is, all is there.

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
                    _TYPES.get(name, _TEXT),
                    primary_key=name == "id",
                    unique=name == "identity" or None,
                    nullable=name not in _NEEDED and name != "id",
                )
                for name in COLUMNS
            ),
            Column("long_values", _BYTES),
            # A crash must lose nothing, and a write be whole: not so with MySQL's other engines.
            mysql_engine="InnoDB",
            mariadb_engine="InnoDB",
        )
        self.indexes: list[Index] = [
            Index(f"{table}_{name}", self.records.c[column_name(name)])
            for name in FIELDS
            if name != "identity"
        ]
        self.version: Table = Table(
            f"{table}_schema",
            self.metadata,
            Column("name", String(20), primary_key=True),
            Column("version", Integer, nullable=False),
            Column("store", String(32)),
            mysql_engine="InnoDB",
            mariadb_engine="InnoDB",
        )
        self.insert_version: Insert = self.version.insert().values(
            name="tokenkeep", version=VERSION
        )
        self.store_id: Select[Any] = select(self.version.c.store)

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
