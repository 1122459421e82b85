"""Which SQL database: how it is reached, whether it is the one that was meant, what it refuses."""

from __future__ import annotations

import os
import re
import ssl
import struct
import weakref
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from tokenkeep.backends.exposure import exposure, is_here
from tokenkeep.backends.urls import SECRET_WORDS, options_of, refuse_blank, scheme_of
from tokenkeep.backends.waiting import Bound, NoThread, begin, can_be_read, cut, tries
from tokenkeep.errors import (
    ConfigurationError,
    DriverMissing,
    StoreConflict,
    StoreForeign,
    StoreUnavailable,
    TokenKeepError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from sqlalchemy.pool import Pool

    from tokenkeep.backends.base import Risk

_OWN = {"table": "tokenkeep", "timeout": 10, "pool_size": 15}
_DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
_LABELS = {"mysql": "MySQL", "postgresql": "PostgreSQL"}
_PACKAGES = {"mysql": "tokenkeep[mysql]", "postgresql": "tokenkeep[postgres]"}
_PORTS = {"mysql": 3306, "postgresql": 5432}
_WORDS = dict.fromkeys(("true", "yes", "on", "1"), True)
_WORDS |= dict.fromkeys(("false", "no", "off", "0"), False)
_GARBLED = (struct.error, AssertionError, IndexError)
"""What drivers raise for a server that does not speak as its kind does; handlers seldom do."""

RECYCLED = 200
"""After how many seconds a connection is replaced: firewalls drop idle ones and tell nobody."""


class TableMissing(StoreUnavailable):
    """There is no such table."""


# Patterns of what `_spelled` returns: the code of MySQL or PostgreSQL, then what the driver says.
# Words are for those who give no code, as PostgreSQL before the login.
_LOST = "^(1053|1927|2006|2013|4031|57P0[125]|0800[036]):|closed the connection|connection .*lost"
_BUSY = "^(1020|1205|1213|3572|40001|40P01|55P03):"
_TAKEN = "^(1050|1061|1062|23505|42P07|42710):"
_MISSING = "^(1146|42P01):"
_FOREIGN = "^(1054|42703):"
_LOGIN = (
    "^(1045|1698|3118|28P01|28000):|authentication failed|role .* does not exist|pg_hba|"
    "no password supplied"
)
_UNREACHABLE = "^(2002|2003|2005|1129|1130):|connection .*failed|timeout|resolve|closed the conn"
_OF_STATEMENTS = (
    (_TAKEN, "there is a record with this id, or another for the same thing", None),
    (_BUSY, "others kept {name} busy", "Try again"),
    (_MISSING, "there is no table {table} in {name}", "Put it back from a backup"),
    (
        _FOREIGN,
        "the table {table} of {name} is not one of tokenkeep's; it is left as it is",
        "Name another table with table=; `tokenkeep import` takes over that of the Zoho SDK",
    ),
)
_REFUSALS = (
    (
        "^2061:|requested a cleartext password",
        "{name} asks for the password itself, and has not proven who it is: it was not told",
        "If it is the database, let TLS verify it, or use its Unix socket: docs/sql.md",
    ),
    (_LOGIN, "{name} refuses this user or password", "Check user and password"),
    (
        "^(1044|1049|3D000):|database .* does not exist",
        "{name} does not exist, or this user has no right to it",
        "Check its name and the user's rights, or make it",
    ),
    (
        "^(1142|1143|42501):",
        "this user of {name} lacks the privilege {doing} on the table {table}",
        "Grant SELECT, INSERT, UPDATE and DELETE; who may make it runs `tokenkeep sql-schema`",
    ),
    (
        "^(3|28|1021|1114|53100):",
        "{name} says that its disk is full",
        "Make room there",
    ),
    (
        "^(1290|1792|1836|25006):",
        "{name} is read-only",
        "Name the primary server; this may be a replica, or it was set to read-only",
    ),
    (
        "^(2026|3159):|certificate|SSL|TLS",
        "no safe connection to {name} could be made",
        "Check its certificate, and the options for TLS in the URL",
    ),
    (
        _UNREACHABLE,
        "{name} can't be reached",
        "Check that it runs, its host and port, and the network between",
    ),
    ("", "{name} can't be used: {said}", "Look at its log"),
)
"""What is looked for; in words what it is, and what to do about it. The first are none of who
can't connect, of whom PostgreSQL tells no code."""

_KINDS = {_TAKEN: StoreConflict, _MISSING: TableMissing, _FOREIGN: StoreForeign}
"""Which errors they are; all others are `StoreUnavailable`."""


class Database:
    """
    A database, and the connections of this process to it.

    Args:
        url: ``mysql://…`` or ``postgresql://…``.
        given: What goes before it: ``password``, our options and the driver's.
            None means as in the URL.

    Raises:
        ConfigurationError: The URL or an option is wrong.
        DriverMissing: The driver is not installed.
    """

    def __init__(self, url: str, given: Mapping[str, Any]) -> None:
        said = {n: v for n, v in given.items() if v is not None}
        kind, parsed, self._dialect = _understood(url)
        self.kind: str = kind
        """``mysql``, also for MariaDB, or ``postgresql``."""
        parsed = parsed.set(password=said.pop("password", parsed.password))
        for name, value in said.items():
            refuse_blank(name, value)
        own = {name: said.pop(name, parsed.query.get(name, _OWN[name])) for name in _OWN}
        parsed = parsed.difference_update_query(_OWN)
        self.table: str = str(own["table"])
        whole = {**parsed.translate_connect_args(), **parsed.query, **said}
        secret = [str(v) for n, v in whole.items() if any(w in n.lower() for w in SECRET_WORDS)]
        self._secrets = sorted(filter(None, secret), key=len, reverse=True)
        host = str(whole.get("host") or whole.get("unix_socket") or "localhost").lower()
        port = parsed.port or _PORTS[self.kind]
        self.name: str = f"the {_LABELS[self.kind]} database {parsed.database} at {host}:{port}"
        """Which database, for people, without a password."""
        self._errors = (self._dialect.loaded_dbapi.Error, SQLAlchemyError, OSError, *_GARBLED)
        try:
            self.timeout: float = float(own["timeout"])
            size = int(own["pool_size"])
            if not (0.01 <= self.timeout <= 86400 and 1 <= size <= 1000):  # noqa: PLR2004 - a day
                raise ValueError("timeout is from 0.01 to 86400, pool_size from 1 to 1000")  # noqa: TRY301 - told as what the drivers refuse
            if self.kind == "mysql":
                self._tell_pymysql(parsed, said)
            else:
                self._tell_libpq(parsed, said)
        except (AttributeError, LookupError, TypeError, ValueError, *self._errors) as exc:
            raise ConfigurationError(
                f"The options of the URL can't be followed: {self._said(exc)}",
                hint=f"Correct them: {', '.join([*_OWN, *parsed.query])}",
            ) from None
        self._dialect.do_ping = _is_open  # without a trip
        self._pool: Pool = QueuePool(
            self._connect,
            dialect=self._dialect,
            pool_size=size,
            max_overflow=0,
            recycle=RECYCLED,
            timeout=self.timeout,
            use_lifo=True,  # the one used last is the one that is surely alive
            pre_ping=True,
            reset_on_return=None,
        )
        self._pid = os.getpid()
        _databases.add(self)

    def describe(self) -> str:
        """Say which table of which database, without a password."""
        return f"the table {self.table} of {self.name}"

    def risks(self) -> list[Risk]:
        """Return the risk that somebody poses as the server, if there is one."""
        return exposure(self._hosts, verified=self.is_verified, hint=self._hint)

    def _tell_pymysql(self, url: URL, said: dict[str, Any]) -> None:
        from pymysql.connections import Connection

        # Not by SQLAlchemy, which takes the half of PyMySQL's options for TLS.
        tls = {n: v for n, v in {**url.query, **said}.items() if n.startswith("ssl_")}
        tls = {n: _WORDS.get(str(v).lower(), v) for n, v in tls.items()}
        if "ssl_ca" in tls:  # or PyMySQL would only encrypt
            tls.setdefault("ssl_verify_cert", True)
        options = self._dialect.create_connect_args(url.difference_update_query(tls))[1]
        # Who gave up must not find his write done by the server a minute later.
        locks = max(1, int(self.timeout / 2))
        limits = f"innodb_lock_wait_timeout = {locks}, lock_wait_timeout = {locks}"
        self._options: dict[str, Any] = {
            "connect_timeout": self.timeout,
            "read_timeout": self.timeout + 1,  # for who connects; all else has ended before
            "init_command": f"SET SESSION {limits}",
            **options,
            **said,
            **tls,
            "password": (url.password or "").encode(),  # PyMySQL would do it in Latin-1
            "charset": "utf8mb4",  # others have characters that end in a quote
            "autocommit": True,
        }
        link: Any = Connection(defer_connect=True, **self._options)
        self._hosts = [link.host]  # a file of options may name it
        context = getattr(link, "ctx", None)
        # Anybody has a certificate for some host, signed by a public authority.
        is_named = bool({"ssl", "ssl_ca"} & {*tls, *said}) or getattr(
            context, "check_hostname", False
        )
        is_asked = getattr(context, "verify_mode", ssl.CERT_NONE) is ssl.CERT_REQUIRED
        self.is_verified: bool = bool((is_asked and is_named) or link.unix_socket)
        self._hint = "Add ?ssl_ca=/path/ca.pem&ssl_verify_identity=true to the URL"
        if not self.is_verified:
            names = ("mysql_clear_password", "mysql_old_password", "dialog", "sha256_password")
            ways = {**dict.fromkeys(names, _Refused), "caching_sha2_password": _WithinTLS}
            self._options["auth_plugin_map"] = ways

    def _tell_libpq(self, url: URL, given: dict[str, Any]) -> None:
        from psycopg.conninfo import make_conninfo
        from psycopg.pq import Conninfo

        options = self._options = {**self._dialect.create_connect_args(url)[1], **given}
        if "service" in options:
            raise ConfigurationError(
                "The option 'service' can't be followed: what it names is not seen here",
                hint="Name the service by PGSERVICE, in the environment",
            )
        threshold = options.pop("prepare_threshold", 5)
        options.pop("context", None)  # SQLAlchemy's ways with values: we have none that need them
        make_conninfo(**options)
        options["prepare_threshold"] = None if threshold == "none" else int(threshold)
        options.setdefault("connect_timeout", max(2, int(self.timeout + 0.999)))
        options |= {"autocommit": True, "client_encoding": "utf8"}
        self._hint = "Add ?sslmode=verify-full&sslrootcert=/path/ca.pem to the URL"
        found = {
            os.fsdecode(e.keyword): os.fsdecode(e.val or b"") for e in Conninfo.get_defaults()
        }
        said = {**found, **options}
        places = (said[name].split(",") for name in ("hostaddr", "host"))
        # By default libpq takes a Unix socket.
        self._hosts = [one or two or "/" for one, two in zip_longest(*places, fillvalue="")]
        self.is_verified = bool(
            said["sslmode"] in {"verify-ca", "verify-full"}
            or said["sslrootcert"] == "system"  # then libpq verifies, or refuses
            or all(each.startswith(("/", "@")) for each in self._hosts)
        )
        ways = {each.strip() for each in said["require_auth"].split(",") if each}
        if not self.is_verified:
            if "password" in ways and not all(map(is_here, self._hosts)):
                raise ConfigurationError(
                    "By require_auth the password may go to another machine in clear",
                    hint="Let TLS verify the server: sslmode=verify-full&sslrootcert=/path/ca.pem",
                )
            if all(each.startswith("!") for each in ways):
                options["require_auth"] = ",".join({*ways, "!password"})

    # Its connections

    def _pool_of_this_process(self) -> Pool:
        """Return the pool of this process: in a forked child another one than the parent's."""
        if self._pid != os.getpid():
            _inherited.append(self._pool)  # even to close them would end the parent's
            self._pool, self._pid = self._pool.recreate(), os.getpid()
        return self._pool

    def close(self) -> None:
        """Close what is idle; what is in use is closed by whoever has it."""
        pool = self._pool_of_this_process()
        self._pool = pool.recreate()
        pool.dispose()

    def _connect(self) -> Any:
        """Return a new connection, within `timeout`: a name alone may take longer."""
        begun = begin(self._connected)
        try:
            found = begun.result(self.timeout)
        except BaseException as exc:
            begun.add_done_callback(_close_late)
            if not isinstance(exc, TimeoutError):
                raise
            found = self.explain(exc)
        if isinstance(found, TokenKeepError):
            raise found
        return found

    def _connected(self) -> Any:
        """Return a connection, or our error: the driver's came through frames with passwords."""
        try:
            return self._dialect.connect(**self._options)
        except Exception as exc:  # noqa: BLE001 - whatever a driver raises for whoever answers
            return self.explain(exc)

    def run(
        self,
        doing: str,
        sql: str,
        values: Any,
        record_id: str | None = None,
        patience: float | None = None,
    ) -> Any:
        """
        Return the rows of a SELECT, or how many rows were changed; committed.

        A read that loses its connection is asked once more; a write is not,
        since nobody knows whether it was done. What the database undoes
        because others are in the way is tried again, for *patience* seconds.

        Args:
            doing: SELECT, INSERT, UPDATE, DELETE or CREATE.
            sql: As the driver wants it.
            values: Likewise; a list of such to do it for each.
            record_id: The record that is meant. None if it is none, or several.
            patience: None means `timeout`.
        """
        again = doing == "SELECT"
        for _ in tries(self.timeout if patience is None else patience):
            pool, link, lost, goes_on = self._pool_of_this_process(), None, True, False
            try:
                link = pool.connect()
                db = link.dbapi_connection
                with Bound(self.timeout, partial(_cancel, db)):
                    answer = _answer(db, doing, sql, values)
                lost = False
            except self._errors as exc:
                lost = link is not None and self._is_lost(exc, link.dbapi_connection)
                found = self.explain(exc, doing, record_id, lost=lost)
                is_late = isinstance(exc, TimeoutError)
                goes_on = again and not is_late if lost else means(exc, _BUSY)
                again = again and not lost
            else:
                return answer
            finally:
                if link and (lost or pool is not self._pool_of_this_process()):
                    link.invalidate()  # or it was closed meanwhile, or this is a fork
                elif link:
                    link.close()
            if not goes_on:
                break
        raise found

    # Its errors

    def _is_lost(self, exc: Exception, db: Any) -> bool:
        is_ours = isinstance(exc, (OSError, *_GARBLED))
        return is_ours or means(exc, _LOST) or not _is_open(db)

    def explain(
        self, exc: Exception, doing: str = "", record_id: str | None = None, *, lost: bool = False
    ) -> TokenKeepError:
        """
        Return our error for a driver's, which may quote rows and options in its text.

        Args:
            exc: What the driver says.
            doing: The statement: SELECT, INSERT, UPDATE, DELETE or CREATE.
            record_id: The record that was meant. None if it was none, or several.
            lost: Whether the connection is gone.
        """
        hint: str | None = "Try again; if it stays so, look at the server"
        pattern = ""
        if isinstance(exc, NoThread):
            what = f"{{name}} was not asked: {exc}"
        elif isinstance(exc, PoolTimeout):
            what = "all connections of this process to {name} were in use"
            hint = "Try again, or raise pool_size"
        elif lost or isinstance(exc, TimeoutError) or means(exc, _LOST):
            late = f"{{name}} did not answer within {self.timeout:g} seconds"
            what = late if isinstance(exc, TimeoutError) else "the connection to {name} was lost"
            if doing in {"INSERT", "UPDATE", "DELETE"}:
                what += "; whether the change was made is not known"
        else:
            rows = (*_OF_STATEMENTS, *_REFUSALS) if doing else _REFUSALS
            pattern, what, hint = next(row for row in rows if means(exc, row[0]))
        what = what.format(name=self.name, table=self.table, doing=doing, said=self._said(exc))
        kind: type[TokenKeepError] = _KINDS.get(pattern, StoreUnavailable)
        return kind(f"{what[0].upper()}{what[1:]}", token_id=record_id, hint=hint)

    def _said(self, exc: Exception) -> str:
        said = f"{type(exc).__name__} {_spelled(exc)}"
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return said[:300]


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Pool] = []


