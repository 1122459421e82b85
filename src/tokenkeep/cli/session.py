"""One run of a command: the store that was named, what it prints, the common options."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len, set_cell_size  # a letter may take two places on a terminal

from tokenkeep import errors
from tokenkeep.backends import file_of
from tokenkeep.cli.secrets_in import expect_no_password
from tokenkeep.errors import visible
from tokenkeep.lookup import trimmed
from tokenkeep.policy import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tokenkeep.keeper import Keeper
    from tokenkeep.vault import Vault

_COLORS = {
    **dict.fromkeys(("ok", "confirmed"), "green"),
    **dict.fromkeys(("warning", "login_needed", "pending"), "yellow"),
    "failed": "red",
}

Columns = dict[str, int]
"""The fields of a listing, with their widths on a terminal; 0 is as wide as it is, at the end."""

_LOOKED_AT, _LEAST = 100, 8
"""Rows by which a listing is fitted to a terminal; places that its last column has in any case."""

_TOLD = ("renewal_failed: ", "login_needed: ", "unreadable: ")
"""How the log begins to tell of what a command's own result or error says too."""


@dataclass
class Session:
    """
    One run of a command: the URL of its store, None means the configured one; and how it prints.

    *json* prints JSON, *quiet* only what was asked for, *verbose* what is going on too.
    """

    store: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    _opened: Vault | None = None

    def url(self) -> str:
        """Return the URL of the store that was named, or is configured."""
        from tokenkeep.config import settings

        return self.store or settings().store

    def vault(self) -> Vault:
        """Return the store, opened once; `TokenNotFound` if it is not there."""
        if self._opened is None:
            hint = "The first tokenkeep login or import makes it; or name another one, with "
            hint += "--store or TOKENKEEP_STORE"
            self._opened = self.open_there(self.url(), "There is no store yet", hint)
        return self._opened

    def open(self, url: str, *, make: bool = False) -> Vault:
        """Open a store, made now if *make* and it is not there; the command's end closes it."""
        from tokenkeep.config import open_store

        vault = open_store(url, make=make)
        click.get_current_context().call_on_close(vault.close)
        return vault

    def open_there(self, url: str, what: str, hint: str) -> Vault:
        """Open a store; `TokenNotFound`, which says this, if it is not there."""
        if absent := missing(url):
            raise errors.TokenNotFound(f"{what}: {absent}", hint=hint)
        vault = self.open(url)
        if not vault.is_made:
            raise errors.TokenNotFound(f"{what}: nothing in {vault.backend.describe()}", hint=hint)
        return vault

    def keeper(self) -> Keeper:
        """Return what hands out the tokens of the store; as `vault`."""
        from tokenkeep.keeper import Keeper

        keeper = Keeper(self.vault())
        click.get_current_context().call_on_close(keeper.close)
        return keeper

    @property
    def draws(self) -> bool:
        """Whether listings are drawn, for a person on a terminal."""
        return sys.stdout.isatty() and not self.json

    def answer(self, text: str, facts: object) -> None:
        """Print what was asked for: a text, or the same as one JSON document, ASCII only."""
        click.echo(json.dumps(facts) if self.json else text)

    def tell(self, sentence: str, facts: object) -> None:
        """Print what was done: a sentence, not with ``--quiet``; or the same as JSON."""
        if self.json or not self.quiet:
            self.answer(visible(sentence), facts)

    def note(self, sentence: str) -> None:
        """Say something on standard error that is not the result."""
        if not self.quiet:
            click.echo(visible(sentence), err=True)

    def facts(self, found: object, words: Mapping[str, str | Sequence[str] | None]) -> None:
        """
        Print names and values, in words for people, where what is None is left out.

        What has several values has a line for each.
        """
        form = "{:22}{}" if self.draws else "{}\t{}"
        said = [
            form.format("" if at and self.draws else name, visible(word))
            for name, its in words.items()
            for at, word in enumerate([its] if isinstance(its, str) else its or ())
        ]
        self.answer("\n".join(said), found)

    def rows(self, columns: Columns, found: Iterable[Mapping[str, Any]]) -> None:
        """
        Print a listing without holding it, in JSON with all fields, else with these.

        On a terminal each has a heading: how its name begins.

        Into a pipe it is not flushed line by line: that takes longer than reading a store.
        """
        for at, each in enumerate(found):
            if self.draws and not at:
                click.echo(_drawn(columns, {name: name.partition("_")[0] for name in columns}))
            if self.json:
                line = json.dumps(each)
            elif self.draws:
                line = _drawn(columns, each)
            else:
                line = "\t".join(_cell(each[name]) for name in columns)
            sys.stdout.write(f"{line}\n")

    def fitted(
        self, columns: Columns, found: Iterable[Mapping[str, Any]], drops: Sequence[str]
    ) -> tuple[Columns, Iterable[Mapping[str, Any]]]:
        """
        Return a listing with the columns that a terminal has room for; in a pipe with all.

        Those in *drops* go first, in this order, until the last column has room for what is in
        the first hundred rows, or half of the terminal; it gets what there is.
        """
        if not self.draws:
            return columns, found
        rest, left, last = iter(found), dict(columns), list(columns)[-1]
        first = list(islice(rest, _LOOKED_AT))
        terminal = shutil.get_terminal_size().columns
        room = min(max((cell_len(_cell(each[last])) for each in first), default=0), terminal // 2)
        for name in drops:
            if _taken(left) + room > terminal:
                left.pop(name, None)
        left[last] = max(terminal - _taken(left), _LEAST)
        return left, chain(first, rest)

    @contextmanager
    def progress(self, doing: str) -> Iterator[Callable[[], None]]:
        """Show on a terminal how far something is; call what is yielded for each token."""
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

        console, numbers = Console(stderr=True), count(1)
        with Progress(
            SpinnerColumn(),
            "{task.description}",
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=self.draws,  # above the bar; what goes into a pipe must not
            disable=not console.is_terminal or self.quiet or self.json,
        ) as bar:
            task = bar.add_task(doing, total=None)
            yield lambda: bar.update(task, description=f"{doing}, {next(numbers):,} tokens")


def missing(url: str) -> str | None:
    """Say which file a URL is taken for, where there is none. None: it is there, or no file's."""
    path = file_of(url)
    try:
        if path is None or path.lstat():
            return None
    except PermissionError:
        return None  # opening it says so
    except OSError:
        pass
    return f"no file {path}"


def _taken(columns: Columns) -> int:
    """Return how wide all columns but the open one are, with the blanks between them."""
    return sum(width + 1 for width in columns.values() if width)


def _cell(value: object) -> str:
    return "" if value is None else visible(str(value))


def _drawn(columns: Columns, row: Mapping[str, Any]) -> str:
    """Return a row for people: each field cut to its column, times in words."""
    line = ""
    for name, width in columns.items():
        is_time = name.endswith("_in") and not isinstance(row[name], str)
        cell = _cell(time_left(row[name]) if is_time else row[name])
        if width and cell_len(cell) > width:  # an id is known by how it begins
            is_id = name.endswith("id")
            cell = set_cell_size(cell, width if is_id else width - 1) + ("" if is_id else "~")
        color = None if "NO_COLOR" in os.environ else _COLORS.get(cell)
        padded = cell + " " * (width - cell_len(cell))
        line += (click.style(padded, fg=color) if color else padded) + " "
    return line.rstrip()


@contextmanager
def told_last() -> Iterator[list[errors.TokenKeepError]]:
    """Yield a list for errors of single tokens; at the end the first one is raised."""
    troubles: list[errors.TokenKeepError] = []
    yield troubles
    if len(troubles) > 1:
        troubles[0].what += f"; and {len(troubles) - 1:,} more"
    if troubles:
        raise troubles[0]


def counted(number: int, one: str, several: str) -> str:
    """Return a number with what is counted: "1 token needs", "2 tokens need"."""
    return f"{number:,} {one if number == 1 else several}"


def listed(counts: Mapping[str, int]) -> str:
    """Return what was counted: "3 new, 1 failed"; nothing of what there is none of."""
    return ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)


