"""The MySQL table of the official SDK's DBStore: on a server."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from pymysql import MySQLError
from pymysql.constants.ER import BAD_FIELD_ERROR, NO_SUCH_TABLE

from tokenkeep.backends.sql import engine_of
from tokenkeep.backends.sql_errors import LOST, code_of, explain, means
from tokenkeep.backends.sql_url import TABLE, Target
from tokenkeep.errors import ConfigurationError
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
        self._target = target = Target(url, {"password": password})
        if target.table == TABLE:
            target.table = "oauthtoken"
        name = target.table.replace("`", "``").replace("%", "%%")
        # One that ends later is later.
        order = "CAST(expiry_time AS UNSIGNED), CAST(id AS UNSIGNED), id"
        self._select = f"SELECT {_COLUMNS} FROM `{name}` ORDER BY {order}"  # noqa: S608  # quoted
        self._engine = engine_of(target)
        next(self.lines(), None)  # refuses what is no such table

    def lines(self) -> Lines:
        """See `OfficialSource.lines`."""
        count = 0
        with self._explained(), closing(self._connected()) as db:
            # In pages: a cursor would stay open on the server for as long as rows are saved.
            while page := _rows(db, f"{self._select} LIMIT {_PAGE} OFFSET {count}"):
                yield from enumerate(page, count + 1)
                count += len(page)
                del page  # not two at once

    def _connected(self) -> Any:
        try:
            return self._engine.pool.connect()
        except (TypeError, ValueError):
            options = ", ".join(sorted(self._target.url.query))
            raise ConfigurationError(
                f"An option of the MySQL URL is wrong: {options}",
                hint="They are table, timeout, those for TLS, and what PyMySQL's connect() takes",
            ) from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the driver says into our error."""
        where, table = self._target.database(), self._target.table
        try:
            yield
        except (OSError, MySQLError) as exc:
            if code_of(exc) in {BAD_FIELD_ERROR, NO_SUCH_TABLE}:
                raise ConfigurationError(
                    f"There is no table {table} in {where} as the DBStore of the official SDK "
                    "makes it, from zohocrmsdk5_0 on",
                    hint="Name it: mysql://user@host/database?table=NAME",
                ) from None
            lost, secrets = means(exc, LOST), self._target.secrets
            said = explain(exc, where=where, doing="SELECT", lost=lost, secrets=secrets)
            if "privilege" in said.what:
                said.hint = f"Grant SELECT on the table {table}, nothing more"
            raise said from None


def _rows(db: Any, sql: str) -> list[tuple[Any, ...]]:
    with closing(db.cursor()) as cursor:
        cursor.execute(sql, ())  # values, if none: so that %% is one percent sign
        return list(cursor.fetchall())