def _close_idle() -> None:
    """Before a fork: what is in no pool is not inherited."""
    for each in list(_databases):
        each.close()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_close_idle)


class _Refused:
    """A way of logging in by which a MySQL server would learn the password: it is not told."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def authenticate(self, _: Any) -> Any:
        from pymysql.err import OperationalError

        raise OperationalError(2061, "It asks for the password itself")


class _WithinTLS(_Refused):
    """MySQL 8's own: told within TLS, as by its own programs, or under a key known beforehand."""

    def authenticate(self, packet: Any) -> Any:
        from pymysql._auth import caching_sha2_password_auth

        link = self._link
        if link.password and not link._secure and not link.server_public_key:  # noqa: SLF001 - nothing public says so
            return super().authenticate(packet)
        return caching_sha2_password_auth(link, packet)


def _understood(url: str) -> tuple[str, URL, Any]:
    kind = scheme_of(url)
    rest = url[len(kind) :]
    options_of(url.rpartition("@")[2].partition("?")[2], kind)  # SQLAlchemy leaves out blank ones
    try:
        parsed = make_url(_DRIVERS[kind] + rest)
        dialect: Any = parsed.get_dialect()
        dialect = dialect(dbapi=dialect.import_dbapi())
    except ModuleNotFoundError as exc:
        raise DriverMissing(
            f"This kind of store needs the module {exc.name}, which is not installed",
            hint=f"Install it: pip install '{_PACKAGES[kind]}'",
        ) from None
    except (ArgumentError, ValueError):
        parsed = None
    # An @ may be in a password, of which all behind it would be shown as the host.
    if not parsed or "@" in f"{parsed.host}{parsed.database}" or url.count("@") > 1:
        raise ConfigurationError(
            f"The {kind} URL can't be read",
            hint="It is written scheme://user:password@host:port/database?name=value; "
            "in a password @ is written %40, / is %2F, : is %3A, ? is %3F and # is %23",
        )
    if not parsed.database:
        raise ConfigurationError(
            f"The {kind} URL names no database",
            hint=f"Write {kind}://user:password@host/database",
        )
    return kind, parsed, dialect


