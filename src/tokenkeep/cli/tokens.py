"""Commands about stored tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tokenkeep.cli.description import describe, in_words, named, summary
from tokenkeep.cli.output import Columns, document, time_left, together, visible
from tokenkeep.cli.selecting import selects_token
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import ConfigurationError, TokenKeepError
from tokenkeep.token import Status

if TYPE_CHECKING:
    from tokenkeep.keeper import Keeper
    from tokenkeep.providers import Providers
    from tokenkeep.token import Token

COLUMNS: Columns = {
    "id": 11,
    "user": None,
    "provider": 8,
    "data_center": 6,
    "environment": 11,
    "status": 12,
    "expires_in": 7,
    "refresh_expires_in": 7,
}


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
    clock = session.keeper().clock
    tokens = session.vault().iter_tokens(on_error=troubles.append)
    session.rows(COLUMNS, (summary(each, clock.now()) for each in tokens))
    if troubles:
        raise together(troubles)


@click.command()
@selects_token()
def show(session: Session, keeper: Keeper, token: Token) -> None:
    """Show all about a token that is not secret."""
    found = describe(keeper, token)
    session.facts(found, in_words(found))


@click.command()
@click.option("--header", is_flag=True, help="Print the header to send: curl -H @- takes it.")
@selects_token()
def token(session: Session, keeper: Keeper, token: Token, *, header: bool) -> None:
    """
    Print a valid access token, renewed if need be; for scripts.

    With --json also what it is good for and how long.
    """
    valid = keeper.get(id=token.id)
    access = valid.access_token or ""
    if not (access.isascii() and access.isprintable()):  # it could add a header, or a line
        raise TokenKeepError(
            "The access token has characters in it that can't be sent",
            token_id=valid.id,
            user=valid.user,
            hint="Log in again",
        )
    authorization = f"{keeper.providers.of(valid).authorization_scheme} {access}"
    if session.json:
        facts = describe(keeper, valid)
        told = {name: facts[name] for name in ("api_domain", "expires_at", "expires_in")}
        document({"access_token": access, "authorization": authorization, **told})
    else:
        click.echo(f"Authorization: {authorization}" if header else access)


@click.command()
@selects_token()
def renew(session: Session, keeper: Keeper, token: Token) -> None:
    """Renew a token now, whether or not it has to be."""
    renewed = keeper.renew(str(token.id))
    facts = describe(keeper, renewed)
    left = time_left(facts["expires_in"]) or "end not known"
    session.tell(f"Renewed {named(renewed)}: {left} left", facts)


@click.command()
@selects_token()
def revoke(session: Session, keeper: Keeper, token: Token) -> None:
    """
    Revoke a token: here at once, and at the provider.

    If the provider can't be reached, "tokenkeep sweep" goes on trying.
    """
    revoked = keeper.revoke(str(token.id))
    session.tell(f"Revoked {_ended(keeper, revoked)}", describe(keeper, revoked))


@click.command()
@selects_token()
def logout(session: Session, keeper: Keeper, token: Token) -> None:
    """
    Revoke a token at the provider and delete it, in one.

    If the provider can't be reached, "tokenkeep sweep" goes on trying.
    """
    ended = keeper.end(str(token.id))
    session.tell(f"Logged out {_ended(keeper, ended)}", _deleted(keeper, ended))


@click.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@selects_token(even_closed=True)
def delete(session: Session, keeper: Keeper, token: Token, *, yes: bool) -> None:
    """
    Delete a token here.

    A token that was not revoked goes on working at the provider: "tokenkeep
    logout" ends it there too.
    """
    confirm(f"Delete {visible(named(token))}?", yes=yes)
    was = keeper.delete(str(token.id)) or token
    told = ""
    if was.renewal.to_revoke:
        told = "; what the provider has not confirmed to be revoked is tried by: tokenkeep sweep"
        if why := why_unconfirmed(keeper.providers, was):
            told = f"; it was revoked here, but not at the provider: {why}"
    elif was.status is not Status.REVOKED and was.refresh_token:
        told = "; it was not revoked and goes on working at the provider"
    session.tell(f"Deleted {named(was)}{told}", _deleted(keeper, was))


@click.command()
@pass_session
def sweep(session: Session) -> None:
    """
    Tidy up after crashes and outages; run it now and then.

    Saves answers that could not be saved, finishes revocations, drops what
    first logins and ids of deleted tokens have left behind.
    """
    troubles: list[TokenKeepError] = []
    with session.progress("Sweeping"):
        swept = asdict(session.keeper().sweep(on_error=troubles.append))
    session.tell(", ".join(f"{name}: {count}" for name, count in swept.items()), swept)
    if troubles:
        raise troubles[0]


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if ``--yes`` or the answer says so; else `click.Abort`, or a `UsageError`."""
    try:
        _ = yes or click.confirm(question, abort=True, err=True)
    except click.Abort as abort:
        # click hides the cause ("from None"), which leaves the context.
        if not isinstance(abort.__context__, EOFError):
            raise
        what = "Nothing was done: there is no terminal to ask at. Use --yes"
        raise click.UsageError(what) from None


def why_unconfirmed(providers: Providers, token: Token) -> ConfigurationError | None:
    """Return why a token can't be revoked at its provider, as configured. None if it can."""
    try:
        providers.of(token).revocation_endpoint(token)
    except ConfigurationError as exc:
        return exc
    return None


def _ended(keeper: Keeper, token: Token) -> str:
    """Name a token that was revoked here, and say whether it is at the provider too."""
    if not token.renewal.to_revoke:
        return f"{named(token)}; the provider has confirmed it"
    if why := why_unconfirmed(keeper.providers, token):
        return f"{named(token)}; but not at the provider: {why}"
    return f"{named(token)}; the provider has not confirmed it yet, run: tokenkeep sweep"


def _deleted(keeper: Keeper, token: Token) -> dict[str, object]:
    return {
        "deleted": summary(token, keeper.clock.now()),
        "revocation_pending": bool(token.renewal.to_revoke),
    }
