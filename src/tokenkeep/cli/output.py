"""What commands print: for people on a terminal, for programs in a pipe, or as JSON."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import click

from tokenkeep import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_NARROWEST = 12
_PAGE = 200
"""Rows drawn at once on a terminal; more than that are never held."""

_NAMED = 10
"""How many ids an error names at most."""

_LONG = 2.0
"""Seconds after which something takes long."""

_STYLES = {"ok": "green", "warning": "yellow", "login_needed": "yellow", "failed": "red"}

Columns = dict[str, int | None]
"""The fields of a listing, with their widths on a terminal; None shares what is left over."""


@dataclass
class Printer:
    """
    How one run of a command prints.

    Args:
        json: Whether to print JSON.
        quiet: Whether to print only what was asked for.
        verbose: Above 0, what is going on is printed too.
    """

    json: bool = False
    quiet: bool = False
    verbose: int = 0

    def tell(self, sentence: str, facts: object) -> None:
        """Print what was done: a sentence, not with ``--quiet``; or the same as JSON."""
        if self.json:
            document(facts)
        elif not self.quiet:
            click.echo(visible(sentence))

    def note(self, sentence: str) -> None:
        """Say something on standard error that is not the result."""
        if not self.quiet:
            click.echo(visible(sentence), err=True)

    def facts(self, found: Mapping[str, Any], words: Mapping[str, Any] | None = None) -> None:
        """Print names and values, in words for people; what is None is left out."""
        if self.json:
            document(found)
            return
        for name, value in (words or found).items():
            if value is not None:
                start = f"{name.replace('_', ' '):22}" if is_terminal() else f"{name}\t"
                click.echo(start + visible(str(value)))

    def rows(
        self, columns: Columns, found: Iterable[Mapping[str, Any]], page: int = _PAGE
    ) -> None:
        """
        Print a listing without holding it.

        Nor is it flushed line by line: that takes longer than reading a store.

        Args:
            columns: The fields that are shown; in JSON it is all of them.
            found: What is listed; None is shown as nothing.
            page: How many rows are drawn at once on a terminal.
        """
        if is_terminal() and not self.json:
            rows = iter(found)
            for first in range(0, sys.maxsize, page):
                if not (drawn := list(islice(rows, page))):
                    break
                _draw(columns, drawn, heading=first == 0)
            return
        for each in found:
            line = json.dumps(each) if self.json else "\t".join(_cell(each[n]) for n in columns)
            sys.stdout.write(f"{line}\n")

    @contextmanager
    def progress(self, doing: str) -> Iterator[Callable[[float | None], None]]:
        """
        Show a bar on a terminal, on standard error, where it takes long, until the block ends.

        Yields:
            What to call for each token, with the part of all that is done now,
            from 0 to 1; None if it is not known.
        """
        if not sys.stderr.isatty() or self.quiet or self.json:
            yield lambda _part: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TimeElapsedColumn

        bar = Progress(
            "{task.description}",
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=is_terminal(),  # above the bar; what goes into a pipe must not
        )
        task, numbers = bar.add_task(doing, total=None), count(1)

        def move(part: float | None) -> None:
            said, total = f"{doing}, {next(numbers):,} tokens", None if part is None else 1.0
            bar.update(task, description=said, completed=part, total=total)

        timer = threading.Timer(_LONG, bar.start)
        timer.start()
        try:
            yield move
        finally:
            timer.cancel()
            timer.join()
            bar.stop()


def visible(text: str) -> str:
    """Return a text as `errors.visible` does, and what the output's encoding lacks likewise."""
    encoding = sys.stdout.encoding or "utf-8"  # click writes UTF-8 where that is ASCII
    return errors.visible(text).encode(encoding, "backslashreplace").decode(encoding)


def is_terminal() -> bool:
    """Whether a person is reading standard output."""
    return sys.stdout.isatty()


def document(value: object) -> None:
    """Print one JSON document on a line of its own, ASCII only."""
    click.echo(json.dumps(value))


def _cell(value: object) -> str:
    return "" if value is None else errors.visible(str(value))


def _draw(columns: Columns, page: Iterable[Mapping[str, Any]], *, heading: bool) -> None:
    """Draw some rows of a listing; times are words, and of ids only as much as fits."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, table = Console(), Table.grid(padding=(0, 1, 0, 0))
    widths = columns.values()
    rest = console.width - sum(1 + (width or 0) for width in widths)
    share = max(_NARROWEST, rest // max(1, [*widths].count(None)))
    for width in widths:
        table.add_column(width=width or share, overflow="fold")
    if heading:
        table.add_row(*(Text(name.replace("_", " "), style="bold") for name in columns))
    for each in page:
        words = {n: time_left(each[n]) if n.endswith("_in") else each[n] for n in columns}
        cells = [_cell(value)[: columns[n] if n == "id" else None] for n, value in words.items()]
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in cells))
    console.print(table)


def together(troubles: Sequence[errors.TokenKeepError]) -> errors.TokenKeepError:
    """Return the first of the errors of several tokens, which names the others from now on."""
    ids = list(dict.fromkeys(str(each.token_id) for each in troubles))
    first = troubles[0]
    if len(ids) > 1:
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        named = f"{len(ids)} stored tokens do not open: {', '.join(ids[:_NAMED])}{more}"
        first.what = f"{named}. Of the first: {first.what}"
    return first


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


def part_before(token_id: str | None) -> float | None:
    """
    Return which part of a store's tokens come before an id, from 0 to 1.

    Ids are random, and stores are read in their order: that tells it without counting them
    first. None if this is not an id that tokenkeep made.
    """
    try:
        return int((token_id or "").removeprefix("tk_")[:8], 16) / 16**8
    except ValueError:
        return None
