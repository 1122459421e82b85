"""Commands that bring tokens elsewhere: to another store, from the official SDK's, and back."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.backends.urls import password_of
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
from tokenkeep.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.moving import Source, Step

CONFIGURED = "configured"
"""Names the store that a command works on if none is given."""

_STEPS: Columns = {"source_id": 11, "user": 20, "action": 13, "reason": 0}

_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Only say what would be done; nothing is written."
)
_OF_POLICIES = {
    "source": "FROM's policies go along: TO has had none.",
    "target": "TO keeps its own policies, which are not FROM's.",
}

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
@_DRY_RUN
@_REPLACE
@pass_session
def import_command(session: Session, source: str, **how: bool) -> None:
    """
    Take over the tokens of the official Zoho SDK, zohocrmsdk5_0 to 8_0.

    SOURCE is the CSV file of its FileStore or the table of its DBStore
    (mysql://USER@HOST/DATABASE). It is only read. Run it as often as you like:
    nothing is doubled, and nothing newer is overwritten.
    """
    from tokenkeep.moving import open_source

    place, password = secrets_in.url_named(source), None
    if place.lower().startswith("mysql://") and password_of(place) is None:
        instead = "env:NAME, with a password in that URL; if there is none, write user:@host"
        password = secrets_in.from_prompt("password of the database", instead)
    merge(session, open_source(place, password=password), session.url(), **how)


def merge(session: Session, source: Source, to: str, *, dry_run: bool, replace: bool) -> None:
    """
    Merge into the store at the URL *to*, list the steps, and say in the end what was done.

    That store is made if it is not there; a dry run looks at an empty one then.
    """
    from tokenkeep.moving import Action, Merge, OfficialSource

    target = session.open("memory:" if dry_run and missing(to) else to, make=not dry_run)
    kind = source.kind if isinstance(source, OfficialSource) else None
    counts = Counter[str]()
    merging = Merge(source, target, replace=replace)

    def rows(steps: Iterator[Step]) -> Iterator[dict[str, Any]]:
        for step in steps:
            move()
            counts[step.action.value] += 1
            # Of a copy that is as it was expected, there is nothing to say.
            expected = step.action in (Action.NEW, Action.NOTHING) and not step.reason
            if kind or session.verbose or not expected:
                yield _facts(step)

    with (
        session.progress("Importing" if kind else "Copying") as move,
        closing(merging.steps(dry_run=dry_run)) as steps,
    ):
        session.rows({"row": 4} | _STEPS if kind else _STEPS, rows(steps))
    if session.json:
        said = {"dry_run": dry_run, "rows": counts}
        session.answer("", said if kind else said | {"policies": merging.policies})
    else:
        what = listed({each.value: counts[each] for each in Action}) or "nothing"
        left = "The source was left as it is" if kind else "FROM was left as it is"
        left = "Dry run, nothing was written" if dry_run else left
        session.note(f"{kind + ': ' if kind else ''}{what}. {left}.")
        if merging.policies:
            session.note(_OF_POLICIES[merging.policies])
    if counts[Action.FAILED]:
        click.get_current_context().exit(1)


def _facts(step: Step) -> dict[str, Any]:
    said = ("user", "client_id", "data_center", "environment")
    return {
        "row": step.row.number,
        **{name: getattr(step.row.token, name) for name in said},
        "action": step.action.value,
        "reason": step.reason,
        "source_id": step.row.id,
        "id": step.stored and step.stored.id,
    }


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
        counts = export_csv(vault, path, environment=wanted, on_error=troubles.append)
        left = f"; left out: {counts['left out']:,}" if counts["left out"] else ""
        told = f"Wrote {counted(counts['exported'], 'token', 'tokens')} to {path}{left}"
        facts = {"exported": counts["exported"], "left_out": counts["left out"]}
        session.tell(told, {"file": str(path)} | facts)
