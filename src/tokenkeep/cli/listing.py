"""Commands about all stored tokens: which there are, and whether anybody is logged in."""

from __future__ import annotations

import heapq
import math
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import completion
from tokenkeep.cli.description import FIELDS, login_ends, place, summary
from tokenkeep.cli.filters import matching
from tokenkeep.cli.life import ago
from tokenkeep.cli.session import (
    Columns,
    Session,
    counted,
    filled,
    pass_session,
    span,
    told_last,
)
from tokenkeep.clock import moment
from tokenkeep.decision import Verdict, decide, is_usable
from tokenkeep.errors import TokenNotFound, UnknownName, visible
from tokenkeep.providers import Profile
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokenkeep.errors import TokenKeepError
    from tokenkeep.vault import Vault

_FIELDS: Columns = dict.fromkeys(FIELDS, 0)
_DRAWN = {"id": 11, "place": 12, "status": 12, "expires_in": 7, "refresh_expires_in": 7, "user": 0}
"""What fits into 80 columns."""

_DROPS = ("expires_in", "refresh_expires_in", "place", "id")
"""What a narrower terminal does without, the first one first."""

_SORTED_BY: dict[str, Callable[[Token], tuple[Any, ...]]] = {
    "user": lambda token: (token.user is None, token.user or "", token.id),
    "ends": lambda token: (math.inf if (at := login_ends(token)) is None else at, token.id),
    "used": lambda token: (-(token.last_used_at or 0.0), token.id),
    "logged-in": lambda token: (-(token.logged_in_at or 0.0), token.id),
}
"""What each order but the store's own goes by; no two tokens are the same in it."""

_SHOWN = {"used": "last_used_at", "logged-in": "logged_in_at"}
"""The orders by something that a listing does not show otherwise, and what that is."""

_LOGINS = {"state": 12, "place": 12, "until": 20, "user": 0}
_FEW = 10
"""So many logins are told one by one."""


@click.command("list")
@click.option(
    *("--user", "user"),
    metavar="EMAIL[:ZGID]",
    type=filled,
    shell_complete=completion.users,
    help="Only this user's.",
)
@click.option("--client-id", metavar="ID", type=filled, help="Only of this client.")
@click.option("--organisation", metavar="ZGID", type=filled, help="Only of this organisation.")
@click.option("--state", type=click.Choice([each.value for each in Status]), help="Only these.")
@click.option("--provider", metavar="NAME", type=filled, help="Only of this provider.")
@click.option("--environment", metavar="NAME", type=filled, help="Only of this environment.")
@click.option("--data-center", metavar="NAME", type=filled, help="Only of this data centre.")
@click.option("--ends-within", metavar="SPAN", type=span, help="Logins that end by then: 7d, 12h.")
@click.option("--sort", type=click.Choice(["id", *_SORTED_BY]), default="id", show_default=True)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many.")
@click.option("--after", metavar="ID", type=filled, help="Go on behind this one.")
@pass_session
def list_tokens(session: Session, **given: Any) -> None:
    """
    List the stored tokens.

    In a pipe one line each, tab-separated: id, user, provider, data centre,
    environment, status, and the seconds that the access token and the login
    have left, where that is known.
    """
    vault, now, sort = session.vault(), session.keeper().clock.now(), given["sort"]
    more = list[str]()
    with told_last() as troubles:
        tokens = _asked(vault, given, now, troubles.append)
        found: Iterator[dict[str, Any]] = (_summary(token, now) for token in tokens)
        if sort != "id":
            found = _sorted(vault, tokens, given, now)
        found = _page(found, given["limit"], more.append)
        if session.draws:
            found = (_for_people(each, sort, now) for each in found)
        session.rows(*session.fitted(_drawn(sort) if session.draws else _FIELDS, found, _DROPS))
        if more:
            session.note(f"There are more: the same command with --after {more[0]}")


def _asked(
    vault: Vault, given: dict[str, Any], now: float, on_error: Callable[[TokenKeepError], None]
) -> Iterator[Token]:
    """Return the tokens that were asked for, in the store's order."""
    known = ("user", "client_id", "provider", "environment", "data_center")
    tokens = matching(
        vault,
        Token(**{name: given[name] for name in known}),
        organisation=given["organisation"],
        state=given["state"] and Status(given["state"]),
        after=given["after"] if given["sort"] == "id" else None,
        on_error=on_error,
    )
    if given["ends_within"] is None:
        return tokens
    until = now + given["ends_within"]
    return (each for each in tokens if (login_ends(each) or math.inf) <= until)


