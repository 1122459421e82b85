"""Sealed records in a SQL database: MySQL, MariaDB, PostgreSQL, and whatever SQLAlchemy speaks."""

from __future__ import annotations

import os
import struct
import weakref
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from os import getpid
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from tokenkeep.backends.base import Backend, Due, Mark, Record
from tokenkeep.backends.exposure import warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.backends.sql_errors import BUSY, LOST, OLDEST, explain, means, unknown
from tokenkeep.backends.sql_tables import Schema, Statements, prepare
from tokenkeep.backends.sql_url import OWN, Target
from tokenkeep.backends.waiting import NoThread, can_be_read, cut, tries, within
from tokenkeep.errors import ConfigurationError, StoreConflict, StoreUnavailable, TokenKeepError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import Pool

    from tokenkeep.backends.base import Risk
    from tokenkeep.backends.sql_tables import Statement

PAGE = 10_000
"""How many records `SQLBackend.clear` deletes at once: one statement for all may take too long."""

BATCH = 2**18
"""
How many sealed bytes are inserted at once. Escaped they may be twice as many, and a server takes
no statement above its ``max_allowed_packet``, of which 1 MB is the least that is usual.
"""

_TIMES = 2
"""How many timeouts a call takes at most: for a connection, and for the answer."""

_OPENING = 3
"""How many timeouts opening takes at most: it is some questions, and making the tables."""

_CANCEL = 1.0
"""How long to try to tell the server that nobody waits any more, in seconds."""

_AUTOCOMMIT = {"mysql", "mariadb", "postgresql", "sqlite"}
"""Where a single statement needs no COMMIT; elsewhere one is sent behind each."""

_GARBLED = (struct.error, IndexError, ValueError, RuntimeError)
"""What PyMySQL raises for a server that does not speak as MySQL does, or asks for a package."""

_UNKNOWN = (TypeError, AttributeError)
"""What drivers raise for an option they don't know."""

_SEALED = COLUMNS.index("sealed")
_LONG_AGO = -1e300
_CONFLICT = "Somebody else wrote this record first"


