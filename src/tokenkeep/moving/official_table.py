"""The MySQL table of the official SDK's DBStore: on a server."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.sql_database import Database, TableMissing
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError, StoreForeign, StoreUnavailable
from tokenkeep.moving.official import FIELDS, OfficialSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenkeep.moving.official import Lines

_COLUMNS = ", ".join(FIELDS).replace("redirect_uri", "redirect_url")

_PAGE = 10_000
"""The table is sorted for each page."""


class Table(OfficialSource):
    """See `tokenkeep.moving.open_source`."""

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
        # In pages: a cursor would stay open on the server for as long as rows are saved.
        with closing(self._database):
            while page := self._page(count):
                yield from enumerate(page, count + 1)
                count += len(page)
                del page  # not two at once

    def _page(self, count: int) -> Sequence[tuple[Any, ...]]:
        """Return the rows behind so many; what is no such table has its own error."""
        database = self._database
        sql = f"{self._select} LIMIT {_PAGE} OFFSET {count}"
        try:
            # Values, if none: so that %% is one percent sign.
            return database.run("SELECT", sql, ())  # type: ignore[no-any-return]
        except (TableMissing, StoreForeign):
            raise ConfigurationError(
                f"There is no table {database.table} in {database.name} as the DBStore of the "
                "official SDK makes it, from zohocrmsdk5_0 on",
                hint="Name it: mysql://user@host/database?table=NAME",
            ) from None
        except StoreUnavailable as exc:
            if "privilege" in exc.what:
                exc.hint = f"Grant SELECT on the table {database.table}, nothing more"
            raise