def _close_late(begun: Future[Any]) -> None:
    with suppress(Exception):
        begun.result().close()


def _answer(db: Any, doing: str, sql: str, values: Any) -> Any:
    with db.cursor() as cursor:
        (cursor.executemany if isinstance(values, list) else cursor.execute)(sql, values)
        return cursor.fetchall() if doing == "SELECT" else cursor.rowcount


def _link(db: Any) -> Any:
    return getattr(db, "_sock", db)  # PyMySQL has nothing public that leads to its socket


def _is_open(db: Any) -> bool:
    """Tell whether an idle connection is open: one that has ended has something to say."""
    try:
        return not can_be_read(_link(db))
    except Exception:  # noqa: BLE001 - each driver has its own for one that it has closed
        return False


def _cancel(db: Any) -> None:
    # On the server first, lest it does later what nobody waits for.
    with suppress(Exception):
        db.cancel_safe(timeout=1.0)
    with suppress(Exception):
        cut(_link(db))


def _spelled(exc: BaseException) -> str:
    """Return an error's code and what it says; PostgreSQL quotes rows in further lines."""
    code = getattr(exc, "sqlstate", None)
    if exc.args and isinstance(exc.args[0], int):  # MySQL's own number
        code = exc.args[0]
    said = next((arg for arg in exc.args[::-1] if isinstance(arg, str)), "")
    return f"{code}: {said.strip().partition(chr(10))[0]}"


def means(exc: BaseException, meaning: str) -> bool:
    """Return whether an error is what a pattern such as `_BUSY` is for, whatever it quotes."""
    said = re.sub(r"(['\"]).*?\1", r"\1\1", _spelled(exc))
    return bool(re.search(meaning, said, re.IGNORECASE))
