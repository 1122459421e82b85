"""The command that takes over the tokens of the official SDK's stores."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import output
from tokenkeep.cli.session import COMMON_OPTIONS, Session, log_to_stderr, pass_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.importing import Step
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

_STORE = next(option for option in COMMON_OPTIONS if option.name == "store")
_TO = click.Option(
    ["store", "--to", "--store"],
    metavar="URL",
    expose_value=False,
    callback=_STORE.callback,
    help=_STORE.help,
)


@click.command("import", params=[_TO])
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be done; nothing is written.")
@click.option("--data-center", help="Of rows that don't say theirs, such as us.")
@click.option(
    "--environment",
    default="production",
    show_default=True,
    help="Of rows that don't say theirs.",
)
@click.option("--encoding", help="Of a CSV file that is not UTF-8, such as cp1252.")
@click.option("--replace", is_flag=True, help="Let another login take the stored one's place.")
@pass_session
def import_command(session: Session, /, path: Path, **options: Any) -> None:
    """
    Take over the tokens of the official Zoho SDK.

    PATH is the CSV file of its FileStore, of any generation, or the SQLite
    database of its sample (zohooauth.db). It is only read. Run it as often as
    you like: nothing is doubled, and nothing newer is overwritten.
    """
    from tokenkeep.importing import Importer, open_source

    dry_run, encoding = options.pop("dry_run"), options.pop("encoding")
    log_to_stderr(session.verbosity)
    source = open_source(path, encoding=encoding)
    importer = Importer(source, _store(session, dry_run=dry_run), **options)
    counts: Counter[str] = Counter()
    lines = (_done(importer, step, counts, dry_run=dry_run) for step in importer.plan())
    if session.json:
        for line in lines:
            output.document(line)
        output.document({"dry_run": dry_run, "source": source.kind, "rows": counts})
        return
    output.rows(COLUMNS, (_shown(line) for line in lines))
    told = ", ".join(f"{count} {action}" for action, count in sorted(counts.items()))
    wrote = "Dry run, nothing was written" if dry_run else "The source was left as it is"
    session.note(f"{source.kind}: {told or 'no rows'}. {wrote}.")


def _done(importer: Any, step: Step, counts: Counter[str], *, dry_run: bool) -> dict[str, Any]:
    """Do a step, unless it is a dry run, and return what to say about it."""
    saved = None if dry_run else importer.apply(step)
    counts[step.action.value] += 1
    names = ("user", "client_id", "data_center", "environment")
    return {
        "row": step.row.number,
        "action": step.action.value,
        **{name: getattr(step.token, name, None) for name in names},
        "reason": step.reason,
        "source_id": step.row.source_id,
        "id": saved.id if saved else None,
    }


def _shown(line: dict[str, Any]) -> list[Any]:
    """Return a line as it is shown: whole in a pipe, with fewer columns on a terminal."""
    row, action, user, client, *place, reason, _, _ = line.values()
    if not output.is_terminal():
        return [row, action, user, client, *place, reason]
    return [row, action, user, client, " ".join(filter(None, place)), reason]


def _store(session: Session, *, dry_run: bool) -> Vault:
    """Open the store; for a dry run, one that is not there yet is an empty one in memory."""
    from tokenkeep import config, keys

    url = session.store or config.settings().store
    if not dry_run:
        vault = config.open_store(url)
    elif _exists(url):
        ring = keys.load(os.environ)
        # Whatever is stored is refused without its key; only an empty store takes this one.
        spare = None if ring else [os.urandom(32)]
        vault = config.open_store(url, keys_newest_first=spare)
    else:
        vault = config.open_store("memory:", keys_newest_first=[os.urandom(32)])
    click.get_current_context().call_on_close(vault.close)
    return vault


def _exists(url: str) -> bool:
    """Tell whether opening a store would make nothing."""
    from tokenkeep.backends.urls import StoreURL, scheme_of

    if scheme_of(url) not in ("sqlite", "file"):
        return True
    path = StoreURL.parse(url).path()
    return path == ":memory:" or (os.path.exists(path) and os.path.getsize(path) > 0)  # noqa: PTH110, PTH202  # a URL's path
