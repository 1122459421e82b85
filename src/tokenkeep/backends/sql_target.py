"""Which database: a URL and options in, what SQLAlchemy and the driver are told out."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tokenkeep.backends import sql_libpq
from tokenkeep.backends.exposure import exposure
from tokenkeep.backends.secret_options import SECRET_WORDS
from tokenkeep.backends.sql_schema import TABLE
from tokenkeep.backends.urls import options_of, refuse_blank, scheme_of
from tokenkeep.errors import ConfigurationError, DriverMissing, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenkeep.backends.base import Risk

OWN: dict[str, Callable[[str], object]] = {
    "table": str,
    "schema": str,
    "timeout": float,
    "pool_size": int,
    "max_overflow": int,
    "pool_recycle": int,
}
"""The options that are ours; all others are the driver's."""

_DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
_EXTRAS = {"mysql": "mysql", "postgresql": "postgres"}
_PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432}
_LABELS = {
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "duckdb": "DuckDB",
}
_IN_FILES = {"sqlite", "duckdb"}
_LIBPQ = {"psycopg", "psycopg2"}
_VERIFY = {
    "pymysql": "Add ?ssl_ca=/path/ca.pem&ssl_verify_identity=true to the URL",
    **dict.fromkeys(_LIBPQ, "Add ?sslmode=verify-full&sslrootcert=/path/ca.pem to the URL"),
}
"""How TLS is verified, with the drivers of which tokenkeep knows."""

_SECRET = (*SECRET_WORDS, "sslkey")

_SQLITE = {"timeout", "isolation_level", "cached_statements", "uri"}
"""What SQLAlchemy passes on; all else it would leave out with a warning, or have as a name."""

_QUERY = re.compile(r"[^/]+://(?:[^:/]*(?::[^@]*)?@)?[^?]*(?:\?(.*))?", re.DOTALL)
"""Where SQLAlchemy finds the options: a question mark may be in the password, too."""

_CHARSET = "utf8mb4"

_A_DAY = 86400.0


