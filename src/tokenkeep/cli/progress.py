"""How far a command is that reads many tokens: a bar on a terminal, nothing anywhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokenkeep.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.cli.session import Session

_DIGITS = 8
"""Of an id; more say nothing that a bar could show."""


@contextmanager
def shown(session: Session, doing: str) -> Iterator[Callable[[int, float | None], None]]:
    """
    Show how far a command is, on standard error, until the block ends.

    Args:
        session: With ``--quiet`` or ``--json`` nothing is shown.
        doing: What it does, as one word.

    Yields:
        What to call with the number of tokens done, and the part of all that
        is, from 0 to 1; None if it is not known.
    """
    if not sys.stderr.isatty() or session.verbosity < 0 or session.json:
        yield lambda _count, _part: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]:,} tokens"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        # What is printed meanwhile goes above the bar; into a pipe it must not.
        redirect_stdout=output.is_terminal(),
    ) as progress:
        task = progress.add_task(doing, total=None, count=0)

        def move(count: int, part: float | None) -> None:
            total = None if part is None else 1.0
            progress.update(task, count=count, completed=part or 0.0, total=total)

        yield move


def part_before(token_id: str | None) -> float | None:
    """
    Return which part of a store's tokens come before an id, from 0 to 1.

    Ids are random, and stores are read in their order: that tells it without
    counting them first.

    Returns:
        None if this is not an id that tokenkeep made.
    """
    digits = (token_id or "").removeprefix("tk_")[:_DIGITS]
    try:
        return int(digits, 16) / 16 ** len(digits) if len(digits) == _DIGITS else None
    except ValueError:
        return None
