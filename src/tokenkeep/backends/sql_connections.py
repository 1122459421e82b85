"""Pooled connections to one database: one statement on each at a time, and nothing left open."""

from __future__ import annotations

import weakref
from os import getpid
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from tokenkeep.backends.deadline import ends_within
from tokenkeep.backends.forks import ForkSafe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Dialect, Engine
    from sqlalchemy.pool import Pool, PoolProxiedConnection

    from tokenkeep.backends.sql_errors import Explainer
    from tokenkeep.backends.sql_target import Target

_TRUSTED = 30.0
"""
How long a connection may have been idle and is used without a question, in
seconds. A ping before each statement would double the round trips.
"""

_FORGOTTEN = 200.0
"""
When an idle connection is not even asked, in seconds. Firewalls and load
balancers drop idle ones after four minutes or more and tell nobody; a ping
there waits for its timeout.
"""

_AUTOCOMMIT = {"mysql", "mariadb", "postgresql", "sqlite"}
"""Where a single statement needs no COMMIT; elsewhere one is sent behind each."""

_LIGHT_CURSORS = {"psycopg", "pymysql"}
"""Drivers whose cursors hold nothing between two statements, and take a while to make."""

_inherited: list[Pool] = []
"""Pools of a parent process: closing their connections, even by forgetting them, would end its."""


