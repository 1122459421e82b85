"""The command that copies one store to another."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.backends import file_of
from tokenkeep.cli import output, progress
from tokenkeep.cli.places import CONFIGURED, open_or_imagine, store_url
from tokenkeep.cli.session import Session, exists, log_to_stderr, pass_session
from tokenkeep.errors import StoreConflict, StoreUnavailable, TokenNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.moving import Source, Step
    from tokenkeep.vault import Vault

_QUIET = ("new", "already there")


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="[TO]", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would be done; nothing is written.")
@click.option("--replace", is_flag=True, help="Let another login take the place of TO's.")
@pass_session
def copy(
    session: Session, /, source: str, target: str | None, *, dry_run: bool, replace: bool
) -> None:
    """
    Copy all tokens of the store FROM to the store TO.

    Both are URLs; env:NAME takes the URL from the variable NAME, "configured"
    is the store that commands work on, and TO if none is named. FROM is only
    read. Ids stay the same. Run it again as often as you like, also after it was
    interrupted: nothing is doubled, and nothing newer is overwritten.
    """
    from tokenkeep.moving import StoreSource

    log_to_stderr(session.verbosity)
    opened, to = _stores(session, source, target, dry_run=dry_run)
    with merging(session, StoreSource(opened), to, dry_run=dry_run, replace=replace) as steps:
        for step in steps:
            if session.verbosity > 0 or step.action not in _QUIET or step.reason:
                _print(session, step)


@contextmanager
def merging(
    session: Session, source: Source, target: Vault, *, dry_run: bool, replace: bool
) -> Iterator[Iterator[Step]]:
    """
    Merge while the block lasts, show how far it is, and say in the end what was done.

    Args:
        session: What it is said with.
        source: Where the rows are.
        target: Where they go.
        dry_run: Whether nothing is written.
        replace: As for `Merge`.

    Yields:
        The steps.
    """
    from tokenkeep.moving import Action, Merge, OfficialSource

    counts: Counter[str] = Counter()
    in_flight, official = 0, source if isinstance(source, OfficialSource) else None

    def counted() -> Iterator[Step]:
        nonlocal in_flight
        for done, step in enumerate(steps):
            before = progress.part_before(step.row.token.id)
            move(done, done / official.total if official else before)
            counts[step.action.value] += 1
            in_flight += step.in_flight
            yield step

    with (
        progress.shown(session, "Importing" if official else "Copying") as move,
        closing(Merge(source, target, replace=replace).steps(dry_run=dry_run)) as steps,
    ):
        try:
            yield counted()
        except (KeyboardInterrupt, StoreUnavailable, StoreConflict):
            if not dry_run:
                session.note(
                    f"Stopped after {counts[Action.NEW] + counts[Action.UPDATE]:,} tokens, "
                    "each of them whole. Run it again: it goes on from there"
                )
            raise
    about = {"source": official.kind} if official else {"being_renewed": in_flight}
    if session.json:
        output.document({"dry_run": dry_run, "rows": counts} | about)
    else:
        told = ", ".join(f"{counts[each]:,} {each.value}" for each in Action if counts[each])
        what = f"{official.kind}: {told or 'no rows'}" if official else told or "no tokens"
        left = f"{'The source' if official else 'FROM'} was left as it is"
        session.note(f"{what}. {'Dry run, nothing was written' if dry_run else left}.")
    if in_flight and not session.json:
        session.note(
            f"{in_flight:,} were being renewed meanwhile: run it again when that is over, "
            "best once no program uses FROM any more"
        )
    if counts[Action.FAILED]:
        click.get_current_context().exit(1)


def _stores(
    session: Session, source: str, target: str | None, *, dry_run: bool
) -> tuple[Vault, Vault]:
    """Open both; neither what is read nor what a dry run looks at is made."""
    from tokenkeep.config import open_store

    context = click.get_current_context()
    if session.store and target is not None and CONFIGURED not in (source, target):
        raise click.UsageError("FROM and TO are given, so --store has no meaning")
    url, other = store_url(session, source), store_url(session, target)
    if url == source and "://" not in url and Path(url).is_file():
        raise click.UsageError(
            f"{output.visible(source)} is a file, not the URL of a store. "
            "A file of the official SDK is taken over with: tokenkeep import"
        )
    if not exists(url):
        raise _not_there(f"no file {file_of(url)}")
    opened = open_or_imagine(url)
    context.call_on_close(opened.close)
    if not opened.is_made:
        raise _not_there(f"nothing in {opened.backend.describe()}")
    to = open_or_imagine(other) if dry_run else open_store(other, make=True)
    context.call_on_close(to.close)
    return opened, to


def _not_there(what: str) -> TokenNotFound:
    return TokenNotFound(f"The store FROM is not there: {what}", hint="Check the URL of FROM")


def _print(session: Session, step: Step) -> None:
    facts: dict[str, Any] = {
        "id": step.row.token.id,
        "user": step.row.token.user,
        "action": step.action.value,
        "reason": step.reason,
    }
    if session.json:
        output.document(facts)
    else:
        cells = ("" if each is None else output.visible(each) for each in facts.values())
        click.echo("\t".join(cells))
