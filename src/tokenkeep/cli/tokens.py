"""Commands about stored tokens."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import output
from tokenkeep.cli.description import description, in_words, moment, summary
from tokenkeep.cli.failures import together
from tokenkeep.cli.selecting import find, selects_token
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import ConfigurationError, StoreTampered, TokenKeepError, UnknownName
from tokenkeep.providers import Profile
from tokenkeep.token import Status, Token, is_ours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.keeper import Keeper
    from tokenkeep.providers import Providers

COLUMNS: Mapping[str, int | None] = {
    "id": 11,
    "user": None,
    "provider": 8,
    "centre": 6,
    "environment": 11,
    "status": 12,
    "left": 7,
    "login": 7,
}
"""Of a listing on a terminal, with their widths; None is what is left over."""


@click.command("list")
@pass_session
def list_tokens(session: Session) -> None:
    """
    List the stored tokens.

    In a pipe one line each, tab-separated: id, user, provider, data centre,
    environment, status, and the seconds that the access token and the login
    have left, where that is known.
    """
    troubles: list[TokenKeepError] = []
    tokens = session.vault().iter_tokens(on_error=troubles.append)
    found = (summary(each, session.now()) for each in tokens)
    if session.json:
        for each in found:
            output.document(each)
    elif output.is_terminal():
        output.rows(COLUMNS, (_shortened(each) for each in found))
    else:
        output.rows(COLUMNS, (list(each.values()) for each in found))
    if troubles:
        raise together(troubles)


@click.command()
@selects_token
@pass_session
def show(session: Session, asked: Token) -> None:
    """Show all about a token that is not secret."""
    keeper = session.keeper()
    found = describe(keeper, find(session.vault(), asked), session.now())
    if session.json:
        output.document(found)
    else:
        output.facts(in_words(found))


@click.command()
@click.option("--header", is_flag=True, help="Print the header to send: curl -H @- takes it.")
@selects_token
@pass_session
def token(session: Session, asked: Token, *, header: bool) -> None:
    """
    Print a valid access token, renewed if need be; for scripts.

    With --json also what it is good for and how long.
    """
    keeper = session.keeper()
    valid = keeper.get(id=find(session.vault(), asked).id)
    if session.json:
        output.document(credentials(keeper, valid, session.now()))
    else:
        click.echo(authorization(keeper, valid) if header else sendable(valid))


@click.command()
@selects_token
@pass_session
def renew(session: Session, asked: Token) -> None:
    """Renew a token now, whether or not it has to be."""
    keeper = session.keeper()
    renewed = keeper.renew(str(find(session.vault(), asked).id))
    facts = describe(keeper, renewed, session.now())
    left = output.time_left(facts["expires_in"])
    session.tell(f"Renewed {named(renewed)}: {left or 'end not known'} left", facts)


@click.command()
@selects_token
@pass_session
def revoke(session: Session, asked: Token) -> None:
    """
    Revoke a token: here at once, and at the provider.

    If the provider can't be reached, "tokenkeep sweep" goes on trying.
    """
    keeper = session.keeper()
    revoked = keeper.revoke(str(find(session.vault(), asked).id))
    session.tell(f"Revoked {_ended(keeper, revoked)}", describe(keeper, revoked, session.now()))


@click.command()
@selects_token
@pass_session
def logout(session: Session, asked: Token) -> None:
    """
    Revoke a token at the provider and delete it, in one.

    If the provider can't be reached, "tokenkeep sweep" goes on trying.
    """
    keeper = session.keeper()
    ended = keeper.end(str(find(session.vault(), asked).id))
    session.tell(f"Logged out {_ended(keeper, ended)}", _deleted(ended, session.now()))


@click.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@selects_token
@pass_session
def delete(session: Session, asked: Token, *, yes: bool) -> None:
    """
    Delete a token here.

    A token that was not revoked goes on working at the provider: "tokenkeep
    logout" ends it there too.
    """
    keeper = session.keeper()
    try:
        found = find(session.vault(), asked)
    except StoreTampered as exc:
        found = _closed(session, asked, exc)  # what does not open can be deleted all the same
    if not yes:
        confirm(f"Delete {output.visible(named(found))}?")
    was = keeper.delete(str(found.id)) or found
    told = ""
    if was.renewal.to_revoke:
        told = "; what the provider has not confirmed to be revoked is tried by: tokenkeep sweep"
        if why := why_unconfirmed(keeper.providers, was):
            told = f"; it was revoked here, but not at the provider: {why}"
    elif was.status is not Status.REVOKED and was.refresh_token:
        told = "; it was not revoked and goes on working at the provider"
    session.tell(f"Deleted {named(was)}{told}", _deleted(was, session.now()))


@click.command()
@pass_session
def sweep(session: Session) -> None:
    """
    Tidy up after crashes and outages; run it now and then.

    Saves answers that could not be saved, finishes revocations, drops what
    first logins and ids of deleted tokens have left behind.
    """
    troubles: list[TokenKeepError] = []
    swept = asdict(session.keeper().sweep(on_error=troubles.append))
    session.tell(", ".join(f"{name}: {count}" for name, count in swept.items()), swept)
    if troubles:
        raise troubles[0]


def _closed(session: Session, asked: Token, exc: StoreTampered) -> Token:
    """Return what is known of the row that is meant and does not open, if it is the only one."""
    if any((asked.client_id, asked.environment, asked.data_center)):
        raise exc
    if asked.id:
        is_meant = is_ours(asked.id) or not asked.id.startswith("tk_")  # and no beginning of one
    else:
        closed: list[TokenKeepError] = []
        others = session.vault().iter_tokens(user=asked.user, on_error=closed.append)
        is_meant = next(others, None) is None and len(closed) == 1
    if not is_meant or not exc.token_id:
        raise exc
    try:
        session.vault().reread(exc.token_id)
    except StoreTampered:
        return Token(id=exc.token_id)
    raise exc  # that id leads to something else, or to nothing: it was edited, too


def confirm(question: str) -> None:
    """
    Ask whether to go on.

    Raises:
        click.Abort: The answer is no.
        click.UsageError: Nobody is there to answer.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as abort:
        # click hides the cause ("from None"), which leaves the context.
        if not isinstance(abort.__context__, EOFError):
            raise
    else:
        return
    raise click.UsageError("Nothing was done: there is no terminal to ask at. Use --yes")


