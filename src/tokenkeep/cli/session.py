"""What every command has: the store that was named, and how to print."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from tokenkeep.backends import file_of
from tokenkeep.cli.output import Printer, visible
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
class Session(Printer):
    """
    One run of a command; the common options end here.

    Args:
        store: The URL of the store. None means the configured one.
    """

    store: str | None = None
    _opened: Vault | None = None

    def url(self) -> str:
        """Return the URL of the store that was named, or is configured."""
        from tokenkeep.config import settings

        return self.store or settings().store

    def vault(self, *, make: bool = False) -> Vault:
        """Return the store, opened once; *make* as for `open_there`."""
        if self._opened is None:
            hint = "The first tokenkeep login or import makes it; or name another one, with "
            hint += "--store or TOKENKEEP_STORE"
            self._opened = open_there(self.url(), "There is no store yet", hint, make=make)
        return self._opened

    def keeper(self, *, make: bool = False) -> Keeper:
        """Return what hands out the tokens of the store; *make* as for `open_there`."""
        from tokenkeep.keeper import Keeper

        return Keeper(self.vault(make=make))


def open_there(url: str, missing: str, hint: str, *, make: bool = False) -> Vault:
    """
    Open a store, which is closed when the command ends.

    Raises:
        TokenNotFound: It is not there, and *make* does not let it be made; the error says
            *missing* and *hint*.
    """
    from tokenkeep.config import open_store

    if not make and not exists(url):
        raise TokenNotFound(f"{missing}: no file {file_of(url)}", hint=hint)
    opened = open_store(url, make=make)
    click.get_current_context().call_on_close(opened.close)
    if not opened.is_made:
        raise TokenNotFound(f"{missing}: nothing in {opened.backend.describe()}", hint=hint)
    return opened


def exists(url: str) -> bool:
    """Tell whether there is a store at a URL, as far as that is seen without opening it."""
    path = file_of(url)
    try:
        return path is None or path.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # opening it says what is in the way


def pass_session(command: Callable[Concatenate[Session, _P], _R]) -> Callable[_P, _R]:
    """Give a command its session as the first argument; tokenkeep's log speaks as it does."""

    @wraps(command)
    def run(*args: _P.args, **given: _P.kwargs) -> _R:
        session = click.get_current_context().ensure_object(Session)
        logger = logging.getLogger("tokenkeep")
        if not logger.handlers:
            logger.addHandler(_Handler())
            logger.propagate = False
        level = {0: logging.WARNING, 1: logging.INFO}.get(session.verbose, logging.DEBUG)
        logger.setLevel(logging.ERROR if session.quiet else level)
        return command(session, *args, **given)

    return run


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = record.args if isinstance(record.args, tuple) else ()
        # A command's own result or error says the same; of what a sweep can't read, nothing does.
        told = event[:1] in {("renewal_failed",), ("login_needed",), ("revocation_pending",)} or (
            event[:1] == ("unreadable",) and event[-1]
        )
        if not told or logging.getLogger("tokenkeep").level <= logging.INFO:
            click.echo(f"tokenkeep: {visible(record.getMessage())}", err=True)


def _take(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Put a common option into the session, before a command's name as well as behind it."""
    if value and param.name == "store":
        expect_no_password(value, "Put the URL into TOKENKEEP_STORE")
    if value:
        setattr(ctx.ensure_object(Session), str(param.name), value)


def _common(*names: str, **given: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_take, **given)


def store_option(*names: str) -> click.Option:
    """Return the option that names the store."""
    text = "Where the tokens are, such as sqlite:///tokens.db. Else TOKENKEEP_STORE, "
    text += "the configuration file, or a database in the user's data folder."
    return _common("store", *names, metavar="URL", help=text)


COMMON_OPTIONS: tuple[click.Option, ...] = (
    store_option("--store"),
    _common("--json", is_flag=True, help="Print JSON."),
    _common("-q", "--quiet", is_flag=True, help="Print only what was asked for."),
    _common("-v", "--verbose", count=True, help="Print what is going on too; twice for more."),
)
"""The options of all commands."""
