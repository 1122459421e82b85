"""The MySQL table of the official SDK's DBStore, of every generation: on a server."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pymysql import MySQLError, ProgrammingError

from tokenkeep.backends.sql_database import Database
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError
from tokenkeep.moving.official import OfficialSource, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenkeep.moving.official import Defaults, Lines

_TABLES = ["oauthtoken", "oauthtokens"]
"""What the SDK calls it: from zcrmsdk 3 on, and before."""

_PAGE = 10_000
"""The table is sorted for each page."""


def open_table(url: str, password: str | None, defaults: Defaults) -> OfficialSource:
    """See `tokenkeep.moving.open_table`."""
    named = dict(StoreURL.parse(url).query).get("table")
    table = _Table(Database(url, {"password": password}))
    try:
        table.begin([named] if named else _TABLES)
        name, kind = table.target.describe(), "MySQL table of the official SDK"
        return OfficialSource(kind, name, table.lines, defaults, close=table.close)
    except BaseException:
        table.close()
        raise


class _Table:
    """A table, read in one transaction that can't write."""

    def __init__(self, target: Database) -> None:
        self.target = target
        self._db: Any = target.connect()

    def begin(self, tables: list[str]) -> None:
        """Find the first of *tables*, and see all of it as it is at this moment."""
        with self._explained():
            for self.target.table in tables:
                with suppress(ProgrammingError):  # there is no such table
                    found = self._ask(f"SHOW COLUMNS FROM {_quoted(self.target.table)}")
                    names = [name for name, *_ in found]
                    self._columns = fields_of(names) or dict.fromkeys(names, "")
                    break
            else:
                raise ConfigurationError(
                    f"There is no table {' or '.join(tables)} in {self.target.name}",
                    hint="Name it: mysql://user@host/database?table=NAME",
                )
            self._ask("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._ask("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def lines(self) -> Lines:
        """Yield the names of the SDK's columns, then the rows; one that ends later is later."""
        yield 0, list(self._columns)
        named = {field: _quoted(name) for name, field in self._columns.items()}
        # The id is the key where there is one; else byte by byte, never in two orders.
        numbers = [named[field] for field in ("expires_at", "id") if field in named]
        keys = [named["id"]] if "id" in named else named.values()
        order = [f"CAST({each} AS UNSIGNED)" for each in numbers]
        order += [f"CAST({each} AS BINARY)" for each in keys]
        select = (
            f"SELECT {', '.join(map(_quoted, self._columns))} "  # noqa: S608  # quoted
            f"FROM {_quoted(self.target.table)} ORDER BY {', '.join(order)}"
        )
        count = 0
        with self._explained():
            # In pages: a cursor would stay open on the server for as long as rows are saved.
            while page := self._ask(f"{select} LIMIT {_PAGE} OFFSET {count}"):
                yield from enumerate(page, count + 1)
                count += len(page)
                del page  # not two at once

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError, MySQLError):
            self._db.close()

    def _ask(self, sql: str) -> Sequence[tuple[Any, ...]]:
        with self._db.cursor() as cursor:
            cursor.execute(sql, ())  # values, if none: so that %% is one percent sign
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the driver says into our error."""
        try:
            yield
        except (OSError, MySQLError) as exc:
            said = self.target.explain(exc, "SELECT")
            if "privilege" in said.what:
                said.hint = f"Grant SELECT on the table {self.target.table}, nothing more"
            raise said from None


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``').replace('%', '%%')}`"