def describe(keeper: Keeper, token: Token, now: float) -> dict[str, Any]:
    """Return everything about a stored token that is not secret."""
    profile = Profile()  # the usual habits, where its provider is not known here
    with suppress(UnknownName):
        profile = keeper.providers.of(token).profile
    return description(token, profile, now)


def why_unconfirmed(providers: Providers, token: Token) -> ConfigurationError | None:
    """Return why a token can't be revoked at its provider, as configured. None if it can."""
    try:
        providers.of(token).revocation_endpoint(token)
    except ConfigurationError as exc:
        return exc
    return None


def credentials(keeper: Keeper, token: Token, now: float) -> dict[str, object]:
    """Return what it takes to call the API; the access token is in it."""
    return {
        "access_token": sendable(token),
        "authorization": authorization(keeper, token).partition(": ")[2],
        "api_domain": token.api_domain,
        "expires_at": moment(token.expires_at),
        "expires_in": summary(token, now)["expires_in"],
    }


def sendable(token: Token) -> str:
    """
    Return the access token, which is safe in a header and on a line of its own.

    Raises:
        TokenKeepError: It has characters that no header can carry.
    """
    value = token.access_token or ""
    if not (value.isascii() and value.isprintable()):
        raise TokenKeepError(
            "The access token has characters in it that can't be sent",
            token_id=token.id,
            user=token.user,
            hint="Log in again",
        )
    return value


def authorization(keeper: Keeper, token: Token) -> str:
    """Return the line of the ``Authorization`` header that the token's API takes."""
    scheme = keeper.providers.of(token).authorization_scheme
    return f"Authorization: {scheme} {sendable(token)}"


def named(token: Token) -> str:
    """Return how a sentence names a token."""
    return f"{token.user} ({token.id})" if token.user else f"token {token.id}"


def _ended(keeper: Keeper, token: Token) -> str:
    """Name a token that was revoked here, and say whether it is at the provider too."""
    if not token.renewal.to_revoke:
        return f"{named(token)}; the provider has confirmed it"
    if why := why_unconfirmed(keeper.providers, token):
        return f"{named(token)}; but not at the provider: {why}"
    return f"{named(token)}; the provider has not confirmed it yet, run: tokenkeep sweep"


def _deleted(token: Token, now: float) -> dict[str, object]:
    return {
        "deleted": summary(token, now),
        "revocation_pending": bool(token.renewal.to_revoke),
    }


def _shortened(found: dict[str, object]) -> list[object]:
    token_id, *others, left, login_left = found.values()
    words = (
        output.time_left(each) if isinstance(each, int) else None for each in (left, login_left)
    )
    return [str(token_id)[: COLUMNS["id"]], *others, *words]
