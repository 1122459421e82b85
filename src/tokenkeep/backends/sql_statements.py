"""The statements of a SQL store, made by SQLAlchemy once and sent to the driver as they are."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, or_, select, update

from tokenkeep.backends.rows import COLUMNS
from tokenkeep.backends.sql_schema import column_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.expression import ClauseElement

    from tokenkeep.backends.sql_schema import Schema

_ROW = (*map(column_name, COLUMNS), "long_values")
_REPLACED = tuple(name for name in _ROW if name not in {"id", "last_used_at"})

MANY = 10_000
"""How many values one query looks for where the number of parameters hardly has a limit."""

_FEW = 500
"""Likewise elsewhere: old SQLite allows 999 parameters, SQL Server 2100."""


def _knows_nowait(dialect: Any) -> bool:
    version: tuple[Any, ...] = dialect.server_version_info or ()
    if dialect.name == "postgresql":
        return True
    if dialect.name in {"mysql", "mariadb"}:
        return version >= ((10, 3) if dialect.is_mariadb else (8, 0, 1))
    return False


class Statement:
    """
    SQL text as the driver wants it, and what puts values in the driver's order.

    SQLAlchemy's own execution costs half of PyMySQL's; made ready once, it costs nothing.

    Args:
        clause: What to do, with a parameter for each of *names*.
        dialect: Of the database.
        names: In the order in which values will be given.
    """

    def __init__(self, clause: ClauseElement, dialect: Dialect, names: Sequence[str]) -> None:
        compiled: Any = clause.compile(
            dialect=dialect, compile_kwargs={"render_postcompile": True}
        )
        self.sql: str = str(compiled)
        fixed = {name: value for name, value in compiled.params.items() if name not in names}
        tail = tuple(fixed.values())
        known = [*names, *fixed]
        self.bind: Callable[[Sequence[Any]], Any]
        """Return the parameters for the driver."""
        if not compiled.positional:
            self.bind = lambda values: dict(zip(known, (*values, *tail), strict=True))
            return
        order = [known.index(name) for name in compiled.positiontup]
        if order == list(range(len(names))):
            self.bind = tuple
        elif len(order) == 1:
            self.bind = lambda values: ((*values, *tail)[order[0]],)
        else:
            pick = itemgetter(*order) if order else lambda _: ()
            self.bind = lambda values: pick((*values, *tail))


class Statements:
    """
    All statements of one store.

    Args:
        schema: Its tables.
        dialect: Of the database, which has been connected to.
    """

    def __init__(self, schema: Schema, dialect: Dialect) -> None:
        table, columns = schema.records, schema.records.c
        self._dialect = dialect
        self._columns = columns
        self._select = select(*(columns[name] for name in _ROW))
        big = dialect.name in {"mysql", "mariadb", "postgresql"}
        self.many: int = MANY if big else _FEW
        is_it = columns.id == bindparam("the_id", type_=columns.id.type)
        is_version = columns.version == bindparam("the_version", type_=columns.version.type)
        now = bindparam("now", type_=columns.last_used_at.type)
        touched = [is_it, or_(columns.last_used_at.is_(None), columns.last_used_at < now)]
        if _knows_nowait(dialect):
            # A touch is not worth waiting for a lock. MySQL wants the inner one of two selects.
            free = select(columns.id).where(*touched).with_for_update(nowait=True).subquery()
            touched = [columns.id.in_(select(free.c.id))]
        new = {name: bindparam(f"new_{name}", type_=columns[name].type) for name in _ROW}

        self.read: Statement = self._made(self._select.where(is_it), "the_id")
        """Of an id."""
        self.insert: Statement = self._made(insert(table).values(new), *(f"new_{n}" for n in _ROW))
        """Of a row."""
        self.replace: Statement = self._made(
            update(table).where(is_it, is_version).values({n: new[n] for n in _REPLACED}),
            *(f"new_{name}" for name in _REPLACED),
            "the_id",
            "the_version",
        )
        """Of what `replacing` makes, the id and the version."""
        self.delete: Statement = self._made(delete(table).where(is_it), "the_id")
        """Of an id."""
        self.delete_version: Statement = self._made(
            delete(table).where(is_it, is_version), "the_id", "the_version"
        )
        """Of an id and a version."""
        self.exists: Statement = self._made(select(columns.version).where(is_it), "the_id")
        """Of an id."""
        self.touch: Statement = self._made(
            update(table).where(*touched).values(last_used_at=now), "now", "the_id"
        )
        """Of a time and an id."""
        self.delete_up_to: Statement = self._made(
            delete(table).where(columns.id <= bindparam("the_id", type_=columns.id.type)), "the_id"
        )
        """Of an id."""
        self.delete_all: Statement = self._made(delete(table))
        self.nth_id: Callable[[int], Statement] = lru_cache(8)(self._nth_id)
        """Of how many ids to skip: the one behind them."""
        self.find: Callable[[str, int], Statement] = lru_cache(256)(self._find)
        """Of a field and how many values."""
        self.scan: Callable[[int, bool], Statement] = lru_cache(64)(self._scan)
        """Of a limit, and whether it starts behind an id."""

    def _made(self, clause: ClauseElement, *names: str) -> Statement:
        return Statement(clause, self._dialect, names)

    def _find(self, field: str, count: int) -> Statement:
        column: ColumnElement[Any] = self._columns[column_name(field)]
        names = [f"value_{n}" for n in range(count)]
        values = [bindparam(name, type_=column.type) for name in names]
        is_one = column == values[0] if count == 1 else column.in_(values)
        return self._made(self._select.where(is_one), *names)

    def _scan(self, limit: int, behind: bool) -> Statement:  # noqa: FBT001 - given by position, through the cache
        page = self._select.order_by(self._columns.id).limit(limit)
        if not behind:
            return self._made(page)
        after = bindparam("after", type_=self._columns.id.type)
        return self._made(page.where(self._columns.id > after), "after")

    def _nth_id(self, skip: int) -> Statement:
        one = select(self._columns.id).order_by(self._columns.id).limit(1).offset(skip)
        return self._made(one)


_take_replaced = itemgetter(*(_ROW.index(name) for name in _REPLACED))
_ID = COLUMNS.index("id")


def replacing(row: Sequence[Any], version: Any) -> tuple[Any, ...]:
    """
    Return the values of `Statements.replace`.

    Args:
        row: The new row, as `RowFormat.pack` makes it.
        version: The one that must be stored now.
    """
    return (*_take_replaced(row), row[_ID], version)
