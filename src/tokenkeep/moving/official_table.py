"""The MySQL table of the official SDK's DBStore, of every generation: on a server."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pymysql import MySQLError

from tokenkeep.backends.sql_errors import Explainer
from tokenkeep.backends.sql_target import Target
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError
from tokenkeep.moving.official_file import of_table, row_of
from tokenkeep.moving.sources import OfficialSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenkeep.moving.sources import Defaults, Row

_TABLES = ("oauthtoken", "oauthtokens")
"""What the SDK calls it: from zcrmsdk 3 on, and before."""

_PAGE = 1000
_SORTED_PAGE = 10_000
"""Where the table is sorted for each page."""

_NO_TABLE = 1146
_NUMBER = "^[1-9][0-9]{0,17}$"


class MySQLTable(OfficialSource):
    """Read the table of a DBStore, in one transaction that can't write; see `open_table`."""

    kind = "MySQL table of the official SDK"

    def __init__(self, url: str, *, password: str | None, defaults: Defaults) -> None:
        named = dict(StoreURL.parse(url).query).get("table")
        place = {} if password is None else {"password": password}
        self._target = Target(url, own={"table": named or _TABLES[0]}, place=place, driver={})
        self._errors = Explainer(self._target)
        with self._explained():
            self._db = self._connect()
        try:
            with self._explained():
                self._open([named] if named else _TABLES)
        except BaseException:
            self.close()
            raise
        super().__init__(self._target.describe(), defaults)

    def read(self) -> Iterator[Row]:
        """See `OfficialSource.read`."""
        names = list(self._columns.values())
        for count, values in enumerate(self._values(), 1):
            number = int(values[names.index("id")]) if self._is_numbered else count
            yield row_of(number, names, values, self.defaults.client_id)

    def close(self) -> None:
        """See `OfficialSource.close`."""
        with suppress(OSError, MySQLError):
            self._db.close()

    def _connect(self) -> Any:
        dialect = self._target.url.get_dialect()()
        args, options = dialect.create_connect_args(self._target.url)
        options = {**options, **self._target.connect_args}
        try:
            return dialect.import_dbapi().connect(*args, **options)
        except (TypeError, ValueError):
            names = ", ".join(sorted(self._target.url.query))
            raise ConfigurationError(
                f"An option of the MySQL URL is wrong: {names}",
                hint="They are table, timeout, those for TLS, and what PyMySQL's connect() takes",
            ) from None

    def _open(self, tables: Sequence[str]) -> None:
        """Find the table, and see all of it as it is at this moment."""
        described = self._describe(tables)
        self._columns = of_table([name for name, *_ in described])
        if not self._columns:
            name = self._target.describe()
            raise ConfigurationError(
                f"{name[0].upper()}{name[1:]} is not one of the official SDK: its columns differ",
                hint="Name the right one: mysql://user@host/database?table=NAME",
            )
        self._ask("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._ask("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        self._is_numbered = self._has_numbers(described)

    def _describe(self, tables: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Return name, type, whether it may be NULL, and kind of key of each column."""
        for table in tables:
            self._target.table = table
            try:
                return [each[:4] for each in self._ask(f"SHOW COLUMNS FROM {_quoted(table)}")]
            except MySQLError as exc:
                if self._errors.code(exc) != _NO_TABLE:
                    raise
        raise ConfigurationError(
            f"There is no table {' or '.join(tables)} in {self._target.database()}",
            hint="Name it: mysql://user@host/database?table=NAME",
        )

    def _has_numbers(self, described: Sequence[tuple[str, ...]]) -> bool:
        """Tell whether each row has a number of its own as its id; higher ones are later."""
        keys = {name.lower() for name, _, _, key in described if key == "PRI"}
        if keys != {"id"} or "id" not in self._columns:
            return False
        others = f"SELECT 1 FROM {self._table} WHERE NOT (id REGEXP %s) LIMIT 1"  # noqa: S608  # quoted
        return not self._ask(others, [_NUMBER])

    def _values(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows, a page in memory at a time: no cursor stays open on the server."""
        select = f"SELECT {', '.join(map(_quoted, self._columns))} FROM {self._table}"  # noqa: S608  # quoted
        return self._by_number(select) if self._is_numbered else self._by_end(select)

    def _by_number(self, select: str) -> Iterator[tuple[Any, ...]]:
        at = list(self._columns.values()).index("id")
        where, behind = "", list[object]()
        while page := self._page(f"{select} {where}ORDER BY id LIMIT {_PAGE}", behind):
            yield from page
            where, behind = "WHERE id > %s ", [page[-1][at]]
            del page  # not two at once

    def _by_end(self, select: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows whose access token ends last at the end; they may have no key."""
        ends = next(name for name, known in self._columns.items() if known == "expiry_time")
        # Byte by byte, so that the same rows are never in two orders.
        order = ", ".join(f"CAST({_quoted(name)} AS BINARY)" for name in self._columns)
        order = f"CAST({_quoted(ends)} AS UNSIGNED), {order}"
        count = 0
        while page := self._page(f"{select} ORDER BY {order} LIMIT {_SORTED_PAGE} OFFSET {count}"):
            yield from page
            count += len(page)
            del page

    def _page(self, sql: str, values: Sequence[object] = ()) -> Sequence[tuple[Any, ...]]:
        with self._explained():
            return self._ask(sql, values)

    @property
    def _table(self) -> str:
        return _quoted(self._target.table)

    def _ask(self, sql: str, values: Sequence[object] = ()) -> Sequence[tuple[Any, ...]]:
        with self._db.cursor() as cursor:
            # Always with values, were there none: so that %% is one percent sign.
            cursor.execute(sql, tuple(values))
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the driver says into our error."""
        try:
            yield
        except (OSError, MySQLError) as exc:
            said = self._errors.explain(exc, doing="SELECT", lost=self._errors.is_lost(exc))
            if "privilege" in said.what:
                said.hint = f"Grant SELECT on the table {self._target.table}, nothing more"
            raise said from None


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``').replace('%', '%%')}`"
