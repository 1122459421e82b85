"""The command that logs a user in: by a person's consent, or with a self client's code."""

from __future__ import annotations

import os
import sys
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tokenkeep import environment
from tokenkeep.cli import browser, secrets_in
from tokenkeep.cli.description import describe, named
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.config import settings
from tokenkeep.errors import ProviderUnavailable, TokenKeepError
from tokenkeep.keeper import Keeper
from tokenkeep.login import (
    DEFAULT_SCOPES,
    AuthorizationRequest,
    Code,
    NotThisLogin,
    Wanted,
    check_environment,
    sign_in,
    with_user_scopes,
    zoho_of,
)
from tokenkeep.lookup import trimmed
from tokenkeep.providers.address import is_sendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.token import Token

CLIENT_ID = "TOKENKEEP_CLIENT_ID"
CLIENT_SECRET = "TOKENKEEP_CLIENT_SECRET"  # noqa: S105  # the variable's name

REDIRECT = "http://127.0.0.1:8417/callback"
DEFAULT = " and ".join(DEFAULT_SCOPES)


@click.command()
@click.option("--client-id", envvar=CLIENT_ID, show_envvar=True, metavar="ID", type=trimmed)
@click.option("--client-secret-file", metavar="FILE", help=f"Its secret. Else {CLIENT_SECRET}.")
@click.option("--public", is_flag=True, help="The client has no secret.")
@click.option("--data-center", metavar="NAME", default="us", show_default=True, help="Its home.")
@click.option("--environment", metavar="NAME", help="production, sandbox or developer.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help=f"Else {DEFAULT}.")
@click.option("--user", metavar="EMAIL:ZGID", type=trimmed, help="Else the provider is asked.")
@click.option("--redirect-uri", metavar="URI", type=trimmed, default=REDIRECT, show_default=True)
@click.option("--no-browser", is_flag=True, help="Paste the address by hand.")
@click.option("--timeout", type=click.FloatRange(1, 86_400), default=300.0, show_default=True)
@click.option("--grant", is_flag=True, help="Ask for a self client's code, or read a pipe.")
@click.option("--grant-file", metavar="FILE", help="Has a self client's code; - is stdin.")
@pass_session
def login(session: Session, /, **given: Any) -> None:
    """
    Log a user in and store the token.

    A browser opens; after consent the token is in the store, under the name
    that the official SDK gives its user. The redirect URI
    http://127.0.0.1:8417/callback has to be registered for the client.
    """
    uri = given["redirect_uri"] or REDIRECT
    by_code = bool(given["grant"] or given["grant_file"])
    if given["no_browser"] and not (browser.here(uri) or is_sendable(uri)):
        raise browser.not_here(uri)
    waiting = nullcontext() if by_code or given["no_browser"] else browser.listening(uri)
    with waiting as here:
        table = zoho_of(settings(store=session.store).providers()).table
        center = table.by_name(given["data_center"])
        check_environment(center, given["environment"])
        wanted = Wanted(
            client_id=environment.plain(given["client_id"] or client_id()),
            client_secret=None if given["public"] else client_secret(given["client_secret_file"]),
            environment=given["environment"],
            scopes=None if by_code else scopes_of(given),
            user=given["user"],
        )
        code = Code(value=grant_code(given["grant_file"]), data_center=center) if by_code else None
        # Only now that all is known; but before anybody consents to what can't be kept.
        keeper = Keeper(session.open(session.url(), make=True))
        sign = partial(sign_in, keeper, wanted, note=session.note)
        if code is not None:
            token = sign(code)
        else:
            request = AuthorizationRequest(
                table,
                center,
                client_id=wanted.client_id,
                redirect_uri=here.redirect_uri if here else uri,
                scopes=wanted.scopes or (),
            )
            token = consented(request, here, sign, given["timeout"])
    told = f"Logged in {named(token)}: {token.data_center}, {token.environment}"
    session.tell(told, describe(keeper, token))


def client_id() -> str:
    """Ask for the client id, which is no secret."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"Give --client-id, or {CLIENT_ID}")
    return trimmed(click.prompt("Client id", err=True))


def client_secret(path: str | None) -> str:
    """Return the client secret from a file, the environment or a prompt."""
    if path is not None:
        return secrets_in.from_file(path)
    given = trimmed(environment.given(os.environ, CLIENT_SECRET))
    instead = f"--client-secret-file FILE, or {CLIENT_SECRET}"
    return given or secrets_in.from_prompt("client secret", instead)


def grant_code(path: str | None) -> str:
    """Return the code that a self client made in the API console."""
    if path or not sys.stdin.isatty():
        return secrets_in.from_file(path or "-", "grant code")
    return secrets_in.from_prompt("grant code", "")


def scopes_of(given: dict[str, Any]) -> list[str]:
    """Return what to ask for: also for naming the user, where nobody did."""
    scopes = [each for text in given["scopes"] for each in text.replace(",", " ").split()]
    scopes = list(dict.fromkeys(scopes or DEFAULT_SCOPES))
    return scopes if given["user"] else with_user_scopes(scopes)


def consented(
    request: AuthorizationRequest,
    here: browser.Loopback | None,
    sign: Callable[[Code], Token],
    timeout: float,
) -> Token:
    """
    Ask a person in a browser, make a stored token of the code, and tell it there how it went.

    It comes back *here* within *timeout* seconds; None: the person brings the answer by hand.
    """
    if here is None:
        click.echo(f"Open this address in a browser:\n\n{request.url}\n", err=True)
        click.echo("The page it ends on need not load: its address is the answer.", err=True)
        try:
            # In no local variable: a code is a secret.
            code = request.accept(click.prompt("Paste that address", err=True))
        except NotThisLogin:
            raise click.UsageError(
                "That address is not the answer to this login. Nothing was sent; start again"
            ) from None
        return sign(code)
    outcome: list[Token | Exception] = []

    def answer(query: str) -> browser.Page:
        try:
            outcome.append(token := sign(request.accept(query)))
        except NotThisLogin:
            return 400, "Not this login", "This answer belongs to no login of here."
        except Exception as exc:  # noqa: BLE001 - it ends the wait, and is raised there
            trace = exc.__traceback__  # but for this frame, which has the code
            outcome.append(exc.with_traceback(trace and trace.tb_next))
            known = isinstance(exc, TokenKeepError)
            return 400, "The login failed", str(exc) if known else "The command says why."
        return 200, "Logged in", f"{named(token)}. You can close this window."

    click.echo(f"If no browser opens, open this address in one:\n\n{request.url}\n", err=True)
    deadline = time.monotonic() + timeout
    with browser.leading_to(request.url):
        while not outcome:
            if not here.visit(answer, deadline - time.monotonic()):
                raise ProviderUnavailable(
                    f"Nobody came back from the login within {timeout:g} seconds",
                    hint="Run tokenkeep login again; --no-browser lets you paste the address",
                )
            if not outcome:
                click.echo("An answer to another login was refused; still waiting", err=True)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
