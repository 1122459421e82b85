"""The narrated run of everything."""

from __future__ import annotations

import click

from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import DriverMissing


@click.command()
@click.option("--keep", is_flag=True, help="Leave the folder of the run, to look around in.")
@click.option(
    "--configured",
    is_flag=True,
    help="On the configured store (TOKENKEEP_STORE), which must be empty; "
    "for a URL with a password.",
)
@pass_session
def demo(session: Session, *, keep: bool, configured: bool) -> None:
    """
    Show and check what tokenkeep does, step by step.

    On a SQLite file of its own; with --store URL on another store, which must be empty.
    """
    if configured and session.store:
        raise click.UsageError("Give --store or --configured, not both")
    try:
        from tokenkeep.config import settings
        from tokenkeep.testing.demo import main

        status = main(settings().store if configured else session.store, keep=keep)
    except ModuleNotFoundError as exc:
        raise DriverMissing(
            f"The demo needs the module {exc.name}, which is not installed",
            hint="Install it: pip install 'tokenkeep[cli,testing,zoho]'",
        ) from exc
    click.get_current_context().exit(status)
