"""What the demo says: plain text, or with colours where a terminal and rich are there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ClaimFailed(Exception):
    """Something the demo claims is not so."""


class Result(NamedTuple):
    """
    A row of the summary.

    Args:
        claim: What should be so.
        seen: What was seen.
        ok: Whether it is so. None if it is no claim, but seen beside one.
    """

    claim: str
    seen: str
    ok: bool | None

    @property
    def verdict(self) -> str:
        """``ok`` in a word."""
        return {True: "yes", False: "NO", None: "-"}[self.ok]


class Narrator:
    """Tell the story on standard output, and remember what was claimed."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._step = 0
        self._console = _console()

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._step += 1
        self._write(f"\n{self._step}. {title}", style="bold")

    def say(self, text: str) -> None:
        """Say something."""
        self._write(f"   {text}")

    def rows(self, rows: Iterable[Sequence[str]]) -> None:
        """Say something in columns."""
        for line in _aligned(rows):
            self._write(f"     {line}", style="dim")

    def compare(self, what: str, seen: str) -> None:
        """Note something that is not claimed: how others do."""
        self.results.append(Result(what, seen, None))
        self._write(f"   --  {what}: {seen}", style="yellow")

    def claim(self, claim: str, seen: str, *, ok: bool) -> None:
        """
        Claim something.

        Args:
            claim: What should be so.
            seen: What was seen.
            ok: Whether it is so.

        Raises:
            ClaimFailed: It is not.
        """
        self.results.append(Result(claim, seen, ok))
        self._write(f"   {'ok' if ok else 'NO'}  {claim}: {seen}", style="green" if ok else "red")
        if not ok:
            raise ClaimFailed(f"{claim}: {seen}")

    def summary(self, seconds: float) -> None:
        """
        Print all results.

        Args:
            seconds: How long it took.
        """
        claims = [result for result in self.results if result.ok is not None]
        good = sum(result.ok is True for result in claims)
        self._write(f"\n{good} of {len(claims)} claims hold, {seconds:.0f} s\n", style="bold")
        self._table(("claim", "seen", "ok"), [(r.claim, r.seen, r.verdict) for r in self.results])

    def commands(self, title: str, lines: Iterable[str]) -> None:
        """Print commands, each on a line that can be copied."""
        self._write(f"\n{title}\n")
        for line in lines:
            self._write(f"  {line}")

    def broken(self, reason: str) -> None:
        """Note that a step could not be played to its end."""
        if self._step:
            self.results.append(Result(f"Step {self._step}", reason, ok=False))

    def failed(self, reason: str) -> None:
        """Say why it ended early."""
        self._write(f"\nThe demo failed: {reason}", style="bold red")

    def _table(self, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        if self._console is None:
            for line in _aligned([header, tuple("-" * len(name) for name in header), *rows]):
                self._write(line)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(*header)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table)

    def _write(self, text: str, style: str = "") -> None:
        if self._console is not None:
            self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as lines of columns."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _console() -> Any:
    """Return rich's console. None without rich, or where nobody looks."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    return Console()
