"""The command that looks whether everything is in order."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tokenkeep.cli import output
from tokenkeep.cli.checks import examine
from tokenkeep.cli.session import Session, log_to_stderr, pass_session

if TYPE_CHECKING:
    from tokenkeep.cli.checks import Check

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command()
@pass_session
def doctor(session: Session) -> None:
    """
    Look whether everything is in order.

    The store, its keys, who can read them, what is left to do, the provider
    and the clock. Exits with 1 if a check failed. Nothing is changed, except
    that opening a store takes away rights that others have to it.
    """
    log_to_stderr(session.verbosity)
    failed = False
    for check in examine(session.store, os.environ):
        failed = failed or check.state == "failed"
        if session.json:
            output.document(asdict(check))
        elif session.verbosity >= 0 or check.state != "ok":
            tell(check)
    click.get_current_context().exit(1 if failed else 0)


def tell(check: Check) -> None:
    """Print one line, and what to do in another."""
    state, text = check.state, f"{output.visible(check.name)}: {output.visible(check.text)}"
    if not output.is_terminal():
        cells = (state, check.name, check.text, check.hint or "")
        click.echo("\t".join(map(output.visible, cells)))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text.assemble((f"{state:8}", _COLORS[state]), text), soft_wrap=True)
    if check.hint:
        console.print(Text(f"        {output.visible(check.hint)}", style="dim"), soft_wrap=True)
