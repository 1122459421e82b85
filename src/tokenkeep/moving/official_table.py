"""The MySQL table of the official SDK's DBStore: on a server."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from pymysql import MySQLError

from tokenkeep.backends.sql_database import Database, TableMissing
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError, StoreForeign
from tokenkeep.moving.official import FIELDS, OfficialSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.moving.official import Lines

_COLUMNS = ", ".join(FIELDS).replace("redirect_uri", "redirect_url")

_PAGE = 10_000
"""The table is sorted for each page."""


class Table(OfficialSource):
    """See `tokenkeep.moving.open_table`."""

    kind = "MySQL table of the official SDK"

    def __init__(self, url: str, password: str | None) -> None:
        self._database = database = Database(url, {"password": password})
        database.table = dict(StoreURL.parse(url).query).get("table", "oauthtoken")
        name = database.table.replace("`", "``").replace("%", "%%")
        # One that ends later is later.
        order = "CAST(expiry_time AS UNSIGNED), CAST(id AS UNSIGNED), id"
        self._select = f"SELECT {_COLUMNS} FROM `{name}` ORDER BY {order}"  # noqa: S608  # quoted
        next(self.lines(), None)  # refuses what is no such table

    def lines(self) -> Lines:
        """See `OfficialSource.lines`."""
        count = 0
        with self._explained(), closing(self._database.connect()) as db:
            # In pages: a cursor would stay open on the server for as long as rows are saved.
            while page := _rows(db, f"{self._select} LIMIT {_PAGE} OFFSET {count}"):
                yield from enumerate(page, count + 1)
                count += len(page)
                del page  # not two at once

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the driver says into our error."""
        table = self._database.table
        try:
            yield
        except (OSError, MySQLError) as exc:
            said = self._database.explain(exc, "SELECT")
            if isinstance(said, TableMissing | StoreForeign):
                said = ConfigurationError(
                    f"There is no table {table} in {self._database.name} as the DBStore of the "
                    "official SDK makes it, from zohocrmsdk5_0 on",
                    hint="Name it: mysql://user@host/database?table=NAME",
                )
            elif "privilege" in said.what:
                said.hint = f"Grant SELECT on the table {table}, nothing more"
            raise said from None


def _rows(db: Any, sql: str) -> list[tuple[Any, ...]]:
    with closing(db.cursor()) as cursor:
        cursor.execute(sql, ())  # values, if none: so that %% is one percent sign
        return list(cursor.fetchall())
