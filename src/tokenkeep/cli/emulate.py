"""A Zoho to try things with, on this machine."""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from tokenkeep.backends import owned
from tokenkeep.cli import output
from tokenkeep.cli.keys import write_new
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.config import CONFIG, STORE
from tokenkeep.errors import ConfigurationError
from tokenkeep.keys import KEY_FILE

if TYPE_CHECKING:
    from tokenkeep.testing import ZohoEmulator

DATA_CENTERS = ("us", "eu")
REDIRECT_URIS = ("http://127.0.0.1:8417/callback", "http://localhost:8417/callback")


@click.command()
@click.option(
    "--data-center", "data_centers", multiple=True, default=DATA_CENTERS, show_default=True,
    metavar="NAME", help="Which ones; may be given several times.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65_532), help="The first of four for each data centre."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where configuration, secret and tokens go. Else a folder that is removed at the end.",
)
@pass_session
def emulate(
    session: Session, data_centers: tuple[str, ...], port: int | None, folder: Path | None
) -> None:
    """
    Run a Zoho emulator until Ctrl-C, and say how to use it.

    Nothing here reaches Zoho. Every person, client and token in it is made up.
    """
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokenkeep-")))
        where = folder.absolute()
        run(data_centers, port, lambda zoho: announce(session, zoho, where))


def run(data_centers: tuple[str, ...], port: int | None, ready: Any) -> None:
    """
    Run the emulator in the foreground.

    Args:
        data_centers: Their names.
        port: The first port. None means free ones.
        ready: Called with the emulator once it answers.

    Raises:
        ConfigurationError: It can't run like this.
    """
    try:
        from tokenkeep.testing import ZohoEmulator, serve

        serve(ZohoEmulator(data_centers, port=port, redirect_uris=REDIRECT_URIS), ready)
    except OSError as exc:
        if exc.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise ConfigurationError(
            f"The emulator can't have port {port} and those behind it: {os.strerror(exc.errno)}",
            hint="Name another one with --port, or none",
        ) from exc
    except ValueError as exc:
        raise ConfigurationError(f"The emulator can't run like this: {exc}") from exc


def announce(session: Session, zoho: ZohoEmulator, folder: Path) -> None:
    """Write the files that make tokenkeep use the emulator, and say so."""
    facts = prepare(zoho, folder)
    if session.json:
        output.document(facts)
        return
    click.echo("# A Zoho emulator runs until Ctrl-C. In another terminal:")
    for name, value in facts["environment"].items():
        click.echo(f"export {name}={shlex.quote(value)}")
    secret = shlex.quote(facts["client_secret_file"])
    click.echo(f"tokenkeep login --client-secret-file {secret}")
    click.echo("# Accounts servers: " + ", ".join(facts["accounts_servers"].values()))
    click.echo("# People: " + ", ".join(facts["users"]))


def prepare(zoho: ZohoEmulator, folder: Path) -> dict[str, Any]:
    """
    Write configuration and client secret, each for the owner alone.

    Those of an earlier run are replaced, unless somebody changed them since.

    Returns:
        What there is and where; no secret.

    Raises:
        ConfigurationError: There are other files of these names, or they
            can't be written.
    """
    try:
        owned.make_folder(folder)
    except OSError as exc:
        raise ConfigurationError(f"{folder} can't be made: {exc.strerror}") from exc
    from tokenkeep.testing import emulator_configuration

    store = f"sqlite:///{quote(str(folder / 'tokens.db'))}"
    config, secret = folder / "config.toml", folder / "client_secret"
    tables, text = emulator_configuration(zoho), f"{zoho.client.client_secret}\n"
    if _is_ours(config, secret):
        config.unlink()
        secret.unlink()
    elif taken := [path for path in (config, secret) if path.exists()]:
        raise ConfigurationError(
            f"There is a file {taken[0]} already, and the emulator's files here are not as it "
            "wrote them; it is left as it is",
            hint="Name another folder",
        )
    write_new(config, f"{_mark(tables, text)}\n{tables}")
    write_new(secret, text)
    return {
        "environment": {
            CONFIG: str(config),
            STORE: store,
            KEY_FILE: str(folder / "keys"),
            "TOKENKEEP_CLIENT_ID": zoho.client.client_id,
        },
        "client_secret_file": str(secret),
        "accounts_servers": {name: zoho[name].accounts_url for name in zoho.data_centers},
        "users": [user.name for user in zoho.users],
        "pid": os.getpid(),
    }


def _mark(tables: str, secret: str) -> str:
    """Return the line by which both files are known to be as they were written."""
    seen = hashlib.sha256(f"{tables}\0{secret}".encode()).hexdigest()
    return f"# Written by 'tokenkeep emulate', which replaces it while it is unchanged: {seen}"


def _is_ours(config: Path, secret: Path) -> bool:
    """Whether both files are as an earlier run wrote them."""
    try:
        mark, _, tables = config.read_text(encoding="utf-8").partition("\n")
        return mark == _mark(tables, secret.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
