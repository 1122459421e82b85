"""The command that takes over the tokens of the official SDK's stores."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import output, progress, secrets_in
from tokenkeep.cli.places import open_or_imagine, password_of, store_url, url_named
from tokenkeep.cli.session import COMMON_OPTIONS, Session, log_to_stderr, pass_session

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tokenkeep.importing import Importer, Source, Step
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

_SAVED = ("new", "update")

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
@click.option("--client-id", metavar="ID", help="Of rows that don't say theirs.")
@click.option("--encoding", help="Of a CSV file that is not UTF-8, such as cp1252.")
@click.option(
    "--password-file",
    metavar="FILE",
    help=f"Holds the password of a mysql:// SOURCE; - is standard input. Else {PASSWORD}.",
)
@click.option("--replace", is_flag=True, help="Let another login take the stored one's place.")
@pass_session
def import_command(session: Session, /, source: str, **options: Any) -> None:
    """
    Take over the tokens of the official Zoho SDK.

    SOURCE is the CSV file of its FileStore or the table of its DBStore
    (mysql://USER@HOST/DATABASE), of any generation, or the SQLite database of
    its sample (zohooauth.db). It is only read. Run it as often as you like:
    nothing is doubled, and nothing newer is overwritten.
    """
    from tokenkeep.importing import Importer

    dry_run, given = options.pop("dry_run"), {}
    for name in ("encoding", "client_id", "password_file"):
        given[name] = options.pop(name)
    log_to_stderr(session.verbosity)
    opened = _source(source, **given)
    importer = Importer(opened, _store(session, dry_run=dry_run), **options)
    counts: Counter[str] = Counter()
    written = None if dry_run else lambda: counts["new"] + counts["update"]
    with (
        progress.resumable(session, written),
        closing(_watched(session, importer)) as steps,
    ):
        lines = (_done(importer, step, counts, dry_run=dry_run) for step in steps)
        if session.json:
            for line in lines:
                output.document(line)
            output.document({"dry_run": dry_run, "source": opened.kind, "rows": counts})
        else:
            output.rows(COLUMNS, (_shown(line) for line in lines))
    if not session.json:
        told = ", ".join(f"{count} {action}" for action, count in sorted(counts.items()))
        wrote = "Dry run, nothing was written" if dry_run else "The source was left as it is"
        session.note(f"{opened.kind}: {told or 'no rows'}. {wrote}.")
    if counts["failed"]:
        click.get_current_context().exit(1)


def _source(source: str, *, password_file: str | None, **options: str | None) -> Source:
    """Open what an argument names: a file, or a table on a server."""
    from tokenkeep.importing import open_source, open_table

    url = url_named(source)
    scheme = _URL.match(url)
    encoding = options.pop("encoding")
    if scheme is None:
        if password_file is not None:
            raise click.UsageError("A file takes no password")
        return open_source(Path(url), encoding=encoding, **options)
    if scheme[1].lower() != "mysql":
        raise click.UsageError(
            f"The official SDK keeps no tokens at {scheme[1]}:// URLs. "
            "What tokenkeep has stored goes elsewhere with: tokenkeep copy"
        )
    if encoding is not None:
        raise click.UsageError("A table says its encoding itself")
    opened = open_table(url, password=_password(url, password_file), **options)
    click.get_current_context().call_on_close(opened.close)
    return opened


def _password(url: str, file: str | None) -> str | None:
    """Return the password of a database. None for the one in its URL."""
    if file is not None:
        return secrets_in.from_file(file)
    if PASSWORD in os.environ:
        return os.environ[PASSWORD]
    # As in user:@host, which says that there is none.
    if password_of(url) is not None:
        return None
    return secrets_in.from_prompt(
        "password of the database",
        f"--password-file or {PASSWORD}; without a password, write user:@host",
    )


def _watched(session: Session, importer: Importer) -> Generator[Step]:
    """Yield what is to be done; until the first of it, show how far the source is read."""
    count = 0
    with progress.shown(session, "Reading") as move:

        def read(rows: int) -> None:
            nonlocal count
            move(count := rows, None)

        steps = importer.plan(read)
        first = next(steps, None)
    rest = chain(() if first is None else (first,), steps)
    if output.is_terminal():
        yield from rest  # the table itself shows how far it is
        return
    with progress.shown(session, "Importing") as move:
        for done, step in enumerate(rest):
            move(done, done / count)
            yield step


def _done(importer: Any, step: Step, counts: Counter[str], *, dry_run: bool) -> dict[str, Any]:
    """Do a step, unless it is a dry run, and return what to say about it."""
    if not dry_run:
        step = importer.apply(step)
    is_saved = not dry_run and step.action.value in _SAVED
    counts[step.action.value] += 1
    names = ("user", "client_id", "data_center", "environment")
    return {
        "row": step.row.number,
        "action": step.action.value,
        **{name: getattr(step.token, name, None) for name in names},
        "reason": step.reason,
        "source_id": step.row.source_id,
        "id": step.stored.id if is_saved and step.stored else None,
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
    vault = open_or_imagine(url) if dry_run else config.open_store(url)
    click.get_current_context().call_on_close(vault.close)
    return vault