def time_left(seconds: float | None) -> str | None:
    """Return a time span in words, rounded down. None for None."""
    if seconds is None or seconds <= 0:
        return None if seconds is None else "expired"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 2 or (seconds >= size and unit == "min"):
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def span(text: str) -> float:
    """Return an option's time span in seconds."""
    try:
        return seconds_of(text)
    except errors.ConfigurationError as exc:
        raise click.BadParameter(str(exc)) from exc


def pass_session(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its session as the first argument; tokenkeep's log speaks as it does."""

    @wraps(command)
    def run(*args: Any, **given: Any) -> None:
        session = click.get_current_context().ensure_object(Session)
        logger = logging.getLogger("tokenkeep")
        if not logger.handlers:
            logger.addHandler(_Handler())
            logger.propagate = False
        level = logging.INFO if session.verbose else logging.WARNING
        logger.setLevel(logging.ERROR if session.quiet else level)
        command(session, *args, **given)

    return run


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = visible(record.getMessage())
        if not text.startswith(_TOLD) or logging.getLogger("tokenkeep").level <= logging.INFO:
            click.echo(f"tokenkeep: {text}", err=True)


def filled(text: str) -> str:
    """Return an option trimmed; a variable that is not set must not choose among all."""
    if not trimmed(text):
        raise click.BadParameter("It is empty")
    return trimmed(text)


def _take(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Put a common option into the session, before a command's name as well as behind it."""
    if value and param.name == "store":
        expect_no_password(value, "Put the URL into TOKENKEEP_STORE")
    if value:
        setattr(ctx.ensure_object(Session), str(param.name), value)


def _common(*names: str, **given: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_take, **given)


COMMON_OPTIONS: tuple[click.Option, ...] = (
    _common(
        "--store",
        metavar="URL",
        help="Where the tokens are, such as sqlite:///tokens.db. Else TOKENKEEP_STORE, "
        "the configuration file, or a database in the user's data folder.",
    ),
    _common("--json", is_flag=True, help="Print JSON."),
    _common("-q", "--quiet", is_flag=True, help="Print only what was asked for."),
    _common("-v", "--verbose", is_flag=True, help="Print what is going on too."),
)
"""The options of all commands."""
