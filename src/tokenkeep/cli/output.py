"""What commands print: for people on a terminal, for programs in a pipe, or as JSON."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tokenkeep import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NARROWEST = 12

_PAGE = 200
"""Rows drawn at once on a terminal; more than that are never held."""


def is_terminal() -> bool:
    """Whether a person is reading standard output."""
    return sys.stdout.isatty()


def visible(text: object) -> str:
    r"""
    Return a text without anything that a terminal or a program would act on, or can't show.

    Names come from providers and databases: control characters, tabs and
    line breaks in them are shown as ``\x1b``, ``\t`` and the like, and so is
    what the encoding of the output does not have: ``\u0141``.
    """
    shown = errors.visible(str(text))
    encoding = sys.stdout.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def document(value: object) -> None:
    """Print one JSON document on a line of its own, ASCII only."""
    click.echo(json.dumps(value))


def facts(found: Mapping[str, Any]) -> None:
    """Print names and values; what is None is left out."""
    rows = [(name, visible(value)) for name, value in found.items() if value is not None]
    if not is_terminal():
        for name, value in rows:
            click.echo(f"{name}\t{value}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name.replace("_", " "), style="bold"), Text(value))
    Console().print(table)


def rows(columns: Mapping[str, int | None], lines: Iterable[Sequence[object]]) -> None:
    """
    Print a table without holding it: a page at a time on a terminal, else tab-separated.

    Args:
        columns: Heading and width of each column on a terminal; None is
            the width that is left over.
        lines: What goes into them; None is shown as nothing.
    """
    if not is_terminal():
        for line in lines:
            click.echo("\t".join("" if cell is None else visible(cell) for cell in line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, rest, first = Console(), iter(lines), True
    rest_width = console.width - sum(1 + (width or 0) for width in columns.values())
    while page := list(islice(rest, _PAGE)):
        table = Table(box=None, show_header=first, header_style="bold", padding=(0, 1, 0, 0))
        for heading, width in columns.items():
            table.add_column(heading, width=width or max(_NARROWEST, rest_width), overflow="fold")
        for line in page:
            table.add_row(*(Text("" if cell is None else visible(cell)) for cell in line))
        console.print(table)
        first = False


def counted(number: int, one: str, several: str) -> str:
    """Return a number with what is counted: "1 token needs", "2 tokens need"."""
    return f"{number} {one if number == 1 else several}"


def time_left(seconds: float | None) -> str | None:
    """Return a time span in words, rounded down. None for None."""
    if seconds is None:
        return None
    if seconds <= 0:
        return "expired"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 2 or (seconds >= size and unit == "min"):
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
