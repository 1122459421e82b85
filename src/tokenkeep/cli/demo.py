"""The narrated run of everything."""

from __future__ import annotations

import click

from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import DriverMissing


@click.command()
@click.option("--keep", is_flag=True, help="Leave the folder of the run, to look around in.")
@pass_session
def demo(session: Session, *, keep: bool) -> None:
    """Show and check what tokenkeep does, step by step, on a SQLite file of its own."""
    if session.store:
        raise click.UsageError("The demo has a store of its own: leave --store out")
    try:
        from tokenkeep.testing.demo import main
    except ModuleNotFoundError as exc:
        raise DriverMissing(
            f"The demo needs the module {exc.name}, which is not installed",
            hint="Install it: pip install 'tokenkeep[cli,zoho]'",
        ) from exc
    click.get_current_context().exit(main(keep=keep))
