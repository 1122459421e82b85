"""The MySQL table of the official SDK's DBStore: on a server."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.sql_database import Database, TableMissing
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError, StoreForeign, StoreUnavailable
from tokenkeep.moving.official import FIELDS, OfficialSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenkeep.moving.official import Lines

_COLUMNS = ", ".join(FIELDS).replace("redirect_uri", "redirect_url")


class Table(OfficialSource):
    """See `tokenkeep.moving.open_source`."""

    kind = "MySQL table of the official SDK"

    @without_frames
    def __init__(self, url: str, password: str | None) -> None:
        self._database = database = Database(url, {"password": password})
        database.table = dict(StoreURL.parse(url).query).get("table", "oauthtoken")
        name = database.table.replace("`", "``").replace("%", "%%")
        # One that ends later is later.
        order = "CAST(expiry_time AS UNSIGNED), CAST(id AS UNSIGNED), id"
        self._select = f"SELECT {_COLUMNS} FROM `{name}` ORDER BY {order}"  # noqa: S608  # quoted
        self._rows(" LIMIT 1")  # refuses what is no such table

    def describe(self) -> str:
        """See `Source.describe`."""
        return f"the table {self._database.table} in {self._database.name}"

    def lines(self) -> Lines:
        """See `OfficialSource.lines`."""
        # At once: of one that others write, pages would miss a row, and have another twice.
        yield from enumerate(self._rows(), 1)

    def _rows(self, limit: str = "") -> Sequence[tuple[Any, ...]]:
        """Return the rows; what is no such table has its own error."""
        database = self._database
        try:
            with closing(database):
                # Values, if none: so that %% is one percent sign.
                return database.run("SELECT", self._select + limit, ())  # type: ignore[no-any-return]
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
