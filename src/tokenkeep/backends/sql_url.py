"""Which database: a URL and options in, what SQLAlchemy and the driver are told out."""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tokenkeep.backends.exposure import exposure, is_here
from tokenkeep.backends.urls import SECRET_WORDS, options_of, refuse_blank, scheme_of
from tokenkeep.errors import ConfigurationError, DriverMissing, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.backends.base import Risk

TABLE = "tokenkeep"
"""The name of the table if none is given."""

OWN: dict[str, str | float] = {
    "table": TABLE,
    "schema": "",
    "timeout": 10.0,
    "pool_size": 5,
    "max_overflow": 10,
    "pool_recycle": 200,
}
"""The options that are ours, and their values if not given; all others are the driver's."""

_PLACE = {name: name for name in ("host", "port", "password", "database")} | {"user": "username"}
"""The arguments that are parts of a URL, and SQLAlchemy's names for them."""

_DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
_EXTRAS = {"mysql+pymysql": "mysql", "postgresql+psycopg": "postgres"}
_PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432}
_LABELS = {"mysql": "MySQL", "mariadb": "MariaDB", "postgresql": "PostgreSQL"}
_IN_FILES = {"sqlite", "duckdb"}

_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
_TLS = ("ssl_mode", "ssl_verify_identity", "ssl_ca", "ssl_cert", "ssl_key")
"""PyMySQL's names, and the one of MySQL's own programs."""


