"""The statements of a SQL store, made by SQLAlchemy once and sent to the driver as they are."""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, or_, select, union_all, update

from tokenkeep.backends.base import FOUND_BY, HEADER
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.backends.sql_schema import column_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import BindParameter, ColumnElement
    from sqlalchemy.sql.expression import ClauseElement

    from tokenkeep.backends.base import Mark, Record
    from tokenkeep.backends.sql_schema import Schema

_REPLACED = tuple(field for field in COLUMNS if field not in {"id", "last_used_at"})

replaced: Callable[[Record], tuple[Any, ...]] = attrgetter(*_REPLACED)
"""Return what `Statements.replace` writes of a record."""

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
        table = schema.records
        self._dialect = dialect
        self._columns: dict[str, ColumnElement[Any]] = {
            field: table.c[column_name(field)] for field in COLUMNS
        }
        self._select = select(*self._columns.values())
        big = dialect.name in {"mysql", "mariadb", "postgresql"}
        self.many: int = MANY if big else _FEW
        record_id = self._columns["id"]
        is_it = record_id == self._value("id", "the_id")
        is_version = self._columns["version"] == self._value("version", "the_version")
        used, now = self._columns["last_used_at"], self._value("last_used_at", "now")
        touched = [is_it, or_(used.is_(None), used < now)]
        if _knows_nowait(dialect):
            # A touch is not worth waiting for a lock. MySQL wants the inner one of two selects.
            free = select(record_id).where(*touched).with_for_update(nowait=True).subquery()
            touched = [record_id.in_(select(free.c.id))]
        new = {field: self._value(field, f"new_{field}") for field in COLUMNS}
        cleared = delete(table).where(record_id > HEADER)

        self.read: Statement = self._made(self._select.where(is_it), "the_id")
        """Of an id."""
        self.insert: Statement = self._made(
            insert(table).values({column_name(field): value for field, value in new.items()}),
            *(f"new_{field}" for field in COLUMNS),
        )
        """Of what `rows.to_row` returns."""
        self.replace: Statement = self._made(
            update(table)
            .where(is_it, is_version)
            .values({column_name(field): new[field] for field in _REPLACED}),
            *(f"new_{field}" for field in _REPLACED),
            "the_id",
            "the_version",
        )
        """Of what `replaced` returns, the id and the version that must be stored now."""
        self.delete: Statement = self._made(delete(table).where(is_it), "the_id")
        """Of an id."""
        self.delete_version: Statement = self._made(
            delete(table).where(is_it, is_version), "the_id", "the_version"
        )
        """Of an id and a version."""
        self.exists: Statement = self._made(
            select(self._columns["version"]).where(is_it), "the_id"
        )
        """Of an id."""
        self.touch: Statement = self._made(
            update(table).where(*touched).values(last_used_at=now), "now", "the_id"
        )
        """Of a time and an id."""
        self.clear_up_to: Statement = self._made(
            cleared.where(record_id <= self._value("id", "the_id")), "the_id"
        )
        """Of an id. It leaves the header, which is before all others."""
        self.clear: Statement = self._made(cleared)
        """Likewise."""
        self.nth_id: Callable[[int], Statement] = lru_cache(8)(self._nth_id)
        """Of how many ids to skip, the header's aside: the one behind them."""
        self.scan: Callable[[int, bool, str | None], Statement] = lru_cache(64)(self._scan)
        """Of a limit, whether it starts behind an id, and the field of a mark, if any."""
        self.due: Callable[[int, bool], Statement] = lru_cache(64)(self._due)
        """Of a limit, and whether it starts behind a time and an id."""
        self._finding = lru_cache(256)(self._find)

    def find(self, marks: Sequence[Mark]) -> tuple[Statement, list[str]]:
        """
        Return what finds the records with one of some marks, and the values for it.

        A record that has several of them is found as often.

        Args:
            marks: At least one, and no more than `many`.
        """
        wanted: dict[str, list[str]] = {field: [] for field in FOUND_BY}
        for field, value in marks:
            wanted[field].append(value)
        shape, values = [], []
        for field, some in wanted.items():
            if some:
                # A few lengths, so that drivers prepare the same statements again and again.
                count = 1 << (len(some) - 1).bit_length()
                shape.append((field, count))
                values += some + some[-1:] * (count - len(some))
        return self._finding(tuple(shape)), values

    def _value(self, field: str, name: str) -> BindParameter[Any]:
        """Return a parameter for the value of a field."""
        return bindparam(name, type_=self._columns[field].type)

    def _made(self, clause: ClauseElement, *names: str) -> Statement:
        return Statement(clause, self._dialect, names)

    def _find(self, shape: tuple[tuple[str, int], ...]) -> Statement:
        arms, names = [], []
        for field, count in shape:
            these = [f"{field}_{n}" for n in range(count)]
            column, values = self._columns[field], [self._value(field, name) for name in these]
            is_one = column == values[0] if count == 1 else column.in_(values)
            arms.append(self._select.where(is_one))
            names += these
        # Each arm goes by its own index; with OR a database may read the whole table.
        return self._made(union_all(*arms), *names)

    def _scan(self, limit: int, behind: bool, field: str | None) -> Statement:  # noqa: FBT001 - given by position, through the cache
        page, names = self._select.order_by(self._columns["id"]).limit(limit), []
        if field is not None:
            page = page.where(self._columns[field] == self._value(field, "mark"))
            names.append("mark")
        if behind:
            page = page.where(self._columns["id"] > self._value("id", "after"))
            names.append("after")
        return self._made(page, *names)

    def _due(self, limit: int, behind: bool) -> Statement:  # noqa: FBT001 - as above
        due_at, record_id = self._columns["due_at"], self._columns["id"]
        page = self._select.where(due_at <= self._value("due_at", "before"))
        page, names = page.order_by(due_at, record_id).limit(limit), ["before"]
        if behind:
            when, after = self._value("due_at", "when"), self._value("id", "after")
            # The first of the two bounds the index; not each database can compare pairs.
            page = page.where(due_at >= when, or_(due_at > when, record_id > after))
            names += ["when", "after"]
        return self._made(page, *names)

    def _nth_id(self, skip: int) -> Statement:
        record_id = self._columns["id"]
        page = select(record_id).where(record_id > HEADER).order_by(record_id)
        return self._made(page.limit(1).offset(skip))
