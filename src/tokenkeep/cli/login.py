"""The command that logs a user in: by a person's consent, or with a self client's code."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tokenkeep import environment
from tokenkeep.cli import browser, secrets_in
from tokenkeep.cli.description import describe, named
from tokenkeep.cli.session import Session, filled, pass_session
from tokenkeep.config import settings
from tokenkeep.errors import ProviderUnavailable, TokenKeepError
from tokenkeep.keeper import Keeper
from tokenkeep.login import DEFAULT_SCOPES, NotThisLogin, WebLogin, sign_in, zoho_of
from tokenkeep.lookup import trimmed
from tokenkeep.providers import address
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

CLIENT_ID = "TOKENKEEP_CLIENT_ID"
CLIENT_SECRET = "TOKENKEEP_CLIENT_SECRET"  # noqa: S105  # the variable's name

REDIRECT = "http://127.0.0.1:8417/callback"
DEFAULT = " and ".join(DEFAULT_SCOPES)

PATIENCE = 300.0
"""Seconds to wait for the browser."""


@click.command()
@click.option(
    "--client-id", envvar=CLIENT_ID, show_envvar=True, required=True, metavar="ID", type=filled
)
@click.option("--client-secret-file", metavar="FILE", help=f"Its secret. Else {CLIENT_SECRET}.")
@click.option("--public", is_flag=True, help="The client has no secret.")
@click.option("--data-center", metavar="NAME", default="us", show_default=True, help="Its home.")
@click.option("--environment", metavar="NAME", help="production, sandbox or developer.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help=f"Else {DEFAULT}.")
@click.option("--user", metavar="EMAIL:ZGID", type=filled, help="Else the provider is asked.")
@click.option("--redirect-uri", metavar="URI", type=filled, default=REDIRECT, show_default=True)
@click.option("--no-browser", is_flag=True, help="Paste the address by hand.")
@click.option("--grant-file", metavar="FILE", help="Has a self client's code; - asks for it.")
@pass_session
def login(session: Session, /, **given: Any) -> None:
    """
    Log a user in and store the token.

    A browser opens; after consent the token is in the store, under the name
    that the official SDK gives its user. The redirect URI
    http://127.0.0.1:8417/callback has to be registered for the client.
    """
    uri, by_code = given["redirect_uri"], given["grant_file"]
    waiting: AbstractContextManager[browser.Loopback | None] = nullcontext()
    if given["no_browser"]:
        address.parse(uri)
    elif not by_code:
        waiting = browser.Loopback(uri)
    with waiting as here:
        zoho = zoho_of(settings(store=session.store).providers())
        center = zoho.table.by_name(given["data_center"])
        if given["environment"]:
            center.api_domain(given["environment"])  # or there is no such environment
        wanted = Token(
            client_id=environment.plain(given["client_id"]),
            client_secret=None if given["public"] else client_secret(given["client_secret_file"]),
            environment=given["environment"],
            data_center=center.name,
            user=given["user"],
            grant_token=by_code and secrets_in.from_file(by_code, "grant code"),
        )
        # Only now that all is known; but before anybody consents to what can't be kept.
        keeper = Keeper(session.open(session.url(), make=True))
        # It gives a notice that is being told the time to be so.
        click.get_current_context().call_on_close(keeper.close)
        if by_code:
            token = sign_in(keeper, wanted, session.note)
        else:
            logins = WebLogin(
                keeper,
                client_id=str(wanted.client_id),
                client_secret=wanted.client_secret,
                redirect_uri=here.redirect_uri if here else uri,
                data_center=center.name,
                scopes=scopes_of(given["scopes"]),
                environment=wanted.environment,
            )
            browser_id = secrets.token_urlsafe(32)
            url = logins.begin(browser_id, user=given["user"])
            finish = partial(logins.finish, browser=browser_id, note=session.note)
            token = consented(url, here, finish) if here else pasted(url, finish)
    told = f"Logged in {named(token)}: {token.data_center}, {token.environment}"
    session.tell(told, describe(keeper, token))


def client_secret(path: str | None) -> str:
    """Return the client secret from a file, the environment or a prompt."""
    if path is not None:
        return secrets_in.from_file(path)
    given = trimmed(environment.given(os.environ, CLIENT_SECRET))
    instead = f"--client-secret-file FILE, or {CLIENT_SECRET}"
    return given or secrets_in.from_prompt("client secret", instead)


def scopes_of(texts: tuple[str, ...]) -> list[str] | None:
    """Return what to ask for. None if nothing is said."""
    return [each for text in texts for each in text.replace(",", " ").split()] or None


def pasted(url: str, finish: Callable[[str], Token]) -> Token:
    """Let a person bring the answer by hand, and make a stored token of it."""
    click.echo(f"Open this address in a browser:\n\n{url}\n", err=True)
    click.echo("The page it ends on need not load: its address is the answer.", err=True)
    try:
        # In no local variable: a code is a secret.
        return finish(click.prompt("Paste that address", err=True))
    except click.Abort as exc:
        if not isinstance(exc.__context__, EOFError):  # a Ctrl-C
            raise
        raise click.UsageError("There is no terminal to paste the address in") from None
    except NotThisLogin:
        raise click.UsageError(
            "That address is not the answer to this login. Nothing was sent; start again"
        ) from None


def consented(url: str, here: browser.Loopback, finish: Callable[[str], Token]) -> Token:
    """Ask in a browser, make a stored token of what comes back, and tell it there how it went."""
    click.echo(f"If no browser opens, open this address in one:\n\n{url}\n", err=True)
    deadline = time.monotonic() + PATIENCE
    with browser.leading_to(url):
        while visit := here.next_visit(deadline):
            try:
                token = finish(visit.query)
            except NotThisLogin:
                click.echo("An answer to another login was refused; still waiting", err=True)
                visit.show(400, "Not this login", "This answer belongs to no login of here.")
            except Exception as exc:
                known = isinstance(exc, TokenKeepError)
                visit.show(400, "The login failed", str(exc) if known else "The command says why.")
                raise
            else:
                visit.show(200, "Logged in", f"{named(token)}. You can close this window.")
                return token
    raise ProviderUnavailable(
        f"Nobody came back from the login within {PATIENCE:g} seconds",
        hint="Run tokenkeep login again; --no-browser lets you paste the address",
    )
