"""The command that copies one store to another."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import output, progress
from tokenkeep.cli.places import CONFIGURED, exists, open_or_imagine, store_url
from tokenkeep.cli.session import Session, log_to_stderr, pass_session
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.moving import Merge, Step
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
    from tokenkeep.moving import Merge, StoreSource

    log_to_stderr(session.verbosity)
    opened, to = _stores(session, source, target, dry_run=dry_run)
    merge = Merge(StoreSource(opened), to, replace=replace)
    in_flight = 0
    with steps_of(session, merge, "Copying", _part, dry_run=dry_run) as (steps, counts):
        for step in steps:
            in_flight += step.in_flight
            if session.verbosity > 0 or step.action not in _QUIET or step.reason:
                _print(session, step)
    if session.json:
        output.document({"dry_run": dry_run, "rows": counts, "being_renewed": in_flight})
    else:
        wrote = "Dry run, nothing was written" if dry_run else "FROM was left as it is"
        session.note(f"{told(counts) or 'no tokens'}. {wrote}.")
    if in_flight and not session.json:
        session.note(
            f"{in_flight:,} were being renewed meanwhile: run it again when that is over, "
            "best once no program uses FROM any more"
        )
    if counts["failed"]:
        click.get_current_context().exit(1)


@contextmanager
def steps_of(
    session: Session,
    merge: Merge,
    doing: str,
    part: Callable[[int, Step], float | None],
    *,
    dry_run: bool,
) -> Iterator[tuple[Iterator[Step], Counter[str]]]:
    """
    Merge while the block lasts, and show how far it is.

    Args:
        session: What it is shown with.
        merge: What is done.
        doing: That, as one word.
        part: Returns which part of all comes before a step, by how many do.
        dry_run: Whether nothing is written.

    Yields:
        The steps, and how many there were of each action.
    """
    counts: Counter[str] = Counter()
    written = None if dry_run else lambda: counts["new"] + counts["update"]
    with (
        progress.resumable(session, written),
        progress.shown(session, doing) as move,
        closing(merge.steps(dry_run=dry_run)) as steps,
    ):

        def counted() -> Iterator[Step]:
            for done, step in enumerate(steps):
                move(done, part(done, step))
                counts[step.action.value] += 1
                yield step

        yield counted(), counts


def told(counts: Counter[str]) -> str:
    """Return how many rows there were of each action, in a fixed order. Empty if none."""
    from tokenkeep.moving import Action

    return ", ".join(f"{counts[each]:,} {each.value}" for each in Action if counts[each])


def _part(_: int, step: Step) -> float | None:
    return progress.part_before(str(step.row.token.id).removeprefix("tk_"))


def _stores(
    session: Session, source: str, target: str | None, *, dry_run: bool
) -> tuple[Vault, Vault]:
    """Open both; neither what is read nor what a dry run looks at is made."""
    from tokenkeep.config import open_store

    context = click.get_current_context()
    if session.store and target is not None and CONFIGURED not in (source, target):
        raise click.UsageError("FROM and TO are given, so --store has no meaning")
    url, other = store_url(session, source), store_url(session, target)
    if not exists(url):
        raise ConfigurationError("There is no store FROM which to copy", hint="Check its URL")
    opened = open_or_imagine(url)
    context.call_on_close(opened.close)
    to = open_or_imagine(other) if dry_run else open_store(other)
    context.call_on_close(to.close)
    return opened, to


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
