"""The command that logs a user in."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tokenkeep import environment
from tokenkeep.cli import consent, loopback, secrets_in
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.cli.tokens import describe, named
from tokenkeep.login import (
    DEFAULT_SCOPES,
    AuthorizationRequest,
    Code,
    Wanted,
    check_environment,
    sign_in,
    with_user_scopes,
    zoho_of,
)
from tokenkeep.lookup import trimmed
from tokenkeep.providers.address import is_sendable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tokenkeep.cli.loopback import Loopback
    from tokenkeep.keeper import Keeper
    from tokenkeep.providers.zoho_data_centers import DataCenter
    from tokenkeep.token import Token

CLIENT_ID = "TOKENKEEP_CLIENT_ID"
CLIENT_SECRET = "TOKENKEEP_CLIENT_SECRET"  # noqa: S105  # the variable's name

REDIRECT_URI = "http://127.0.0.1:{port}/callback"
PORT = 8417


@click.command()
@click.option(
    "--client-id", envvar=CLIENT_ID, show_envvar=True, metavar="ID", type=trimmed,
    help="Of the API console.",
)  # fmt: skip
@click.option(
    "--client-secret-file", metavar="FILE", help=f"Has the client secret; - is standard input. "
    f"Else {CLIENT_SECRET}, else it is asked for.",
)  # fmt: skip
@click.option("--public", is_flag=True, help="The client has no secret.")
@click.option(
    "--data-center", metavar="NAME", default="us", show_default=True,
    help="Where the client is registered; its users may live elsewhere.",
)  # fmt: skip
@click.option("--environment", metavar="NAME", help="production, sandbox or developer.")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="What to ask for; several times, "
    "or with commas. Else ZohoCRM.modules.ALL and ZohoCRM.settings.ALL.",
)  # fmt: skip
@click.option(
    "--user",
    metavar="EMAIL:ZGID",
    type=trimmed,
    help="Whose token it is. Else the provider is asked.",
)  # fmt: skip
@click.option("--redirect-uri", metavar="URI", type=trimmed, help="As registered for the client.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Of the redirect URI "
    f"{REDIRECT_URI.format(port='PORT')}; {PORT} if not given.",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Paste the address by hand.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86_400),
    default=300.0,
    show_default=True,
    help="Seconds to wait.",
)
@click.option(
    "--grant", is_flag=True, help="Ask for a self client's code instead, or read it from a pipe."
)
@click.option(
    "--grant-file", metavar="FILE", help="Has a self client's code; - is standard input."
)
@pass_session
def login(session: Session, /, **given: Any) -> None:
    """
    Log a user in and store the token.

    A browser opens; after consent the token is in the store, under the name
    that the official SDK gives its user. The redirect URI
    http://127.0.0.1:8417/callback has to be registered for the client.
    """
    check(given)
    with listening(given) as here:
        keeper = session.keeper(make=True)
        center = zoho_of(keeper).table.by_name(given["data_center"])
        check_environment(center, given["environment"])
        if by_code(given):
            token = by_grant(session, keeper, center, given)
        else:
            token = by_consent(session, keeper, center, given, here)
    session.tell(
        f"Logged in {named(token)}: {token.data_center}, {token.environment}",
        describe(keeper, token, session.now()),
    )


def check(given: dict[str, Any]) -> None:
    """Refuse options that contradict each other, before anything is opened."""
    environment.given(os.environ, CLIENT_ID, secret=False)
    if given["redirect_uri"] and given["port"] is not None:
        raise click.UsageError("Give --redirect-uri or --port, not both")
    if given["grant"] and given["grant_file"]:
        raise click.UsageError("Give --grant or --grant-file, not both")
    secret_is_piped = given["client_secret_file"] == "-"  # noqa: S105  # not a password
    if secret_is_piped and (given["grant_file"] == "-" or given["grant"] or given["no_browser"]):
        raise click.UsageError("Standard input can be read for one thing only")
    if not by_code(given):
        uri = redirect_uri(given)
        if not loopback.is_here(uri) and not (given["no_browser"] and is_sendable(uri)):
            raise click.UsageError(
                f"Nobody can wait at the redirect URI {uri!r}. {loopback.WHAT_IS_HERE}"
            )


def by_code(given: dict[str, Any]) -> bool:
    """Tell whether a self client's code is brought, instead of asking a person."""
    return bool(given["grant"] or given["grant_file"])


def redirect_uri(given: dict[str, Any]) -> str:
    """Return where the answer will be sent to."""
    port = PORT if given["port"] is None else given["port"]
    return given["redirect_uri"] or REDIRECT_URI.format(port=port)


def listening(given: dict[str, Any]) -> AbstractContextManager[Loopback | None]:
    """Listen at the redirect URI. None in it: nobody does, the answer is brought by hand."""
    if by_code(given) or given["no_browser"]:
        return nullcontext()
    return loopback.Loopback(redirect_uri(given))


def wanted(given: dict[str, Any], scopes: list[str] | None) -> Wanted:
    """Return what is to be logged in, asking for what was not given."""
    return Wanted(
        client_id=(given["client_id"] or "").strip() or ask_client_id(),
        client_secret=None if given["public"] else client_secret(given["client_secret_file"]),
        environment=given["environment"],
        scopes=scopes,
        user=given["user"],
    )


def ask_client_id() -> str:
    """Ask for the client id, which is no secret."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"Give --client-id, or {CLIENT_ID}")
    asked: str = click.prompt("Client id", err=True)
    return trimmed(asked)


def client_secret(path: str | None) -> str:
    """Return the client secret from a file, the environment or a prompt."""
    if path is not None:
        return secrets_in.from_file(path)
    given = trimmed(environment.given(os.environ, CLIENT_SECRET))
    return given or secrets_in.from_prompt(
        "client secret", f"--client-secret-file FILE, or {CLIENT_SECRET}"
    )


def scopes_of(given: dict[str, Any]) -> list[str]:
    """Return what to ask for: also for naming the user, where nobody did."""
    scopes = [each for text in given["scopes"] for each in text.replace(",", " ").split()]
    scopes = list(dict.fromkeys(scopes or DEFAULT_SCOPES))
    return scopes if given["user"] else with_user_scopes(scopes)


def by_grant(session: Session, keeper: Keeper, center: DataCenter, given: dict[str, Any]) -> Token:
    """Log in with a code that a self client made in the API console."""
    asked = wanted(given, None)
    path = given["grant_file"]
    if path is None and not sys.stdin.isatty():
        path = "-"
    value = (
        secrets_in.from_file(path, "grant code")
        if path
        else secrets_in.from_prompt("grant code", "")
    )
    return sign_in(keeper, asked, Code(value=value, data_center=center), session.note)


def by_consent(
    session: Session,
    keeper: Keeper,
    center: DataCenter,
    given: dict[str, Any],
    here: Loopback | None,
) -> Token:
    """Log in with a code that the provider sends after a person's consent."""
    asked = wanted(given, scopes_of(given))
    request = partial(
        AuthorizationRequest,
        zoho_of(keeper).table,
        center,
        client_id=asked.client_id,
        scopes=asked.scopes or (),
    )
    sign = partial(sign_in, keeper, asked, note=session.note)
    if here is None:
        return consent.by_paste(request(redirect_uri=redirect_uri(given)), sign)
    asking = request(redirect_uri=here.redirect_uri)
    return consent.by_browser(asking, here, sign, timeout=given["timeout"])