class Lost(Exception):
    """
    A connection died while a statement was under way; nobody knows whether it was carried out.

    Args:
        cause: What the driver said.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


class Connections(ForkSafe):
    """
    The connections of this process to one database.

    No lock is held while a statement runs. Before a fork the idle ones are
    closed, and both sides start with a new pool.

    Args:
        target: The database.
        explainer: Knows the codes of its errors.
    """

    def __init__(self, target: Target, explainer: Explainer) -> None:
        super().__init__()
        self._explainer = explainer
        self._timeout = target.timeout
        self._engine = _engine(target)
        self.dialect: Dialect = self._engine.dialect
        module = self._engine.dialect.loaded_dbapi
        self.errors: tuple[type[Exception], ...] = (module.Error, SQLAlchemyError, OSError)
        self._commits = target.backend not in _AUTOCOMMIT
        self._keeps_cursors = target.driver in _LIGHT_CURSORS
        self._pool: Pool | None = None
        self._close: weakref.finalize[..., Any] | None = None
        self._pid = 0

    def session(self) -> Connection:
        """Return a connection of SQLAlchemy, for what is not done often; it has to be closed."""
        self._ready()
        return self._engine.connect()

    def fetch(self, sql: str, values: Any) -> Sequence[Any]:
        """
        Return all rows that a statement finds.

        Raises:
            Lost: The connection died, now or while it was idle.
            Exception: One of `errors`, or of SQLAlchemy's pool.
        """
        rows: Sequence[Any] = self._run(sql, values, reads=True)
        return rows

    def change(self, sql: str, values: Any) -> int:
        """
        Return how many rows a statement changed.

        Raises:
            Lost: The connection died; the outcome is not known.
            Exception: One of `errors`, or of SQLAlchemy's pool: nothing was done.
        """
        count: int = self._run(sql, values, reads=False)
        return count

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        with self._lock:
            self._rest()

    def _run(self, sql: str, values: Any, *, reads: bool) -> Any:
        pool, link = self._taken()
        db: Any = link.dbapi_connection
        try:
            with ends_within(self._timeout):
                # Taken out while it is used: after an error nobody uses it again.
                cursor = link.info.pop("cursor", None) or db.cursor()
                cursor.execute(sql, values)
                answer = cursor.fetchall() if reads else cursor.rowcount
                if self._keeps_cursors:
                    link.info["cursor"] = cursor
                else:
                    cursor.close()
                if self._commits:
                    self.dialect.do_commit(db)
        except self.errors as exc:
            if self._is_lost(exc, db):
                self._dropped(pool, link)
                raise Lost(exc) from None
            if self._undone(link):
                self._give_back(pool, link)
            raise
        except BaseException:
            # Interrupted in the midst of an answer, whose rest nobody shall take for his own.
            link.invalidate()
            raise
        self._give_back(pool, link)
        return answer

    def _taken(self) -> tuple[Pool, PoolProxiedConnection]:
        """Return a connection that is likely to live, and the pool it belongs to."""
        while True:
            pool = self._ready()
            link = pool.connect()
            idle = monotonic() - link.info.get("used", monotonic())
            if idle < _TRUSTED:
                return pool, link
            if idle >= _FORGOTTEN:
                link.invalidate()
            elif self._answers(link):
                return pool, link
            else:  # to ask each of them would take as long again
                self._dropped(pool, link)

    def _give_back(self, pool: Pool, link: PoolProxiedConnection) -> None:
        if pool is not self._pool:  # closed, or left behind by a fork
            link.invalidate()
        else:
            link.info["used"] = monotonic()
            link.close()

    def _answers(self, link: PoolProxiedConnection) -> bool:
        try:
            with ends_within(self._timeout):
                return self.dialect.do_ping(link.dbapi_connection)  # type: ignore[arg-type]  # it has one until it is given back
        except self.errors:
            return False
        except BaseException:
            # Interrupted: its answer may still come, and is not that to a statement.
            link.invalidate()
            raise

    def _is_lost(self, exc: Exception, db: Any) -> bool:
        if isinstance(exc, OSError) or self._explainer.is_lost(exc):
            return True
        return self.dialect.is_disconnect(exc, db, None)  # type: ignore[arg-type]  # PEP 249 has no common class

    def _undone(self, link: PoolProxiedConnection) -> bool:
        """End a transaction that failed, and return whether the connection is of further use."""
        try:
            if self._commits:
                self.dialect.do_rollback(link)
        except self.errors:
            link.invalidate()
            return False
        except BaseException:
            link.invalidate()
            raise
        return True

    def _dropped(self, pool: Pool, link: PoolProxiedConnection) -> None:
        """Close a dead connection, and the idle ones: the server that left it left them too."""
        link.invalidate()
        with self._lock:
            if pool is self._pool:
                self._rest()

    def _ready(self) -> Pool:
        """Return the pool of this process."""
        pool = self._pool
        if pool is not None and self._pid == getpid():
            return pool
        with self._lock:
            if self._pool is not None and self._pid != getpid():
                # Forked by something Python knows nothing of.
                _inherited.append(self._pool)
                if self._close is not None:
                    self._close.detach()
                self._pool = None
            if self._pool is None:
                self._engine.dispose(close=False)
                self._pool = self._engine.pool
                self._pid = getpid()
                self._close = weakref.finalize(self, _dispose, self._pool, self._pid)
            return self._pool

    def _rest(self) -> None:
        self._pool = None
        if self._close is not None:
            self._close()


def _dispose(pool: Pool, pid: int) -> None:
    if pid == getpid():
        pool.dispose()


def _engine(target: Target) -> Engine:
    """Return an engine with statements that are whole by themselves."""
    options: dict[str, Any] = {}
    if target.backend in _AUTOCOMMIT:
        # No BEGIN, and no ROLLBACK when a connection is given back: each is a round trip.
        options = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    engine = create_engine(
        target.url,
        connect_args=target.connect_args,
        poolclass=QueuePool,
        pool_size=target.pool_size,
        max_overflow=target.max_overflow,
        pool_timeout=target.timeout,
        pool_recycle=target.pool_recycle,
        # The one used last is the one that is surely alive.
        pool_use_lifo=True,
        hide_parameters=True,
        **options,
    )
    if target.driver == "pysqlite":
        # Bytes that are no text: that row does not open then, and the others do.
        @event.listens_for(engine, "connect")
        def tolerant(db: Any, _record: object) -> None:
            db.text_factory = lambda stored: stored.decode(errors="replace")

    connect = _bounded_connect(target)
    if connect is not None:

        @event.listens_for(engine, "do_connect")
        def bounded(_dialect: object, _record: object, cargs: Any, cparams: Any) -> Any:
            with ends_within(target.timeout):
                return connect(*cargs, **cparams)

    return engine


def _bounded_connect(target: Target) -> Callable[..., Any] | None:
    """Return what connects such that waiting has an end. None leaves it to the driver."""
    if target.driver == "psycopg":
        from tokenkeep.backends.sql_psycopg import connector

        return connector(target.timeout)
    if target.driver == "pymysql":
        from tokenkeep.backends.sql_pymysql_connection import Bounded

        return Bounded
    return None


def unwrapped(exc: BaseException) -> BaseException:
    """Return what the driver said in an error of SQLAlchemy's."""
    return exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
