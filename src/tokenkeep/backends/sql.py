"""Sealed records in a SQL database: MySQL, MariaDB, PostgreSQL, and whatever SQLAlchemy speaks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import Backend, Due, Mark, Record
from tokenkeep.backends.deadline import ends_within
from tokenkeep.backends.exposure import warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.backends.sql_calls import Calls
from tokenkeep.backends.sql_connections import Connections, unwrapped
from tokenkeep.backends.sql_errors import Explainer
from tokenkeep.backends.sql_schema import Schema
from tokenkeep.backends.sql_setup import prepare
from tokenkeep.backends.sql_statements import Statements, replaced
from tokenkeep.backends.sql_target import OWN, Target
from tokenkeep.errors import ConfigurationError, StoreConflict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from sqlalchemy import Connection as SQLAlchemyConnection

    from tokenkeep.backends.base import Risk
    from tokenkeep.backends.sql_statements import Statement
    from tokenkeep.errors import TokenKeepError

_PAGE = 10_000
"""How many records `clear` deletes at once: one statement for all may take too long."""

_REST = 16384
"""How long a statement may be without what is sealed, in bytes."""


_WRONG = (TypeError, ValueError, AttributeError)
"""What drivers raise for an option they don't know, or a value that makes no sense."""

_NO_VALUE = re.compile("connection option|invalid [a-z_]+ value|weak sslmode")
"""What libpq says of an option it can't follow."""

_OPENING = 5
"""How many timeouts opening takes at most: it is some questions, and making the tables."""


