"""What every command has: the store that was named, and how to print."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from tokenkeep.backends import file_of
from tokenkeep.cli import output
from tokenkeep.cli.secrets_in import expect_no_password
from tokenkeep.errors import TokenNotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate

    from tokenkeep.keeper import Keeper
    from tokenkeep.vault import Vault

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass
class Session:
    """
    One run of a command; the common options end here.

    Args:
        store: The URL of the store. None means the configured one.
        json: Whether to print JSON.
        verbosity: Below 0 only what was asked for, above 0 what is going on too.
    """

    store: str | None = None
    json: bool = False
    verbosity: int = 0
    _opened: Vault | None = None

    def vault(self, *, make: bool = False) -> Vault:
        """
        Return the store, opened once; closed when the command ends.

        Args:
            make: Whether to make it if it is not there.

        Raises:
            TokenNotFound: It is not there, and is not to be made.
        """
        from tokenkeep.config import open_store, settings

        if self._opened is None:
            log_to_stderr(self.verbosity)
            url = self.store or settings().store
            if not make and not exists(url):
                raise _no_store(f"no file {file_of(url)}")
            self._opened = open_store(url, make=make)
            click.get_current_context().call_on_close(self._opened.close)
            if not self._opened.is_made:
                raise _no_store(f"nothing in {self._opened.backend.describe()}")
        return self._opened

    def keeper(self, *, make: bool = False) -> Keeper:
        """Return what hands out the tokens of the store; *make* as for `vault`."""
        from tokenkeep.keeper import Keeper

        return Keeper(self.vault(make=make))

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()

    def tell(self, sentence: str, facts: object) -> None:
        """
        Print what was done.

        Args:
            sentence: For people; not printed with ``--quiet``.
            facts: The same as JSON.
        """
        if self.json:
            output.document(facts)
        elif self.verbosity >= 0:
            click.echo(output.visible(sentence))

    def note(self, sentence: str) -> None:
        """Say something on standard error that is not the result."""
        if self.verbosity >= 0:
            click.echo(output.visible(sentence), err=True)


def exists(url: str) -> bool:
    """Tell whether there is a store at a URL, as far as that is seen without opening it."""
    path = file_of(url)
    if path is None:
        return True
    try:
        return path.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # opening it says what is in the way


def _no_store(what: str) -> TokenNotFound:
    return TokenNotFound(
        f"There is no store yet: {what}",
        hint="The first tokenkeep login or import makes it; or name another one, with --store or "
        "TOKENKEEP_STORE",
    )


def pass_session(command: Callable[Concatenate[Session, _P], _R]) -> Callable[_P, _R]:
    """Give a command its session as the first argument."""
    return click.make_pass_decorator(Session, ensure=True)(command)


def log_to_stderr(verbosity: int) -> None:
    """Let tokenkeep's log speak as the command does."""
    logger = logging.getLogger("tokenkeep")
    if not logger.handlers:
        logger.addHandler(_Handler())
        logger.propagate = False
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    logger.setLevel(levels.get(verbosity, logging.DEBUG))


_TOLD = ("renewal_failed", "login_needed", "revocation_pending")
"""Events that a command's own result or error tells as well."""


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if (event in _TOLD or _is_raised(record)) and logging.getLogger(
            "tokenkeep"
        ).level > logging.INFO:
            return
        click.echo(f"tokenkeep: {output.visible(record.getMessage())}", err=True)


def _is_raised(record: logging.LogRecord) -> bool:
    """Tell whether an event is of an answer that an error is about, too; a sweep's has none."""
    return isinstance(record.args, tuple) and "unreadable" in record.args and bool(record.args[-1])


def _set(name: str, value: Any) -> None:
    setattr(click.get_current_context().ensure_object(Session), name, value)


def _store(ctx: click.Context, param: click.Parameter, value: str | None) -> None:  # noqa: ARG001  # click's signature
    if value is None:
        return
    expect_no_password(value, "Put the URL into TOKENKEEP_STORE")
    _set("store", value)


def _json(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001  # click's signature
    if value:
        _set("json", value)


def _quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001  # click's signature
    if value:
        _set("verbosity", -1)


def _verbose(ctx: click.Context, param: click.Parameter, value: int) -> None:  # noqa: ARG001  # click's signature
    if value:
        _set("verbosity", value)


COMMON_OPTIONS: tuple[click.Option, ...] = (
    click.Option(
        ["--store"],
        metavar="URL",
        expose_value=False,
        callback=_store,
        help="Where the tokens are, such as sqlite:///tokens.db. Else TOKENKEEP_STORE, "
        "the configuration file, or a database in the user's data folder.",
    ),
    click.Option(["--json"], is_flag=True, expose_value=False, callback=_json, help="Print JSON."),
    click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_quiet,
        help="Print only what was asked for.",
    ),
    click.Option(
        ["-v", "--verbose"],
        count=True,
        expose_value=False,
        callback=_verbose,
        help="Print what is going on too; twice for more.",
    ),
)
"""The options of all commands; taken before a command's name as well as behind it."""