class SQLBackend(Backend):
    """
    Serve any number of hosts, through a database server.

    Each call is one statement, committed by itself, on a pooled connection; a
    thread waits for nobody else's. What is not listed here goes to the driver,
    from the URL's query as from the arguments: ``ssl_ca`` of MySQL,
    ``sslmode`` of PostgreSQL and so on.

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
        timeout: How long to wait for a connection, and for the answer, in
            seconds; 10 if not given. A statement ends within twice that, and
            opening within three times. A call is one statement; two where a
            version is deleted that is not there, and more for many values or
            to `clear`.
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
        given = {"host": host, "port": port, "user": user, "password": password, **driver}
        given |= {"database": database, "table": table, "schema": schema, "timeout": timeout}
        given |= {"pool_size": pool_size, "max_overflow": max_overflow}
        self._target = target = Target(url, given)
        self._timeout = target.timeout
        self._schema = Schema(target.table, target.schema)
        self._engine = engine_of(target)
        self._home = [getpid()]
        weakref.finalize(self, _dispose, self._engine, self._home)
        self._commits = target.backend not in _AUTOCOMMIT
        self._errors = (
            self._engine.dialect.loaded_dbapi.Error,
            SQLAlchemyError,
            OSError,
            *_GARBLED,
        )
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
        found = self._fetch(self._statements.read, {"the_id": record_id}, record_id)
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
        values = dict(zip(COLUMNS, to_row(record), strict=True))
        if replaces is None:
            done = self._ask("INSERT", self._statements.insert, values, record.id)
        else:
            values |= {"the_id": record.id, "the_version": replaces}
            done = self._ask("UPDATE", self._statements.replace, values, record.id)
        if not done:
            raise StoreConflict(_CONFLICT, token_id=record.id)

    def insert(self, records: Sequence[Record]) -> list[str]:
        is_small = sum(len(record.sealed) for record in records) <= BATCH
        if not (records and is_small and self._statements.takes_many):
            return super().insert(records)
        statement, values = self._statements.insert_many(list(map(to_row, records)))
        try:
            self._ask("INSERT", statement, values)
        except StoreConflict:  # one is taken, so none was written
            return super().insert(records)
        return []

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        values = {"the_id": record_id, "the_version": replaces}
        if replaces is None:
            return bool(self._ask("DELETE", self._statements.delete, values, record_id))
        if self._ask("DELETE", self._statements.delete_version, values, record_id):
            return True
        if self.read(record_id) is not None:
            raise StoreConflict(_CONFLICT, token_id=record_id)
        return False

    def touch(self, record_id: str, last_used_at: float) -> None:
        values = {"the_id": record_id, "now": last_used_at}
        self._ask("UPDATE", self._statements.touch, values, record_id, patience=0)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        field, value = mark or (None, None)
        values = {"limit": limit, "after": after or "", "mark": value}
        return self._fetch(self._statements.scan[field], values)

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        when, last = after or (_LONG_AGO, "")
        values = {"before": before, "limit": limit, "when": when, "after": last}
        return self._fetch(self._statements.due, values)

    def clear(self) -> int:
        count = 0
        while page := self._ask("SELECT", self._statements.ids, {"limit": PAGE}):
            count += self._ask("DELETE", self._statements.clear, {"the_id": page[-1][0]})
        return count

    def describe(self) -> str:
        return self._target.describe()

    def risks(self) -> list[Risk] | None:
        return self._target.exposure() or None

    def close(self) -> None:
        # What is in use is closed when it is given back.
        self._at_home()
        self._engine.dispose()

    # How it is done

    def _open(self, *, make: bool) -> None:
        """Connect, and look whether the tables are there; *make* those that are not."""

        def opened(_: _Call) -> bool:
            pool = self._engine.pool
            with self._engine.connect() as db:
                try:
                    return self._prepared(db, make=make)
                finally:
                    if pool is not self._engine.pool:  # closed meanwhile
                        db.invalidate()

        self._is_made = self._bounded(opened, _OPENING * self._timeout, _Call("CREATE"))
        self._statements = Statements(self._schema, self._engine.dialect)

    def _prepared(self, db: Connection, *, make: bool) -> bool:
        name, version = db.dialect.name, db.dialect.server_version_info or ()
        name = "mariadb" if getattr(db.dialect, "is_mariadb", False) else name
        if name in OLDEST and version < OLDEST[name]:
            raise StoreUnavailable(
                f"{self._target.database()} is too old", hint=f"{name} {OLDEST[name]} will do"
            )
        return prepare(db, self._schema, self._target, make=make)

    def _fetch(
        self, statement: Statement, values: Mapping[str, Any], record_id: str | None = None
    ) -> list[Record]:
        """Return the records that a statement finds."""
        return [_record(row) for row in self._ask("SELECT", statement, values, record_id)]

    def _ask(
        self,
        doing: str,
        statement: Statement,
        values: Mapping[str, Any],
        record_id: str | None = None,
        *,
        patience: float | None = None,
    ) -> Any:
        """
        Return the rows of a SELECT, or how many rows were changed.

        A read that loses its connection is asked once more; a write is not,
        since nobody knows whether it was done. What the database undoes
        because others are in the way is tried again, for *patience* seconds.
        """
        if not self._is_made:  # by whomever: as long as not, each call looks
            self._open(make=doing == "INSERT")
            if not self._is_made:
                return [] if doing == "SELECT" else 0
        call = _Call(doing, statement.sql, statement.bind(values), record_id)
        patience = self._timeout if patience is None else patience
        work = partial(self._patiently, patience=patience)
        return self._bounded(work, _TIMES * self._timeout, call)

    def _bounded(self, work: Callable[[_Call], Any], seconds: float, call: _Call) -> Any:
        self._at_home()

        def answer() -> Any:
            # Errors are returned: what is raised here would bring the driver's frames along.
            try:
                return work(call)
            except TokenKeepError as exc:
                return exc.with_traceback(None)
            except (*self._errors, *_UNKNOWN) as exc:
                return self._explained(exc, call)

        try:
            found = within(seconds, answer)
        except NoThread as exc:
            what = f"{self._target.database()} was not asked: {exc}"
            found = StoreUnavailable(what, token_id=call.record_id, hint="Try again")
        except TimeoutError:
            call.is_over = True
            with suppress(TimeoutError):
                within(_CANCEL, partial(self._give_up, call))
            what = f"{self._target.database()} did not answer within {seconds:g} seconds"
            found = unknown(what, call.doing, call.record_id)
        if isinstance(found, TokenKeepError):
            raise found
        return found

    def _patiently(self, call: _Call, patience: float) -> Any:
        again = call.doing == "SELECT"
        last: Exception = TimeoutError()
        for _ in tries(patience):
            pool, lost = self._engine.pool, True
            link: Any = pool.connect()
            if call.doing != "SELECT" and self._has_ended(link.dbapi_connection):
                link.invalidate()
                self._engine.dispose()  # the other idle ones will have ended too
                pool = self._engine.pool
                link = pool.connect()
            call.db = db = link.dbapi_connection
            try:
                if call.is_over:
                    break
                answer = self._answer(db, call)
            except self._errors as exc:
                last, lost = exc, self._is_lost(exc, db)
            else:
                lost = False
                return answer
            finally:
                call.db = None
                if lost or pool is not self._engine.pool:  # closed, or left behind by a fork
                    link.invalidate()
                else:
                    link.close()
            if lost:
                self._engine.dispose()  # the server that left it left the idle ones too
            if call.is_over or not (again if lost else means(last, BUSY)):
                break
            again = again and not lost
        return self._explained(last, call, lost=lost)

    def _answer(self, db: Any, call: _Call) -> Any:
        cursor = db.cursor()
        cursor.execute(call.sql, call.values)
        answer = cursor.fetchall() if call.doing == "SELECT" else cursor.rowcount
        cursor.close()
        if self._commits:
            self._engine.dialect.do_commit(db)
        return answer

    def _has_ended(self, db: Any) -> bool:
        """Tell whether an idle connection has ended: it has nothing else to say."""
        link = getattr(db, "_sock", db)  # PyMySQL has nothing public that leads to its socket
        try:
            if hasattr(link, "fileno"):
                return can_be_read(link)
            return not self._engine.dialect.do_ping(db)
        except self._errors:
            return True

    def _is_lost(self, exc: Exception, db: Any) -> bool:
        if isinstance(exc, (OSError, *_GARBLED)) or means(exc, LOST):
            return True
        return self._engine.dialect.is_disconnect(exc, db, None)  # type: ignore[arg-type]  # PEP 249 has no common class

    def _give_up(self, call: _Call) -> None:
        """End what nobody waits for: on the server, lest it is done later, and here."""
        db = call.db
        with suppress(AttributeError, *self._errors):
            db.cancel_safe(timeout=_CANCEL)
        if call.db is db:
            with suppress(*self._errors):  # psycopg's, if libpq has closed it meanwhile
                cut(getattr(db, "_sock", db))

    def _explained(self, exc: Exception, call: _Call, *, lost: bool = False) -> TokenKeepError:
        target = self._target
        said = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
        if isinstance(said, PoolTimeout):
            return StoreUnavailable(
                f"All connections of this process to {target.database()} were in use for "
                f"{self._timeout:g} seconds",
                hint="Try again, or raise pool_size",
            )
        if isinstance(said, _UNKNOWN):
            return ConfigurationError(
                f"The driver {target.driver} does not take an option of the URL: "
                f"{', '.join(sorted(target.url.query))}",
                hint="Correct it; options of tokenkeep are " + ", ".join(OWN),
            )
        return explain(
            said,
            where=target.database(),
            doing=call.doing,
            record_id=call.record_id,
            lost=lost,
            secrets=target.secrets,
        )

    def _at_home(self) -> None:
        """In a forked child: leave the parent's connections alone; even to close them ends its."""
        if self._home[0] != getpid():
            _inherited.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._home[0] = getpid()


