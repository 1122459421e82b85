"""Commands that bring tokens elsewhere: to another store, from the official SDK's, and back."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import secrets_in
from tokenkeep.cli.session import (
    Columns,
    Session,
    counted,
    listed,
    missing,
    pass_session,
    told_last,
)
from tokenkeep.cli.tokens import confirm
from tokenkeep.errors import StoreConflict, StoreUnavailable, visible
from tokenkeep.lookup import trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.moving import Defaults, OfficialSource, Source, Step

CONFIGURED = "configured"
"""Names the store that a command works on if none is given."""

PASSWORD = "TOKENKEEP_SOURCE_PASSWORD"  # noqa: S105  # the name of a variable

_COPIED: Columns = {"source_id": 11, "user": 20, "action": 13, "reason": 0}
_IMPORTED: Columns = {
    "row": 4,
    "action": 13,
    "user": 20,
    "client_id": 10,
    "data_center": 6,
    "environment": 11,
    "reason": 0,
}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Only say what would be done; nothing is written."
)
_REPLACE = click.option(
    "--replace", is_flag=True, help="Let another login take the stored one's place."
)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="[TO]", required=False)
@_DRY_RUN
@_REPLACE
@pass_session
def copy(session: Session, source: str, target: str | None, **how: bool) -> None:
    """
    Copy all tokens of the store FROM to the store TO.

    Both are URLs; env:NAME takes the URL from the variable NAME, "configured"
    is the store that commands work on, and TO if none is named. FROM is only
    read. Ids stay the same. Run it again as often as you like, also after it was
    interrupted: nothing is doubled, and nothing newer is overwritten.
    """
    from tokenkeep.moving import StoreSource

    if session.store and target is not None and CONFIGURED not in (source, target):
        raise click.UsageError("FROM and TO are given, so --store has no meaning")
    url, to = (
        session.url() if name in (CONFIGURED, None) else secrets_in.url_named(name)
        for name in (source, target)
    )
    there = session.open_there(url, "The store FROM is not there", "Check the URL of FROM")
    merge(session, StoreSource(there), to, **how)


@click.command("import")
@click.argument("source")
@click.option("--data-center", metavar="NAME", help="Of rows that don't say theirs, such as us.")
@click.option("--environment", metavar="NAME", default="production", help="Likewise; production.")
@click.option("--client-id", metavar="ID", type=trimmed, help="Likewise.")
@click.option("--encoding", metavar="NAME", help="Of a file that is not UTF-8, such as cp1252.")
@_DRY_RUN
@_REPLACE
@pass_session
def import_command(
    session: Session, source: str, *, encoding: str | None, dry_run: bool, replace: bool, **of: Any
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

    official = _official(source, Defaults(**of), encoding)
    merge(session, official, session.url(), dry_run=dry_run, replace=replace)


def merge(session: Session, source: Source, to: str, *, dry_run: bool, replace: bool) -> None:
    """
    Merge into the store at the URL *to*, list the steps, and say in the end what was done.

    That store is made if it is not there; a dry run looks at an empty one then.
    """
    from tokenkeep.moving import Action, Merge, OfficialSource

    target = session.open("memory:" if dry_run and missing(to) else to, make=not dry_run)
    kind = source.kind if isinstance(source, OfficialSource) else None
    counts, in_flight = Counter[str](), 0

    def rows(steps: Iterator[Step]) -> Iterator[dict[str, Any]]:
        nonlocal in_flight
        for step in steps:
            move()
            counts[step.action.value] += 1
            in_flight += step.in_flight
            # Of a copy that is as it was expected, there is nothing to say.
            expected = step.action in (Action.NEW, Action.NOTHING) and not step.reason
            if kind or session.verbose or not expected:
                yield _facts(step)

    with (
        session.progress("Importing" if kind else "Copying") as move,
        closing(Merge(source, target, replace=replace).steps(dry_run=dry_run)) as steps,
    ):
        try:
            session.rows(_IMPORTED if kind else _COPIED, rows(steps))
        except (KeyboardInterrupt, StoreUnavailable, StoreConflict):
            done = counts[Action.NEW] + counts[Action.UPDATE]
            text = f"Stopped after {done:,} tokens, each of them whole. Run it again: "
            if not dry_run:
                session.note(f"{text}it goes on from there")
            raise
    if session.json:
        about = {"source": kind} if kind else {"being_renewed": in_flight}
        session.answer("", {"dry_run": dry_run, "rows": counts} | about)
    else:
        what = listed({each.value: counts[each] for each in Action}) or "nothing"
        left = f"{'The source' if kind else 'FROM'} was left as it is"
        left = "Dry run, nothing was written" if dry_run else left
        session.note(f"{kind + ': ' if kind else ''}{what}. {left}.")
        if in_flight:
            text = f"{in_flight:,} were being renewed meanwhile: run it again when that is over, "
            session.note(f"{text}best once no program uses FROM any more")
    if counts[Action.FAILED]:
        click.get_current_context().exit(1)


def _facts(step: Step) -> dict[str, Any]:
    from tokenkeep.moving import Action

    token, is_in = step.row.token, step.action not in (Action.SKIP, Action.FAILED)
    said = ("user", "client_id", "data_center", "environment")
    return {
        "row": step.row.number,
        **{name: getattr(token, name) for name in said},
        "action": step.action.value,
        "reason": step.reason,
        "source_id": token.id,
        "id": step.stored.id if step.stored and is_in else None,
    }


def _official(source: str, defaults: Defaults, encoding: str | None) -> OfficialSource:
    """Open what an argument names: a file, or a table on a server."""
    from tokenkeep.moving import open_source, open_table

    url = secrets_in.url_named(source)
    scheme = _SCHEME.match(url)
    if scheme is None:
        return open_source(Path(url), encoding=encoding, defaults=defaults)
    if scheme[1].lower() != "mysql":
        raise click.UsageError(
            f"The official SDK keeps no tokens at {scheme[1]}:// URLs. "
            "What tokenkeep has stored goes elsewhere with: tokenkeep copy"
        )
    if encoding is not None:
        raise click.UsageError("A table says its encoding itself")
    password: str | None = None
    if PASSWORD in os.environ:
        password = os.environ[PASSWORD].rstrip("\r\n")
    elif secrets_in.password_of(url) is None:  # not even an empty one, as in user:@host
        instead = f"{PASSWORD}; without a password, write user:@host"
        password = secrets_in.from_prompt("password of the database", instead)
    table = open_table(url, password=password, defaults=defaults)
    click.get_current_context().call_on_close(table.close)
    return table


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
    with told_last() as troubles:
        with session.progress("Exporting") as move:
            counts = export_csv(
                vault,
                path,
                now=time.time(),
                environment=wanted,
                on_token=lambda _: move(),
                on_error=troubles.append,
            )
        exported = counts.pop("exported")
        left_out = f"; left out: {listed(counts)}" if counts else ""
        told = f"Wrote {counted(exported, 'token', 'tokens')} to {path}{left_out}"
        session.tell(told, {"file": str(path), "exported": exported, "left_out": counts})
