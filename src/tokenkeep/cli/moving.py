"""Commands that bring tokens elsewhere: to another store, from the official SDK's, and back."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import secrets_in
from tokenkeep.cli.output import Columns, counted, document, listed, part_before, together, visible
from tokenkeep.cli.session import Session, exists, open_there, pass_session, store_option
from tokenkeep.cli.tokens import confirm
from tokenkeep.errors import StoreConflict, StoreUnavailable, TokenKeepError
from tokenkeep.lookup import trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.moving import Defaults, OfficialSource, Source, Step

CONFIGURED = "configured"
"""Names the store that a command works on if none is given."""

PASSWORD = "TOKENKEEP_SOURCE_PASSWORD"  # noqa: S105  # the name of a variable

_COPIED: Columns = {"id": 11, "user": 20, "action": 13, "reason": None}
_IMPORTED: Columns = {
    "row": 4,
    "action": 13,
    "user": 20,
    "client_id": 10,
    "data_center": 6,
    "environment": 11,
    "reason": None,
}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def _merges(command: Any) -> Any:
    """Give a command the options of a merge, and its session."""
    text = "Let another login take the stored one's place."
    command = click.option("--replace", is_flag=True, help=text)(pass_session(command))
    text = "Only say what would be done; nothing is written."
    return click.option("--dry-run", is_flag=True, help=text)(command)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="[TO]", required=False)
@_merges
def copy(session: Session, source: str, target: str | None, **how: bool) -> None:
    """
    Copy all tokens of the store FROM to the store TO.

    Both are URLs; env:NAME takes the URL from the variable NAME, "configured"
    is the store that commands work on, and TO if none is named. FROM is only
    read. Ids stay the same. Run it again as often as you like, also after it was
    interrupted: nothing is doubled, and nothing newer is overwritten.
    """
    from tokenkeep.moving import Action, StoreSource

    if session.store and target is not None and CONFIGURED not in (source, target):
        raise click.UsageError("FROM and TO are given, so --store has no meaning")
    url, to = (
        session.url() if name in (CONFIGURED, None) else secrets_in.url_named(name)
        for name in (source, target)
    )
    if url == source and "://" not in url and Path(url).is_file():
        raise click.UsageError(
            f"{visible(source)} is a file, not the URL of a store. "
            "A file of the official SDK is taken over with: tokenkeep import"
        )
    opened = open_there(url, "The store FROM is not there", "Check the URL of FROM")
    with merging(session, StoreSource(opened), to, **how) as steps:
        told = (
            {"id": step.row.token.id, "user": step.row.token.user, **_done(step)}
            for step in steps
            if session.verbose or step.reason or step.action not in (Action.NEW, Action.NOTHING)
        )
        session.rows(_COPIED, told)


@click.command("import", params=[store_option("--to", "--store")])
@click.argument("source")
@click.option("--data-center", metavar="NAME", help="Of rows that don't say theirs, such as us.")
@click.option("--environment", metavar="NAME", default="production", help="Likewise; production.")
@click.option("--client-id", metavar="ID", type=trimmed, help="Likewise.")
@click.option("--encoding", metavar="NAME", help="Of a file that is not UTF-8, such as cp1252.")
@click.option("--password-file", metavar="FILE", help=f"Of mysql://; - is stdin. Else {PASSWORD}.")
@_merges
def import_command(session: Session, source: str, **given: Any) -> None:
    """
    Take over the tokens of the official Zoho SDK.

    SOURCE is the CSV file of its FileStore or the table of its DBStore
    (mysql://USER@HOST/DATABASE), of any generation, the zcrm_oauthtokens.pkl
    of the first, or the SQLite database of its sample (zohooauth.db). It is
    only read. Run it as often as you like: nothing is doubled, and nothing
    newer is overwritten.
    """
    from tokenkeep.moving import Action, Defaults

    names = ("client_id", "data_center", "environment")
    defaults = Defaults(**{name: given[name] for name in names})
    opened = _official(source, defaults, given["encoding"], given["password_file"])
    how = {name: given[name] for name in ("dry_run", "replace")}
    with merging(session, opened, session.url(), **how) as steps:
        told = (
            {
                "row": step.row.number,
                **{name: getattr(step.row.token, name) for name in ("user", *names)},
                **_done(step),
                "source_id": step.row.token.id,
                "id": step.stored.id
                if step.stored and step.action not in (Action.SKIP, Action.FAILED)
                else None,
            }
            for step in steps
        )
        session.rows(_IMPORTED, told)


def _done(step: Step) -> dict[str, str | None]:
    return {"action": step.action.value, "reason": step.reason}


@contextmanager
def merging(
    session: Session, source: Source, to: str, *, dry_run: bool, replace: bool
) -> Iterator[Iterator[Step]]:
    """
    Merge while the block lasts, show how far it is, and say in the end what was done.

    The store at the URL *to* is made if it is not there; a dry run looks at an empty one then.

    Yields:
        The steps.
    """
    from tokenkeep.config import open_store
    from tokenkeep.moving import Action, Merge, OfficialSource

    target = open_store("memory:" if dry_run and not exists(to) else to, make=not dry_run)
    click.get_current_context().call_on_close(target.close)
    official = source if isinstance(source, OfficialSource) else None
    counts: Counter[str] = Counter()
    in_flight = 0

    def seen() -> Iterator[Step]:
        nonlocal in_flight
        for done, step in enumerate(steps):
            move(done / official.total if official else part_before(step.row.token.id))
            counts[step.action.value] += 1
            in_flight += step.in_flight
            yield step

    with (
        session.progress("Importing" if official else "Copying") as move,
        closing(Merge(source, target, replace=replace).steps(dry_run=dry_run)) as steps,
    ):
        try:
            yield seen()
        except (KeyboardInterrupt, StoreUnavailable, StoreConflict):
            if not dry_run:
                session.note(
                    f"Stopped after {counts[Action.NEW] + counts[Action.UPDATE]:,} tokens, "
                    "each of them whole. Run it again: it goes on from there"
                )
            raise
    if session.json:
        about = {"source": official.kind} if official else {"being_renewed": in_flight}
        document({"dry_run": dry_run, "rows": counts} | about)
    else:
        told = listed({each.value: counts[each] for each in Action}) or "nothing"
        what, left = (f"{official.kind}: ", "The source") if official else ("", "FROM")
        left = "Dry run, nothing was written" if dry_run else f"{left} was left as it is"
        session.note(f"{what}{told}. {left}.")
        if in_flight:
            session.note(
                f"{in_flight:,} were being renewed meanwhile: run it again when that is over, "
                "best once no program uses FROM any more"
            )
    if counts[Action.FAILED]:
        click.get_current_context().exit(1)


def _official(
    source: str, defaults: Defaults, encoding: str | None, password_file: str | None
) -> OfficialSource:
    """Open what an argument names: a file, or a table on a server."""
    from tokenkeep.moving import open_source, open_table

    url = secrets_in.url_named(source)
    scheme = _SCHEME.match(url)
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
    password: str | None = None
    if password_file is not None:
        password = secrets_in.from_file(password_file)
    elif PASSWORD in os.environ:
        password = os.environ[PASSWORD].rstrip("\r\n")
    elif secrets_in.password_of(url) is None:  # not even an empty one, as in user:@host
        instead = f"--password-file or {PASSWORD}; without a password, write user:@host"
        password = secrets_in.from_prompt("password of the database", instead)
    opened = open_table(url, password=password, defaults=defaults)
    click.get_current_context().call_on_close(opened.close)
    return opened


@click.command()
@click.option(
    "--official-csv",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="Write what the FileStore of the official SDK reads, to a new file.",
)
@click.option("--environment", metavar="NAME", default="production", help="Whose; production.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@pass_session
def export(session: Session, path: Path, *, environment: str, yes: bool) -> None:
    """
    Write the tokens to a file of the official Zoho SDK, every secret in the clear.

    Tokens that were revoked or need a new login are left out, and so are all
    but one of each user; and what does not open, which is an error at the end.
    The file is for its owner alone, and never takes another one's place.
    """
    from tokenkeep.moving import export_csv

    vault = session.vault()
    wanted = environment.strip().lower()
    vault.providers.named("zoho").expect_known(None, wanted)
    will = f"{visible(str(path))} will hold every token and client secret in the clear"
    confirm(f"{will}. Write it?", yes=yes)
    troubles: list[TokenKeepError] = []
    with session.progress("Exporting") as move:
        counts = export_csv(
            vault,
            path,
            now=time.time(),
            environment=wanted,
            on_token=lambda token: move(part_before(token.id)),
            on_error=troubles.append,
        )
    exported = counts.pop("exported")
    left_out = f"; left out: {listed(counts)}" if counts else ""
    told = f"Wrote {counted(exported, 'token', 'tokens')} to {path}{left_out}"
    session.tell(told, {"file": str(path), "exported": exported, "left_out": counts})
    if troubles:
        raise together(troubles)
