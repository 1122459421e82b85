"""The narrated run of everything."""

from __future__ import annotations

import click

from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import DriverMissing


@click.command()
@click.option("--keep", is_flag=True, help="Leave the folder of the run, to look around in.")
@pass_session
def demo(session: Session, *, keep: bool) -> None:
    """Show and check what tokenkeep does, step by step."""
    try:
        from tokenkeep.testing.demo import main

        status = main(session.store, keep=keep)
    except ModuleNotFoundError as exc:
        raise DriverMissing(
            f"The demo needs the module {exc.name}, which is not installed",
            hint="Install it: pip install 'tokenkeep[cli,testing,zoho]'",
        ) from exc
    click.get_current_context().exit(status)