def _record(row: Sequence[Any]) -> Record:
    """Return the record of a row; each driver has its own type for bytes."""
    if not isinstance(row[_SEALED], bytes | str | None):  # a text was written by somebody else
        row = (*row[:_SEALED], bytes(row[_SEALED]), *row[_SEALED + 1 :])
    return from_row(row)


@dataclass
class _Call:
    """A statement, or another work, that is under way in another thread."""

    doing: str
    sql: str = ""
    values: Any = None
    record_id: str | None = None
    db: Any = None
    """The driver's connection that it is on. None if it has none now."""
    is_over: bool = False
    """Whether nobody waits for it any more."""


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_inherited: list[Pool] = []


def _close_idle() -> None:
    """Before a fork: what is in no pool is not inherited."""
    for engine in list(_engines):
        engine.dispose()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_close_idle)


def _dispose(engine: Engine, home: list[int]) -> None:
    if home == [getpid()]:
        engine.dispose()


def engine_of(target: Target) -> Engine:
    """Return an engine with statements that are whole by themselves."""
    options: dict[str, Any] = {}
    if target.backend in _AUTOCOMMIT:
        # No BEGIN, and no ROLLBACK when a connection is given back: each is a round trip.
        options = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    try:
        engine = create_engine(
            target.url,
            connect_args=target.connect_args,
            poolclass=QueuePool,
            pool_timeout=target.timeout,
            # The one used last is the one that is surely alive.
            pool_use_lifo=True,
            hide_parameters=True,
            **target.pool,
            **options,
        )
    except (ArgumentError, TypeError, ValueError):
        raise ConfigurationError(
            f"An option of the URL is not what it has to be: {', '.join(target.url.query)}"
        ) from None
    _engines.add(engine)
    if target.is_mysql:
        event.listen(engine, "connect", partial(_limited, max(1, int(target.timeout / 2))))
    if target.driver == "pymysql" and not target.is_verified:
        from tokenkeep.backends.sql_pymysql import Discreet

        event.listen(engine, "do_connect", lambda _, __, args, given: Discreet(*args, **given))
    if target.driver == "pysqlite":
        event.listen(engine, "connect", _tolerant)
    return engine


def _tolerant(db: Any, _entry: object) -> None:
    """A text that somebody has damaged is one damaged record; it ends no listing of others."""
    db.text_factory = lambda stored: stored.decode(errors="replace")


def _limited(seconds: int, db: Any, _entry: object) -> None:
    """Who gave up must not find his write done by the server a minute later."""
    waits = ("innodb_lock_wait_timeout", "lock_wait_timeout")
    cursor = db.cursor()
    cursor.execute("SET SESSION " + ", ".join(f"{name} = {seconds}" for name in waits))
    cursor.close()
