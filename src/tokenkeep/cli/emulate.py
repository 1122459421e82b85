"""To try things with, on this machine: an emulated Zoho, and a narrated run of everything."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from tokenkeep.backends import private_file
from tokenkeep.cli.login import REDIRECT
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.config import CONFIG, STORE
from tokenkeep.keys import KEY_FILE

if TYPE_CHECKING:
    from tokenkeep.testing import ZohoEmulator


@click.command()
@click.option("--port", type=click.IntRange(0, 65_528), help="The first of eight.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where configuration, secret and tokens go, and stay. Else one removed at the end.",
)
@pass_session
def emulate(session: Session, *, port: int | None, folder: Path | None) -> None:
    """
    Run a Zoho emulator until Ctrl-C, and say how to use it.

    Nothing here reaches Zoho. Every person, client and token in it is made up. It has the
    data centres us and eu.
    """
    from tokenkeep.testing import ZohoEmulator, serve

    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokenkeep-")))
        zoho = ZohoEmulator(["us", "eu"], port=port, redirect_uris=[REDIRECT])
        zoho.add_user("ana@example.com", zgid="6000123")
        serve(zoho, partial(announce, session, folder.absolute()))


def announce(session: Session, folder: Path, zoho: ZohoEmulator) -> None:
    """Write the new files that make tokenkeep use the emulator, for the owner alone; say so."""
    from tokenkeep.testing import emulator_configuration

    config, secret = folder / "config.toml", folder / "client_secret"
    private_file.make_folder(folder)
    for path, text in (
        (secret, f"{zoho.client.client_secret}\n"),
        (config, emulator_configuration(zoho)),
    ):
        with private_file.appearing(path) as file:
            file.write(text)
    variables = {
        CONFIG: str(config),
        STORE: f"sqlite:///{quote(str(folder / 'tokens.db'))}",
        KEY_FILE: str(folder / "keys"),
        "TOKENKEEP_CLIENT_ID": zoho.client.client_id,
    }
    servers = {name: zoho[name].accounts_url for name in zoho.data_centers}
    users = [user.name for user in zoho.users]
    lines = [
        "# A Zoho emulator runs until Ctrl-C. In another terminal:",
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
        f"tokenkeep login --client-secret-file {shlex.quote(str(secret))}",
        f"# Accounts servers: {', '.join(servers.values())}",
        f"# People: {', '.join(users)}",
    ]
    facts = {
        "environment": variables,
        "client_secret_file": str(secret),
        "accounts_servers": servers,
        "users": users,
    }
    session.answer("\n".join(lines), facts)


@click.command()
@pass_session
def demo(_: Session) -> None:
    """Show and check what tokenkeep does, step by step, on a SQLite file of its own."""
    from tokenkeep.testing.demo import main

    click.get_current_context().exit(main())
