"""Revoking from the command line: one token, or all that have something in common."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli.description import describe
from tokenkeep.cli.filters import whole_name
from tokenkeep.cli.session import (
    Columns,
    Session,
    counted,
    filled,
    listed,
    pass_session,
    told_last,
)
from tokenkeep.cli.tokens import confirm, ended_in_words, meant, says_which
from tokenkeep.errors import TokenNotFound, visible
from tokenkeep.selection import Selection
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.revoking import Revoked

_TOLD: Columns = dict.fromkeys(("outcome", "id", "user", "why"), 0)
_DRAWN = {"outcome": 9, "id": 11, "user": 28, "why": 0}
_WORDS = {"confirmed": "confirmed", "unknown": "not known to the provider", "pending": "pending"}
_OUTCOMES = (*_WORDS, "planned")
_FACTS = ("id", "user", "client_id", "provider", "data_center", "environment")
_ASKED = ("user", "client_id", "provider", "environment", "data_center")
_TRY_AGAIN = 5

_WITH_ALL = ("organisation", "provider", "state", "everything", "dry_run", "yes")
"""What says nothing of one token alone."""


@click.command()
@click.option("--all", "every", is_flag=True, help="Not one: all that have what is said.")
@says_which
@click.option("--organisation", metavar="ZGID", type=filled, help="All of this organisation.")
@click.option("--provider", metavar="NAME", type=filled, help="All of this provider.")
@click.option(
    "--state",
    type=click.Choice([each.value for each in Status]),
    help="All that are in this state.",
)
@click.option("--everything", is_flag=True, help="All there are.")
@click.option("--dry-run", is_flag=True, help="Only say which; nothing is done.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@pass_session
def revoke(session: Session, token_id: str | None, *, every: bool, **given: Any) -> None:
    """
    Revoke a token: here at once, and at the provider.

    With --all, all that have everything that is said of them: first all of them
    here, then at the provider. If that can't be reached, "tokenkeep sweep" goes on
    trying. Broken off, run it again.

    With --all, in a pipe one line each, tab-separated: confirmed, unknown (to the
    provider) or pending; id, user, why. The exit status is 5 if any is pending.
    """
    if every:
        if token_id:
            raise click.UsageError("An ID is one token, --all is all that have what is said")
        _revoke_all(session, **given)
        return
    for name in _WITH_ALL:
        if given.pop(name):
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --all")
    keeper = session.keeper()
    revoked = keeper.revoke(str(meant(session, token_id, given).id))
    session.tell(f"Revoked {ended_in_words(revoked)}", describe(keeper, revoked))


def _revoke_all(session: Session, *, dry_run: bool, yes: bool, **given: Any) -> None:
    everything = given.pop("everything")
    if any(each is not None for each in given.values()) is everything:
        raise click.UsageError("Say what the tokens have in common, or --everything; not both")
    asked = Token(**{name: given[name] for name in _ASKED})
    given["user"] = whole_name(session, asked) or asked.user
    state = given.pop("state")
    wanted = {"tenant": given.pop("organisation"), "status": state and Status(state), **given}
    revoke_all = partial(session.keeper().revoke_all, everything=everything, **wanted)
    if not (dry_run or yes):
        with session.progress("Counting") as move:
            found = _each(move, revoke_all(dry_run=True, on_error=lambda _: None))
            number = sum(1 for _ in found)
        if number:
            what = counted(number, "token", "tokens")
            confirm(f"Revoke {what}, here and at the provider?", yes=False)
        dry_run = not number  # nobody was asked: nothing that has come in since
    counts = Counter[str]()
    with told_last() as troubles, _broken_off(session), _untold(session):
        with session.progress("Looking" if dry_run else "Revoking") as move:
            told = revoke_all(dry_run=dry_run, on_error=troubles.append)
            rows = (_facts(each, counts) for each in _each(move, told))
            session.rows(_DRAWN if session.draws else _TOLD, rows)
        if session.json:
            told_of = {name: counts[name] for name in _OUTCOMES}
            session.answer("", {"dry_run": dry_run, "tokens": told_of})
        elif counts:
            session.note(_summary(counts))
    if not counts and not troubles:
        _expect_some(session, Selection(**wanted))
    if counts["pending"]:
        click.get_current_context().exit(_TRY_AGAIN)


def _each(move: Callable[[], None], told: Iterator[Revoked]) -> Iterator[Revoked]:
    for each in told:
        move()
        yield each


def _facts(each: Revoked, counts: Counter[str]) -> dict[str, Any]:
    counts[each.outcome] += 1
    named = {name: getattr(each.token, name) for name in _FACTS}
    return {"outcome": each.outcome, **named, "why": each.why}


def _summary(counts: Counter[str]) -> str:
    if planned := counts["planned"]:
        return f"{counted(planned, 'token', 'tokens')} would be revoked. Dry run, nothing was done"
    said = listed({word: counts[name] for name, word in _WORDS.items()})
    return f"{said}. To ask again: tokenkeep sweep" if counts["pending"] else said


def _expect_some(session: Session, selection: Selection) -> None:
    """Say why there was nothing to do: a name that nobody has must not look like success."""
    vault = session.vault()
    if next(selection.tokens(vault, vault.providers), None) is None:
        said = ", ".join(f"{name} {value}" for name, value in selection.named.items())
        what = f"No token has {visible(said)}" if said else "There is no token"
        raise TokenNotFound(what, hint="See: tokenkeep list")
    session.note("Nothing to revoke: all were revoked and confirmed before")


@contextmanager
def _broken_off(session: Session) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        session.note("Broken off. What is revoked here stays so; to go on, run it again")
        raise


@contextmanager
def _untold(session: Session) -> Iterator[None]:
    """Leave out of the log what has a line of its own."""

    def other(record: logging.LogRecord) -> bool:
        return session.verbose or not record.getMessage().startswith("revocation_pending: ")

    logger = logging.getLogger("tokenkeep")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