class SQLBackend(Backend):
    """
    Serve any number of hosts, through a database server.

    Each call is one statement, committed by itself, on a pooled connection; a
    thread waits for nobody else's. What is
    not listed here goes to the driver, from the URL's query as from the
    arguments: ``ssl_ca`` of MySQL, ``sslmode`` of PostgreSQL and so on.

    Args:
        url: ``mysql://user:password@host:port/database``,
            ``postgresql://…``, or ``sql+`` and any URL of SQLAlchemy. What is
            given as an argument goes before what is in it.
        host: Of the server.
        port: Of the server.
        user: Of the database.
        password: Of the user.
        database: In which the tables are.
        table: Name of the table, ``tokenkeep`` if not given. A second one,
            ``<table>_schema``, holds its version.
        schema: In which schema it is, where the database has such. None means
            the one that new tables of this user go to.
        timeout: How long to wait for a connection, and for each answer, in
            seconds; 10 if not given. Each statement, with all its tries, ends
            within three times that, and opening within five times. A call
            is one statement; two where a version is deleted that is not
            there, and more for many values or to `clear`.
        pool_size: How many connections are kept; 5 if not given.
        max_overflow: How many more may be open at once; 10 if not given.
        make: Whether missing tables are made at once. False: with the first
            record, and until then they are read as empty ones.
        driver: Options of the driver.

    Raises:
        StoreUnavailable: The database can't be reached or used; the text says why.
        StoreForeign: The table is somebody else's.
        StoreTooNew: A newer tokenkeep made it.
        ConfigurationError: The URL or an option is wrong.
        DriverMissing: The driver is not installed.
    """

    @without_frames
    def __init__(
        self,
        url: str = "mysql://",
        *,
        host: str | None = None,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        table: str | None = None,
        schema: str | None = None,
        timeout: float | None = None,
        pool_size: int | None = None,
        max_overflow: int | None = None,
        make: bool = True,
        **driver: object,
    ) -> None:
        self._target = target = Target(
            url,
            own={
                "table": table,
                "schema": schema,
                "timeout": timeout,
                "pool_size": pool_size,
                "max_overflow": max_overflow,
            },
            place={
                "host": host,
                "port": port,
                "user": user,
                "password": password,
                "database": database,
            },
            driver=driver,
        )
        Schema(target.table, target.schema)
        self._errors = Explainer(target)
        self._packet: int | None = None
        self._connections = Connections(target, self._errors)
        self._calls = Calls(target, self._connections, self._errors)
        try:
            self._open(make=make)
        except BaseException:
            self.close()
            raise
        warn(self.describe(), target.exposure())

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """
        Open the database a URL names; missing tables are made with the first record.

        Args:
            url: As for the class; options of ours are ``table``, ``schema``,
                ``timeout``, ``pool_size``, ``max_overflow`` and ``pool_recycle``.

        Raises:
            ConfigurationError: The URL or an option is wrong.
            StoreError: As for the class.
        """
        return cls(url, make=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.describe()}>"

    def read(self, record_id: str) -> Record | None:
        found = self._fetch(self._statements.read, [record_id], record_id)
        return found[0] if found else None

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = list(dict.fromkeys(marks))
        many = self._statements.many
        found: dict[str, Record] = {}
        for start in range(0, len(wanted), many):
            statement, values = self._statements.find(wanted[start : start + many])
            found.update({each.id: each for each in self._fetch(statement, values)})
        return list(found.values())

    def write(self, record: Record, *, replaces: str | None) -> None:
        self._check_size(record)
        if replaces is None:
            if not self._is_made:
                self._open(make=True)
            done = self._calls.change(self._statements.insert, to_row(record), "INSERT", record.id)
        else:
            values = (*replaced(record), record.id, replaces)
            done = self._change(self._statements.replace, values, "UPDATE", record.id)
        if not done:
            raise StoreConflict("Somebody else wrote this record first", token_id=record.id)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        statements = self._statements
        if replaces is None:
            return bool(self._change(statements.delete, [record_id], "DELETE", record_id))
        values = [record_id, replaces]
        if self._change(statements.delete_version, values, "DELETE", record_id):
            return True
        if self._rows(statements.exists, [record_id], record_id):
            raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
        return False

    def touch(self, record_id: str, last_used_at: float) -> None:
        values = [last_used_at, record_id]
        self._change(self._statements.touch, values, "UPDATE", record_id, patience=0)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        field, value = mark or (None, None)
        statement = self._statements.scan(limit, after is not None, field)
        return self._fetch(statement, [each for each in (value, after) if each is not None])

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        return self._fetch(
            self._statements.due(limit, after is not None), [before, *(after or ())]
        )

    def clear(self) -> int:
        count = 0
        while last := self._rows(self._statements.nth_id(_PAGE - 1), []):
            count += self._change(self._statements.clear_up_to, [last[0][0]], "DELETE")
        return count + self._change(self._statements.clear, [], "DELETE")

    def describe(self) -> str:
        return self._target.describe()

    def risks(self) -> list[Risk] | None:
        return self._target.exposure() or None

    def close(self) -> None:
        self._connections.close()

    # How it is done

    def _open(self, *, make: bool) -> None:
        """Connect, and look whether the tables are there; *make* those that are not."""
        target, connections = self._target, self._connections
        errors: tuple[type[Exception], ...] = (*_WRONG, OverflowError, *connections.errors)
        refused = None
        try:
            with ends_within(_OPENING * target.timeout, anew=True), connections.session() as db:
                schema, is_made = self._prepared(db, make=make)
        except errors as exc:
            refused = self._refused(exc)
        if refused is not None:  # raised here, without the driver's error, which has the password
            raise refused
        self._statements = Statements(schema, connections.dialect)
        self._is_made = is_made

    def _prepared(self, db: SQLAlchemyConnection, *, make: bool) -> tuple[Schema, bool]:
        target = self._target
        if target.schema is None and target.is_postgresql:
            # Where new tables go depends on the user; where these are must not.
            target.schema = self._connections.dialect.default_schema_name
        schema = Schema(target.table, target.schema)
        is_made = prepare(db, schema, self._errors, target.timeout, make=make)
        if target.is_mysql:
            self._packet = db.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one()
        return schema, is_made

    def _refused(self, exc: Exception) -> TokenKeepError:
        """Return our error for what went wrong while opening."""
        said = unwrapped(exc)
        text = str(said)
        if isinstance(said, _WRONG) or _NO_VALUE.search(text):
            for secret in self._target.secrets:
                text = text.replace(secret, "***")
            return ConfigurationError(
                f"The driver {self._target.driver} does not take an option of the URL: {text}",
                hint="Correct it; options of tokenkeep are " + ", ".join(OWN),
            )
        return self._errors.explain(said, doing="CREATE")

    def _check_size(self, record: Record) -> None:
        # MySQL would hang up in the midst of it. Drivers send bytes as text, twice as long.
        if self._packet is not None and 2 * len(record.sealed) + _REST > self._packet:
            raise self._errors.too_large(self._packet, record.id)

    def _fetch(
        self, statement: Statement, values: Sequence[Any], record_id: str | None = None
    ) -> list[Record]:
        """Return the records that a statement finds."""
        return [_record(row) for row in self._rows(statement, values, record_id)]

    def _rows(
        self, statement: Statement, values: Sequence[Any], record_id: str | None = None
    ) -> Sequence[Any]:
        return self._calls.rows(statement, values, record_id) if self._is_there() else ()

    def _change(
        self,
        statement: Statement,
        values: Sequence[Any],
        doing: str,
        record_id: str | None = None,
        *,
        patience: float | None = None,
    ) -> int:
        if not self._is_there():
            return 0
        return self._calls.change(statement, values, doing, record_id, patience=patience)

    def _is_there(self) -> bool:
        """Tell whether the tables are, by whomever made: as long as not, each call looks."""
        if not self._is_made:
            self._open(make=False)
        return self._is_made


_SEALED = COLUMNS.index("sealed")


def _record(row: Sequence[Any]) -> Record:
    """Return the record of a row; each driver has its own type for bytes."""
    if not isinstance(row[_SEALED], bytes | str | None):  # a text was written by somebody else
        row = (*row[:_SEALED], bytes(row[_SEALED]), *row[_SEALED + 1 :])
    return from_row(row)