class Target:
    """
    A database, and how to reach it.

    Args:
        url: ``mysql://…``, ``postgresql://…`` or ``sql+`` and a URL of SQLAlchemy.
        own: Values for options of ours that were given as arguments; None
            means as in the URL.
        place: Likewise ``host``, ``port``, ``user``, ``password``, ``database``.
        driver: Options of the driver that were given as arguments.

    Raises:
        ConfigurationError: The URL or an option is wrong.
        UnknownName: SQLAlchemy knows no such database.
        DriverMissing: The driver is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        own: Mapping[str, object],
        place: Mapping[str, Any],
        driver: Mapping[str, object],
    ) -> None:
        parsed = _parsed(url)
        query = _QUERY.fullmatch(url)
        options_text = (query and query[1]) or ""
        ends = [str(parsed.host), str(parsed.database), options_text if parsed.password else ""]
        if parsed.get_backend_name() not in _IN_FILES and "@" in "".join(ends):
            # Which may be the end of a password: all between would be shown as a host.
            raise ConfigurationError(
                f"The {parsed.get_backend_name()} URL can't be read: it has an @ behind its host",
                hint="In a password @ is written %40, / is %2F, : is %3A, ? is %3F and # is %23; "
                "an @ elsewhere is %40, too",
            )
        parts = options_text.split("&")
        names = {"user": "username"}
        given = {names.get(name, name): value for name, value in place.items()}
        parsed = parsed.set(**{name: v for name, v in given.items() if v is not None})
        written = options_of("&".join(filter(None, parts)), parsed.get_backend_name())
        for name, value in (*written, *driver.items()):
            refuse_blank(name, value)
        options = {**_options(parsed), **{n: v for n, v in own.items() if v is not None}}
        self.table: str = str(options.get("table", TABLE))
        self.schema: str | None = _text(options.get("schema"))
        self.timeout: float = _number(options.get("timeout", 10.0), "timeout", above=0)
        self.pool_size: int = int(_number(options.get("pool_size", 5), "pool_size", above=0))
        self.max_overflow: int = int(_number(options.get("max_overflow", 10), "max_overflow"))
        self.pool_recycle: int = int(
            _number(options.get("pool_recycle", -1), "pool_recycle", above=-2)
        )
        rest = {name: value for name, value in parsed.query.items() if name not in OWN}
        self.backend: str = parsed.get_backend_name()
        self.is_mysql: bool = self.backend in {"mysql", "mariadb"}
        self.is_postgresql: bool = self.backend == "postgresql"
        self.url: URL = parsed.set(query=rest)
        self.driver: str = _driver(self.url)
        self.connect_args: dict[str, Any] = dict(driver)
        self.secrets: list[str] = _secrets(self.url, driver)
        self._check()
        self._fill_in()

    def describe(self) -> str:
        """Say which table of which database, without a password."""
        table = f"{self.schema}.{self.table}" if self.schema else self.table
        return f"the table {table} of {self.database()}"

    def database(self) -> str:
        """Say which database, without a password."""
        return f"the {_LABELS.get(self.backend, self.backend)} database {self._place()}"

    def exposure(self) -> list[Risk]:
        """Return the risk that somebody poses as the server, if there is one."""
        given = self._given()
        socket = given.get("unix_socket")
        if self.backend in _IN_FILES or socket:
            return []
        is_libpq = self.driver in _LIBPQ
        verified = sql_libpq.is_verified(given) if is_libpq else bool(given.get("verified"))
        hosts = sql_libpq.hosts(given) if is_libpq else [str(given.get("host") or "localhost")]
        hint = f"See how the driver {self.driver} is told to verify TLS: tokenkeep can't tell"
        return exposure(hosts, verified=verified, hint=_VERIFY.get(self.driver, hint))

    def _given(self) -> dict[str, Any]:
        """Return what the driver is told, the host as one text."""
        given: dict[str, Any] = {**self.url.query, **self.connect_args}
        host = self.url.host or given.get("host")
        if host:
            given["host"] = host if isinstance(host, str) else ",".join(map(str, host))
        return given

    def _place(self) -> str:
        url, query = self.url, {**self.url.query, **self.connect_args}
        if self.backend in _IN_FILES:
            return os.path.realpath(str(url.database))
        host = url.host or query.get("unix_socket") or query.get("host") or "localhost"
        port = url.port or query.get("port") or _PORTS.get(self.backend)
        hosts = ",".join(map(str, host)) if isinstance(host, list | tuple) else str(host).lower()
        at = f"{hosts}:{port}" if port else hosts
        name = url.database or query.get("dbname") or query.get("service") or ""
        return f"{name} at {at}"

    def _check(self) -> None:
        """Refuse what would work, but not as a store."""
        url = self.url
        if self.backend == "sqlite" and (
            url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory"
        ):
            raise ConfigurationError(
                "A database in memory can't be shared by connections",
                hint="Name a file, or use the store memory:",
            )
        ignored = sorted(set(url.query) - _SQLITE) if self.backend == "sqlite" else []
        if ignored and "uri" not in url.query:
            raise ConfigurationError(
                f"SQLite has no option {ignored[0]!r}",
                hint=f"It has {', '.join(sorted(_SQLITE))}; options of tokenkeep are "
                + ", ".join(OWN),
            )
        charset = self.connect_args.get("charset", url.query.get("charset", _CHARSET))
        if self.is_mysql and str(charset).lower() != _CHARSET:
            # Others have characters that end in a quote, where quoting went wrong before.
            raise ConfigurationError(
                f"The option 'charset' is {_CHARSET}", hint="Leave it out; tables may have another"
            )
        if self.is_mysql and not url.database:
            # What is a schema elsewhere is a database in MySQL.
            self.url, self.schema = url.set(database=self.schema), None
        if (self.is_mysql or self.is_postgresql) and not (
            self.url.database or {"service", "dbname", "db", "database"} & set(url.query)
        ):
            raise ConfigurationError(
                f"The {self.backend} URL names no database",
                hint=f"Write {self.backend}://user:password@host/database",
            )

    def _fill_in(self) -> None:
        """Make each driver that is known to us end in time, and keep TLS as it was asked for."""
        whole = math.ceil(self.timeout)
        defaults: dict[str, Any] = {}
        match self.driver:
            case "pymysql":
                defaults = self._pymysql()
            case "mysqldb":
                defaults = dict.fromkeys(
                    ("connect_timeout", "read_timeout", "write_timeout"), whole
                )
            case "mysqlconnector":
                names = ("connection_timeout", "read_timeout", "write_timeout")
                defaults = dict.fromkeys(names, whole)
            case "psycopg" | "psycopg2":
                threshold = self.url.query.get("prepare_threshold")
                if threshold is not None:
                    self.url = self.url.difference_update_query(["prepare_threshold"])
                    self.connect_args["prepare_threshold"] = _threshold(threshold)
                defaults = {
                    "connect_timeout": max(2, whole),
                    "keepalives_idle": 30,
                    "keepalives_interval": 10,
                    "keepalives_count": 3,
                    "application_name": "tokenkeep",
                }
                self.connect_args.update(sql_libpq.require_auth(self._given(), self._libpq()))
            case "pg8000" | "pysqlite":
                defaults = {"timeout": self.timeout}
            case _:
                pass
        for name, value in defaults.items():
            if name not in self.url.query:
                self.connect_args.setdefault(name, value)

    def _libpq(self) -> int:
        """Return the version of libpq, as it counts."""
        module: Any = self.url.get_dialect().import_dbapi()
        found: int = (
            module.pq.version() if self.driver == "psycopg" else module.extensions.libpq_version()
        )
        return found

    def _pymysql(self) -> dict[str, Any]:
        """Put the options as PyMySQL wants them; return what it is told where they say nothing."""
        from tokenkeep.backends.sql_pymysql import connect_args

        self.url, self.connect_args = connect_args(self.url, self.connect_args)
        theirs = self._taken("init_command")
        if theirs is not None:
            self.connect_args["own_command"] = theirs
        # Who gave up must not find his write done by the server a minute later.
        half = max(1, int(self.timeout / 2))
        waits = ("innodb_lock_wait_timeout", "lock_wait_timeout")
        return {
            **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), self.timeout),
            "init_command": "SET SESSION " + ", ".join(f"{name} = {half}" for name in waits),
            "autocommit": True,  # at once, lest it takes a round trip of its own
            "program_name": "tokenkeep",
        }

    def _taken(self, name: str) -> Any:
        """Take an option of the driver out of the URL and the arguments. None if not given."""
        found = self.connect_args.pop(name, self.url.query.get(name))
        self.url = self.url.difference_update_query([name])
        return found


def _parsed(url: str) -> URL:
    scheme = scheme_of(url)
    rest = url[len(scheme) :]
    scheme = _DRIVERS.get(scheme, scheme.removeprefix("sql+"))
    try:
        parsed = make_url(scheme + rest)
        parsed.get_dialect()
    except NoSuchModuleError:
        raise UnknownName(
            f"SQLAlchemy knows no database {scheme!r}",
            hint="Write sql+ and a URL of SQLAlchemy, such as sql+oracle+oracledb://…; "
            "some databases need a package that brings their dialect",
        ) from None
    except ModuleNotFoundError as exc:
        raise _missing(exc.name, scheme) from None
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"The {scheme.partition('+')[0]} URL can't be read",
            hint="It is written scheme://user:password@host:port/database?name=value; "
            "what is special in a password is percent-encoded",
        ) from None
    return parsed


def _driver(url: URL) -> str:
    """Return the name of the driver, which has to be installed."""
    dialect = url.get_dialect()
    try:
        dialect.import_dbapi()
    except ModuleNotFoundError as exc:
        raise _missing(exc.name, url.drivername) from None
    return dialect.driver


def _missing(module: str | None, scheme: str) -> DriverMissing:
    extra = _EXTRAS.get(scheme.partition("+")[0]) if scheme in _DRIVERS.values() else None
    return DriverMissing(
        f"This kind of store needs the module {module}, which is not installed",
        hint=f"Install it: pip install 'tokenkeep[{extra}]'" if extra else f"Install {module}",
    )


def _options(url: URL) -> dict[str, object]:
    """Return the options of ours in a URL, converted."""
    found: dict[str, object] = {}
    for name, convert in OWN.items():
        value = url.query.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise ConfigurationError(f"The option {name!r} is given twice")
        try:
            found[name] = convert(value)
        except ValueError:
            raise ConfigurationError(f"The option {name!r} is not a number") from None
    return found


def _number(value: object, name: str, *, above: float = -1) -> float:
    if not isinstance(value, int | float) or not above < value <= _A_DAY:
        raise ConfigurationError(f"The option {name!r} is a number from {above + 1:g} up")
    return value


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _threshold(text: object) -> int | None:
    if text == "none":
        return None
    try:
        return int(str(text))
    except ValueError:
        raise ConfigurationError("The option 'prepare_threshold' is a number, or none") from None


def _secrets(url: URL, driver: Mapping[str, object]) -> list[str]:
    """Return what must not be in any text, the longest first."""
    options = {**url.query, **driver}
    found = {
        str(value)
        for name, value in options.items()
        if any(word in name.lower() for word in _SECRET)
    }
    if url.password:
        found.add(str(url.password))
    return sorted(filter(None, found), key=len, reverse=True)
