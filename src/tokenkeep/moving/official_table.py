"""The MySQL table of the official SDK's DBStore, of every generation: on a server."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pymysql import MySQLError

from tokenkeep.backends.sql import engine_of
from tokenkeep.backends.sql_errors import LOST, code_of, explain, means
from tokenkeep.backends.sql_url import Target
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError
from tokenkeep.moving.official import OfficialSource, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenkeep.moving.official import Defaults

_TABLES = ("oauthtoken", "oauthtokens")
"""What the SDK calls it: from zcrmsdk 3 on, and before."""

_NO_TABLE = 1146
_PAGE = 10_000
"""The table is sorted for each page."""


class MySQLTable(OfficialSource):
    """Read the table of a DBStore, in one transaction that can't write; see `open_table`."""

    kind = "MySQL table of the official SDK"

    def __init__(self, url: str, *, password: str | None, defaults: Defaults) -> None:
        named = dict(StoreURL.parse(url).query).get("table")
        self._target = Target(url, place={"password": password})
        with self._explained():
            self._db = self._connect()
        try:
            with self._explained():
                columns = self._open([named] if named else _TABLES)
        except BaseException:
            self.close()
            raise
        super().__init__(self._target.describe(), columns, defaults)

    def lines(self) -> Iterator[tuple[int, Sequence[object]]]:
        """See `OfficialSource.lines`; a row whose access token ends later is later."""
        named = {field: _quoted(name) for name, field in self.columns.items()}
        # The id is the key where there is one; else byte by byte, never in two orders.
        numbers = [named[field] for field in ("expires_at", "id") if field in named]
        keys = [named["id"]] if "id" in named else named.values()
        order = [f"CAST({each} AS UNSIGNED)" for each in numbers]
        order += [f"CAST({each} AS BINARY)" for each in keys]
        select = (
            f"SELECT {', '.join(map(_quoted, self.columns))} "  # noqa: S608  # quoted
            f"FROM {_quoted(self._target.table)} ORDER BY {', '.join(order)}"
        )
        count = 0
        with self._explained():
            # In pages: a cursor would stay open on the server for as long as rows are saved.
            while page := self._ask(f"{select} LIMIT {_PAGE} OFFSET {count}"):
                for values in page:
                    count += 1
                    yield count, values
                del page  # not two at once

    def close(self) -> None:
        """See `OfficialSource.close`."""
        with suppress(OSError, MySQLError):
            self._db.invalidate()

    def _connect(self) -> Any:
        try:
            return engine_of(self._target).pool.connect()
        except (TypeError, ValueError):
            names = ", ".join(sorted(self._target.url.query))
            raise ConfigurationError(
                f"An option of the MySQL URL is wrong: {names}",
                hint="They are table, timeout, those for TLS, and what PyMySQL's connect() takes",
            ) from None

    def _open(self, tables: Sequence[str]) -> dict[str, str]:
        """Find the table and its columns, and see all of it as it is at this moment."""
        for table in tables:
            self._target.table = table
            try:
                found = self._ask(f"SHOW COLUMNS FROM {_quoted(table)}")
                break
            except MySQLError as exc:
                if code_of(exc) != _NO_TABLE:
                    raise
        else:
            raise ConfigurationError(
                f"There is no table {' or '.join(tables)} in {self._target.database()}",
                hint="Name it: mysql://user@host/database?table=NAME",
            )
        columns = fields_of(name for name, *_ in found)
        if not columns:
            name = self._target.describe()
            raise ConfigurationError(
                f"{name[0].upper()}{name[1:]} is not one of the official SDK: its columns differ",
                hint="Name the right one: mysql://user@host/database?table=NAME",
            )
        self._ask("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._ask("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return columns

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
            target = self._target
            said = explain(
                exc,
                where=target.database(),
                doing="SELECT",
                lost=means(exc, LOST),
                secrets=target.secrets,
            )
            if "privilege" in said.what:
                said.hint = f"Grant SELECT on the table {self._target.table}, nothing more"
            raise said from None


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``').replace('%', '%%')}`"