class Target:
    """
    A database, and how to reach it.

    Args:
        url: ``mysql://…``, ``postgresql://…`` or ``sql+`` and a URL of SQLAlchemy.
        given: What goes before it: our options, ``host``, ``port``, ``user``,
            ``password``, ``database``, and the driver's options. None means as in the URL.

    Raises:
        ConfigurationError: The URL or an option is wrong.
        UnknownName: SQLAlchemy knows no such database.
        DriverMissing: The driver is not installed.
    """

    def __init__(self, url: str, given: Mapping[str, Any] | None = None) -> None:
        said = {n: v for n, v in (given or {}).items() if v is not None}
        parsed = _parsed(url)
        self.backend: str = parsed.get_backend_name()
        self.is_mysql: bool = self.backend in {"mysql", "mariadb"}
        self._check_text(url, parsed, {n: v for n, v in said.items() if n not in _PLACE})
        parsed = parsed.set(**{_PLACE[name]: said.pop(name) for name in _PLACE if name in said})
        options = {
            name: _option(name, parsed.query.get(name), said.pop(name, None)) for name in OWN
        }
        self.table: str = options["table"]
        self.schema: str | None = options["schema"] or None
        self.timeout: float = options["timeout"]
        self.pool: dict[str, Any] = {name: options[name] for name in list(OWN)[3:]}
        self.url: URL = parsed.difference_update_query(OWN)
        self.driver: str = parsed.get_dialect().driver
        self.connect_args: dict[str, Any] = said
        whole = {**self.url.translate_connect_args(), **self.url.query, **said}
        secrets = {str(v) for n, v in whole.items() if any(w in n.lower() for w in SECRET_WORDS)}
        self.secrets: list[str] = sorted(filter(None, secrets), key=len, reverse=True)
        self._hosts: list[str] = _hosts(whole, is_libpq=self.driver.startswith("psycopg"))
        self.is_verified: bool = bool(self.backend in _IN_FILES or whole.get("unix_socket"))
        """Whether TLS or a Unix socket vouches for the server, before it is told anything."""
        self._hint: str = f"See how the driver {self.driver} is told to verify TLS"
        self._check(whole)
        self._place: str = self._placed(whole)
        if self.driver == "pymysql":
            self._tell_pymysql(whole)
        elif self.driver.startswith("psycopg"):
            self._tell_libpq(whole)
        elif self.driver == "pysqlite":
            self._tell(timeout=self.timeout / 2)

    def describe(self) -> str:
        """Say which table of which database, without a password."""
        table = f"{self.schema}.{self.table}" if self.schema else self.table
        return f"the table {table} of {self.database()}"

    def database(self) -> str:
        """Say which database, without a password."""
        return f"the {_LABELS.get(self.backend, self.backend)} database {self._place}"

    def exposure(self) -> list[Risk]:
        """Return the risk that somebody poses as the server, if there is one."""
        return exposure(self._hosts, verified=self.is_verified, hint=self._hint)

    def _check_text(self, url: str, parsed: URL, given: Mapping[str, Any]) -> None:
        """Refuse what SQLAlchemy would read in silence, though not as it is meant."""
        behind = f"{parsed.host}{parsed.database}"
        if self.backend not in _IN_FILES and ("@" in behind or url.count("@") > 1):
            # Which may be the end of a password: all between would be shown as a host.
            raise ConfigurationError(
                f"The {self.backend} URL can't be read: it has an @ behind its host",
                hint="In a password @ is written %40, / is %2F, : is %3A, ? is %3F and # is %23; "
                "an @ elsewhere is %40, too",
            )
        query = url.rpartition("@")[2].partition("?")[2]
        for name, value in (*options_of(query, self.backend), *given.items()):
            refuse_blank(name, value)

    def _check(self, given: Mapping[str, Any]) -> None:
        """Refuse what would work, but not as a store."""
        file = self.url.database
        if self.backend == "sqlite" and (self.url.query or file in {None, "", ":memory:"}):
            raise ConfigurationError(
                "By SQLAlchemy a store in SQLite has a file and no option of SQLite's",
                hint="Write sql+sqlite:///tokens.db; a database in memory can't be shared",
            )
        if self.is_mysql and str(given.get("charset", "utf8mb4")).lower() != "utf8mb4":
            # Others have characters that end in a quote, where quoting went wrong before.
            raise ConfigurationError(
                "The option 'charset' is utf8mb4", hint="Leave it out; tables may have another"
            )
        if self.backend in _PORTS and not ({"database", "dbname", "service"} & set(given)):
            raise ConfigurationError(
                f"The {self.backend} URL names no database",
                hint=f"Write {self.backend}://user:password@host/database",
            )

    def _placed(self, given: Mapping[str, Any]) -> str:
        if self.backend in _IN_FILES:
            return os.path.realpath(str(self.url.database))
        host = given.get("host") or given.get("unix_socket") or "localhost"
        hosts = host.lower() if isinstance(host, str) else ",".join(host)
        port = given.get("port") or _PORTS.get(self.backend)
        name = given.get("database") or given.get("dbname") or given.get("service")
        return f"{name} at {hosts}:{port}" if port else f"{name} at {hosts}"

    def _tell(self, **options: Any) -> None:
        """Tell the driver what it is not told already."""
        new = {n: value for n, value in options.items() if n not in self.url.query}
        self.connect_args = new | self.connect_args

    def _tell_pymysql(self, given: Mapping[str, Any]) -> None:
        context = given.get("ssl")
        tls = {name: str(given[name]) for name in _TLS if name in given}
        others = [name for name in given if name.startswith("ssl") and name not in {"ssl", *_TLS}]
        if others or (context is not None and (tls or not isinstance(context, ssl.SSLContext))):
            raise ConfigurationError(
                f"The option {(others or ['ssl'])[0]!r} of TLS can't be followed",
                hint=f"There are {', '.join(_TLS)}; or ssl, an ssl.SSLContext as an argument",
            )
        self.url = self.url.difference_update_query(_TLS)
        self.connect_args = {n: v for n, v in self.connect_args.items() if n not in _TLS}
        context = context or _context(tls)
        if context is not None:
            self.connect_args["ssl"] = context
            # Anybody has a certificate for some host, signed by a public authority.
            ours = context.check_hostname or "ssl_ca" in tls or not tls
            self.is_verified |= ours and context.verify_mode is ssl.CERT_REQUIRED
        elif tls.get("ssl_mode", "").lower() == "disabled":
            self.connect_args["ssl_disabled"] = True
        if isinstance(given.get("password"), str):  # which PyMySQL would encode in Latin-1
            self.connect_args["password"] = given["password"].encode()
        self._hint = "Add ?ssl_ca=/path/ca.pem&ssl_verify_identity=true to the URL"
        limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), self.timeout)
        self._tell(**limits, charset="utf8mb4", program_name="tokenkeep", autocommit=True)

    def _tell_libpq(self, given: Mapping[str, Any]) -> None:
        threshold = given.get("prepare_threshold")
        if threshold is not None:
            self.url = self.url.difference_update_query(["prepare_threshold"])
            if not re.fullmatch(r"none|\d+", str(threshold)):
                raise ConfigurationError("The option 'prepare_threshold' is a number, or none")
            number = None if threshold == "none" else int(threshold)
            self.connect_args["prepare_threshold"] = number
        # With the system's authorities libpq accepts no other mode than verify-full.
        self.is_verified = (
            _setting("sslmode", given) in {"verify-ca", "verify-full"}
            or _setting("sslrootcert", given) == "system"
        )
        self._hint = "Add ?sslmode=verify-full&sslrootcert=/path/ca.pem to the URL"
        self._tell(
            connect_timeout=max(2, int(self.timeout + 0.999)),
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            application_name="tokenkeep",
        )
        if self.is_verified or all(each.startswith(("/", "@")) for each in self._hosts):
            return
        ways = [each.strip() for each in _setting("require_auth", given).split(",") if each]
        if "password" in ways and not all(map(is_here, self._hosts)):
            raise ConfigurationError(
                "By require_auth the password may go to another machine in clear",
                hint="Let TLS verify the server: sslmode=verify-full&sslrootcert=/path/ca.pem",
            )
        if not ways or ways[0].startswith("!"):
            self.connect_args["require_auth"] = ",".join({*ways, "!password"})


