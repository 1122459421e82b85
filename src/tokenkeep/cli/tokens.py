"""Commands about stored tokens, and which one is meant: an id, or a user as the SDK names them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli.description import FIELDS, describe, in_words, named, place, summary
from tokenkeep.cli.session import Columns, Session, filled, pass_session, time_left, told_last
from tokenkeep.errors import AmbiguousLookup, StoreTampered, visible
from tokenkeep.store import not_found
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.keeper import Keeper
    from tokenkeep.vault import Vault

_FIELDS: Columns = dict.fromkeys(FIELDS, 0)
_DRAWN = {"id": 11, "place": 12, "status": 12, "expires_in": 7, "refresh_expires_in": 7, "user": 0}
"""What fits into 80 columns."""

_SHORTEST_PREFIX = len("tk_0123")
_NARROWING = ("client_id", "environment", "data_center")


def selects_token(command: Callable[..., None], *, even_closed: bool = False) -> Any:
    """
    Give a command the options that say which token.

    It is called with its session, its keeper, the token and its own options. With *even_closed*
    a row that does not open is found by its id alone; nothing else of it is known then.
    """

    @click.argument("token_id", metavar="[ID]", required=False, type=filled)
    @click.option("--user", metavar="EMAIL:ZGID", type=filled, help="Whose, as the SDK says it.")
    @click.option("--client-id", metavar="ID", type=filled, help="Only of this client.")
    @click.option("--environment", metavar="NAME", type=filled, help="Only of this environment.")
    @click.option("--data-center", metavar="NAME", type=filled, help="Only of this data centre.")
    @pass_session
    @wraps(command)
    def run(session: Session, token_id: str | None, **given: Any) -> None:
        asked = Token(id=token_id, **{name: given.pop(name) for name in ("user", *_NARROWING)})
        if bool(asked.id) == bool(asked.user):
            raise click.UsageError("Say which token, by an ID or by --user EMAIL:ZGID")
        try:
            token = find(session.vault(), asked)
        except StoreTampered as exc:
            token = Token(id=exc.token_id)
            if not even_closed or token != asked:
                raise
        command(session, session.keeper(), token, **given)

    return run


def find(vault: Vault, asked: Token) -> Token:
    """
    Return the stored token that is meant, whatever its status.

    By its id, or by how that begins, as listings on a terminal show ids. It has to begin with
    ``tk_``: anything else may be somebody's own id. `TokenNotFound` says what was asked for.
    """
    given = {f"--{name.replace('_', '-')}": getattr(asked, name) for name in _NARROWING}
    try:
        found = vault.find_token(asked) or _begun(vault, asked)
    except AmbiguousLookup as exc:
        for option in given:
            exc.hint = str(exc.hint).replace(option[2:].replace("-", "_"), option)
        raise
    if found:
        return found
    missing = not_found(vault, token_id=asked.id, user=asked.user)
    if said := " ".join(f"{option} {value}" for option, value in given.items() if value):
        missing.what += f" with {said}"
        missing.hint = "Leave that out, or see tokenkeep list"
    elif asked.id and "@" in asked.id:
        missing.hint = f"Is that a user? Say: --user {visible(asked.id)}"
    raise missing


def _begun(vault: Vault, asked: Token) -> Token | None:
    prefix = asked.id or ""
    if not prefix.startswith("tk_") or len(prefix) < _SHORTEST_PREFIX:
        return None
    begun = vault.begin_with(prefix, 2)
    if len(begun) > 1:
        what = f"Several tokens have an id that begins with {prefix}"
        raise AmbiguousLookup(what, hint="Say more of it")
    return vault.find_token(asked.but(id=begun[0].id)) if begun else None


@click.command("list")
@pass_session
def list_tokens(session: Session) -> None:
    """
    List the stored tokens.

    In a pipe one line each, tab-separated: id, user, provider, data centre,
    environment, status, and the seconds that the access token and the login
    have left, where that is known.
    """
    clock, columns = session.keeper().clock, _DRAWN if session.draws else _FIELDS
    with told_last() as troubles:
        tokens = session.vault().iter_tokens(on_error=troubles.append)
        found = (summary(each, clock.now()) for each in tokens)
        if session.draws:
            found = (each | {"place": place(each)} for each in found)
        session.rows(columns, found)


@click.command()
@selects_token
def show(session: Session, keeper: Keeper, token: Token) -> None:
    """Show all about a token that is not secret."""
    found = describe(keeper, token)
    session.facts(found, {name: in_words(name, found[name]) for name in found})


@click.command()
@click.option("--header", is_flag=True, help="Print the header to send: curl -H @- takes it.")
@selects_token
def token(session: Session, keeper: Keeper, token: Token, *, header: bool) -> None:
    """
    Print a valid access token, renewed if need be; for scripts.

    With --json also what it is good for and how long.
    """
    valid = keeper.get(id=token.id)
    access = valid.access_token or ""
    authorization = f"{keeper.providers.of(valid).authorization_scheme} {access}"
    facts = describe(keeper, valid)
    told = {name: facts[name] for name in ("api_domain", "expires_at", "expires_in")}
    session.answer(
        f"Authorization: {authorization}" if header else access,
        {"access_token": access, "authorization": authorization, **told},
    )


@click.command()
@selects_token
def renew(session: Session, keeper: Keeper, token: Token) -> None:
    """Renew a token now, whether or not it has to be."""
    renewed = keeper.renew(str(token.id))
    facts = describe(keeper, renewed)
    left = time_left(facts["expires_in"]) or "end not known"
    session.tell(f"Renewed {named(renewed)}: {left} left", facts)


@click.command()
@selects_token
def revoke(session: Session, keeper: Keeper, token: Token) -> None:
    """
    Revoke a token: here at once, and at the provider.

    If the provider can't be reached, "tokenkeep sweep" goes on trying.
    """
    revoked = keeper.revoke(str(token.id))
    session.tell(f"Revoked {_ended(revoked)}", describe(keeper, revoked))


@click.command()
@selects_token
def logout(session: Session, keeper: Keeper, token: Token) -> None:
    """
    Revoke a token at the provider and delete it, in one.

    If the provider can't be reached, "tokenkeep sweep" goes on trying.
    """
    ended = keeper.end(str(token.id))
    session.tell(f"Logged out {_ended(ended)}", _deleted(keeper, ended))


@click.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@partial(selects_token, even_closed=True)
def delete(session: Session, keeper: Keeper, token: Token, *, yes: bool) -> None:
    """
    Delete a token here.

    A token that was not revoked goes on working at the provider: "tokenkeep
    logout" ends it there too.
    """
    confirm(f"Delete {visible(named(token))}?", yes=yes)
    was = keeper.delete(str(token.id)) or token
    told = named(was)
    if was.renewal.to_revoke:
        told = _ended(was)
    elif was.status is not Status.REVOKED and was.refresh_token:
        told += "; it was not revoked and goes on working at the provider"
    session.tell(f"Deleted {told}", _deleted(keeper, was))


@click.command()
@pass_session
def sweep(session: Session) -> None:
    """
    Tidy up after crashes and outages; run it now and then.

    Saves answers that could not be saved, finishes revocations, tells of tokens
    that died and of outages, drops what first logins and ids of deleted tokens
    have left behind.
    """
    with told_last() as troubles:
        with session.progress("Sweeping"):
            swept = asdict(session.keeper().sweep(on_error=troubles.append))
        session.tell(", ".join(f"{name}: {count}" for name, count in swept.items()), swept)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if ``--yes`` or the answer says so."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Nothing was done: there is no terminal to ask at. Use --yes")
    if not yes and not click.confirm(question, err=True):
        raise click.ClickException("Nothing was done")


def _ended(token: Token) -> str:
    """Name a token that was revoked here, and say whether it is at the provider too."""
    if not token.renewal.to_revoke:
        return f"{named(token)}; the provider has confirmed it"
    return f"{named(token)}; the provider has not confirmed it yet, run: tokenkeep sweep"


def _deleted(keeper: Keeper, token: Token) -> dict[str, object]:
    pending = bool(token.renewal.to_revoke)
    return {"deleted": summary(token, keeper.clock.now()), "revocation_pending": pending}