def _sorted(
    vault: Vault, tokens: Iterator[Token], given: dict[str, Any], now: float
) -> Iterator[dict[str, Any]]:
    """Return summaries in another order than the store's; with a limit, no more are held."""
    place_of, start = _SORTED_BY[given["sort"]], None
    if given["after"]:
        last = vault.find_token_by_id(given["after"])
        if last is None:
            hint = "It was deleted meanwhile: begin anew, or sort by id"
            raise TokenNotFound("Nothing is behind this token", token_id=given["after"], hint=hint)
        start = place_of(last)
    pairs = ((place_of(token), _summary(token, now)) for token in tokens)
    behind = (pair for pair in pairs if start is None or pair[0] > start)
    if given["limit"]:
        ordered = heapq.nsmallest(given["limit"] + 1, behind, key=itemgetter(0))
    else:
        ordered = sorted(behind, key=itemgetter(0))
    return (each for _, each in ordered)


def _summary(token: Token, now: float) -> dict[str, Any]:
    more = {name: getattr(token, name) for name in ("client_id", *_SHOWN.values())}
    return summary(token, now) | more


def _page(
    found: Iterable[dict[str, Any]], limit: int | None, goes_on: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Yield so many; behind the last one it *goes_on* if there are more."""
    last = ""
    for number, each in enumerate(found):
        if number == limit:
            goes_on(last)
            return
        last = each["id"]
        yield each


def _drawn(sort: str) -> Columns:
    """Return the columns on a terminal, with that by which it is sorted."""
    shown, width = _SHOWN.get(sort, "expires_in"), len("59 minutes ago") if sort in _SHOWN else 7
    return {
        shown if name == "expires_in" else name: width if name == "expires_in" else its
        for name, its in _DRAWN.items()
    }


def _for_people(each: dict[str, Any], sort: str, now: float) -> dict[str, Any]:
    """Return a summary as a terminal shows it; who has no name is shown by the id."""
    told = each | {"place": place(each), "user": each["user"] or each["id"][: _DRAWN["id"]]}
    if sort in _SHOWN:
        at = told[_SHOWN[sort]]
        told[_SHOWN[sort]] = None if at is None else ago(now - at)
    return told


@click.command()
@pass_session
def status(session: Session) -> None:
    """
    Say whether anybody is logged in: as whom, where, until when.

    Exits with 0 if a login works, with 4 if one is needed, and with 3 if there
    is none, or no store. With --quiet it says nothing.
    """
    vault, now, few = session.vault(), session.keeper().clock.now(), list[dict[str, Any]]()
    counts = dict.fromkeys(_STANDINGS, 0)
    with told_last() as troubles:
        with session.progress("Looking"):
            for token in vault.iter_tokens(on_error=troubles.append):
                login = _login(token, vault, now)
                counts[login["state"]] += 1
                if len(few) <= _FEW:
                    few.append(login)
        shown = few if len(few) <= _FEW else []
        _tell(session, {"store": vault.describe(), **counts, "logins": shown})
    if not counts["works"]:
        click.get_current_context().exit(4 if few else 3)


_STANDINGS = {
    "works": ("login works", "logins work"),
    "login_needed": ("needs a new login", "need a new login"),
    "revoked": ("was revoked", "were revoked"),
}
"""How a login stands, and how one or several are told."""


def _login(token: Token, vault: Vault, now: float) -> dict[str, Any]:
    """Return of a stored token whose login it is, where, how it stands, and until when."""
    profile = Profile()  # the usual habits, where its provider is not known here
    with suppress(UnknownName):
        profile = vault.providers.of(token).profile
    verdict = decide(token, now, profile, policies=vault.policies).verdict
    end, by_policy = login_ends(token), vault.policies.ending(token)
    has_ended = end is not None and end <= now and not is_usable(token, now)
    standing = "works"
    if verdict is Verdict.REVOKED:
        standing = "revoked"
    elif has_ended or verdict in (Verdict.LOGIN_NEEDED, Verdict.ENDED):
        standing = "login_needed"
    said = ("id", "user", "provider", "data_center", "environment")
    ends = [at for at in (end, by_policy and by_policy.at) if at is not None]
    return {
        **{name: getattr(token, name) for name in said},
        "state": standing,
        "ends_at": min(ends, default=None),
    }


def _tell(session: Session, facts: dict[str, Any]) -> None:
    if session.json or session.quiet:
        session.tell("", facts)
        return
    there = [counted(facts[name], *words) for name, words in _STANDINGS.items() if facts[name]]
    who = "You are logged in" if facts["works"] else "Nobody is logged in"
    click.echo(visible(f"{who}{': ' if there else ''}{', '.join(there)}"))
    click.echo(visible(f"Store: {facts['store']}"))
    logins = (
        each
        | {
            "place": place(each),
            "until": moment(each["ends_at"]),
            "user": each["user"] or each["id"],
        }
        for each in facts["logins"]
    )
    session.rows(*session.fitted(_LOGINS, logins, ["until", "place"]))