def _parsed(url: str) -> URL:
    scheme = scheme_of(url)
    rest = url[len(scheme) :]
    scheme = _DRIVERS.get(scheme, scheme.removeprefix("sql+"))
    try:
        parsed = make_url(scheme + rest)
        parsed.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise UnknownName(
            f"SQLAlchemy knows no database {scheme!r}",
            hint="Write sql+ and a URL of SQLAlchemy, such as sql+oracle+oracledb://…; "
            "some databases need a package that brings their dialect",
        ) from None
    except ModuleNotFoundError as exc:
        what = f"'tokenkeep[{_EXTRAS[scheme]}]'" if scheme in _EXTRAS else exc.name
        raise DriverMissing(
            f"This kind of store needs the module {exc.name}, which is not installed",
            hint=f"Install {exc.name}: pip install {what}",
        ) from None
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"The {scheme.partition('+')[0]} URL can't be read",
            hint="It is written scheme://user:password@host:port/database?name=value; "
            "what is special in a password is percent-encoded",
        ) from None
    return parsed


def _option(name: str, written: object, given: object) -> Any:
    """Return the value of an option of ours: as an argument, in the URL, or else."""
    value = next((each for each in (given, written) if each is not None), OWN[name])
    if not isinstance(value, str | int | float):
        raise ConfigurationError(f"The option {name!r} is given twice")
    try:
        value = type(OWN[name])(value)
    except ValueError:
        raise ConfigurationError(f"The option {name!r} is not a number") from None
    least = {"pool_size": 1, "timeout": 0.01}.get(name, 0)
    if not isinstance(value, str) and not least <= value <= 86400:  # noqa: PLR2004 - a day
        raise ConfigurationError(f"The option {name!r} is a number from {least} to 86400")
    return value


def _setting(name: str, given: Mapping[str, Any]) -> str:
    """Return what libpq goes by, empty if nothing is said; a service file is not looked at."""
    return str(given.get(name) or os.environ.get(f"PG{name.replace('_', '').upper()}") or "")


def _hosts(given: Mapping[str, Any], *, is_libpq: bool) -> list[str]:
    """Return where a driver connects to: names, addresses, for libpq folders of Unix sockets."""
    host = given.get("host")
    if not is_libpq:
        return [str(host or "localhost")]
    listed = {"host": ",".join(host)} if isinstance(host, tuple | list) else {}
    found = _setting("hostaddr", given) or _setting("host", {**given, **listed})
    if not found:  # by default libpq takes a Unix socket
        return ["a place that a service file names" if _setting("service", given) else "/"]
    # SQLAlchemy takes several hosts with a port behind each.
    return [re.sub(r"^([^:\[\]]+):\d*$", r"\1", each.strip()) or "/" for each in found.split(",")]


def _context(options: Mapping[str, str]) -> ssl.SSLContext | None:
    """
    Return how TLS is done with MySQL. None leaves it to PyMySQL: if the server has it, unverified.

    An authority means that the server is verified, as with MySQL's programs;
    PyMySQL itself would only encrypt.
    """
    mode = options.get("ssl_mode", "preferred").lower().replace("-", "_")
    named = options.get("ssl_verify_identity", "false").lower()
    if mode not in _MODES or named not in {"true", "1", "false", "0"}:
        raise ConfigurationError(
            f"ssl_mode is one of {', '.join(_MODES)}, and ssl_verify_identity true or false"
        )
    ca, cert, key = (options.get(name) for name in ("ssl_ca", "ssl_cert", "ssl_key"))
    asked = "verify_ca" if ca else "required" if cert or key else "disabled"
    asked = max(mode, "verify_identity" if named in {"true", "1"} else asked, key=_MODES.index)
    if mode == "disabled" and asked != mode:
        raise ConfigurationError("TLS is disabled, but other options ask for it")
    if asked in {"disabled", "preferred"}:
        return None
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert or key:
            context.load_cert_chain(cert or "", key)
    except OSError as exc:
        raise ConfigurationError(
            f"The options for TLS can't be used: {exc.strerror or exc}",
            hint="ssl_ca, ssl_cert and ssl_key name files in PEM format",
        ) from None
    # MySQL's own certificates lack what Python 3.13 wants to see.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = asked == "verify_identity"
    context.verify_mode = ssl.CERT_NONE if asked == "required" else ssl.CERT_REQUIRED
    return context
