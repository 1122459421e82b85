"""The command that takes over the tokens of the official SDK's stores."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import output, secrets_in
from tokenkeep.cli.copying import merging
from tokenkeep.cli.places import open_or_imagine, password_of, store_url, url_named
from tokenkeep.cli.session import COMMON_OPTIONS, Session, log_to_stderr, pass_session
from tokenkeep.lookup import trimmed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.moving import Defaults, OfficialSource, Step
    from tokenkeep.vault import Vault

COLUMNS: Mapping[str, int | None] = {
    "row": 4,
    "": 13,
    "user": 20,
    "client": 10,
    "where": 13,
    "why": None,
}
"""Of the plan on a terminal, with their widths; None is what is left over."""

PASSWORD = "TOKENKEEP_SOURCE_PASSWORD"  # noqa: S105  # the name of a variable

_THERE = ("new", "update", "already there")
_DEFAULTS = ("client_id", "data_center", "environment")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_STORE = next(option for option in COMMON_OPTIONS if option.name == "store")
_TO = click.Option(
    ["store", "--to", "--store"],
    metavar="URL",
    expose_value=False,
    callback=_STORE.callback,
    help=_STORE.help,
)


@click.command("import", params=[_TO])
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only say what would be done; nothing is written.")
@click.option("--data-center", help="Of rows that don't say theirs, such as us.")
@click.option(
    "--environment",
    default="production",
    show_default=True,
    help="Of rows that don't say theirs.",
)
@click.option("--client-id", metavar="ID", type=trimmed, help="Of rows that don't say theirs.")
@click.option("--encoding", help="Of a file that is not UTF-8, such as cp1252.")
@click.option(
    "--password-file",
    metavar="FILE",
    help=f"Holds the password of a mysql:// SOURCE; - is standard input. Else {PASSWORD}.",
)
@click.option("--replace", is_flag=True, help="Let another login take the stored one's place.")
@pass_session
def import_command(
    session: Session, /, source: str, *, dry_run: bool, replace: bool, **options: Any
) -> None:
    """
    Take over the tokens of the official Zoho SDK.

    SOURCE is the CSV file of its FileStore or the table of its DBStore
    (mysql://USER@HOST/DATABASE), of any generation, the zcrm_oauthtokens.pkl
    of the first, or the SQLite database of its sample (zohooauth.db). It is
    only read. Run it as often as you like: nothing is doubled, and nothing
    newer is overwritten.
    """
    from tokenkeep.moving import Defaults

    log_to_stderr(session.verbosity)
    defaults = Defaults(**{name: options.pop(name) for name in _DEFAULTS})
    opened = _source(source, defaults, **options)
    store = _store(session, dry_run=dry_run)
    with merging(session, opened, store, dry_run=dry_run, replace=replace) as steps:
        lines = map(_line, steps)
        if session.json:
            for line in lines:
                output.document(line)
        else:
            output.rows(COLUMNS, map(_shown, lines))


def _source(
    source: str, defaults: Defaults, *, encoding: str | None, password_file: str | None
) -> OfficialSource:
    """Open what an argument names: a file, or a table on a server."""
    from tokenkeep.moving import open_source, open_table

    url = url_named(source)
    scheme = _URL.match(url)
    if scheme is None:
        if password_file is not None:
            raise click.UsageError("A file takes no password")
        return open_source(Path(url), encoding=encoding, defaults=defaults)
    if scheme[1].lower() != "mysql":
        raise click.UsageError(
            f"The official SDK keeps no tokens at {scheme[1]}:// URLs. "
            "What tokenkeep has stored goes elsewhere with: tokenkeep copy"
        )
    if encoding is not None:
        raise click.UsageError("A table says its encoding itself")
    opened = open_table(url, password=_password(url, password_file), defaults=defaults)
    click.get_current_context().call_on_close(opened.close)
    return opened


def _password(url: str, file: str | None) -> str | None:
    """Return the password of a database. None for the one in its URL."""
    if file is not None:
        return secrets_in.from_file(file)
    if PASSWORD in os.environ:
        return os.environ[PASSWORD].rstrip("\r\n")
    # As in user:@host, which says that there is none.
    if password_of(url) is not None:
        return None
    return secrets_in.from_prompt(
        "password of the database",
        f"--password-file or {PASSWORD}; without a password, write user:@host",
    )


def _line(step: Step) -> dict[str, Any]:
    """Return what to say about a step."""
    names = ("user", "client_id", "data_center", "environment")
    stored = step.stored if step.action.value in _THERE else None
    return {
        "row": step.row.number,
        "action": step.action.value,
        **{name: getattr(step.row.token, name) for name in names},
        "reason": step.reason,
        "source_id": step.row.token.id,
        "id": stored and stored.id,
    }


def _shown(line: dict[str, Any]) -> list[Any]:
    """Return a line as it is shown: whole in a pipe, with fewer columns on a terminal."""
    row, action, user, client, *place, reason, _, _ = line.values()
    if not output.is_terminal():
        return [row, action, user, client, *place, reason]
    return [row, action, user, client, " ".join(filter(None, place)), reason]


def _store(session: Session, *, dry_run: bool) -> Vault:
    """Open the store; for a dry run, one that is not there yet is an empty one in memory."""
    from tokenkeep import config

    url = store_url(session, None)
    vault = open_or_imagine(url) if dry_run else config.open_store(url, make=True)
    click.get_current_context().call_on_close(vault.close)
    return vault
