"""A person's consent: in a browser that comes back by itself, or brought by hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from tokenkeep.cli import browser
from tokenkeep.cli.tokens import named
from tokenkeep.errors import ProviderUnavailable, TokenKeepError
from tokenkeep.login import NotThisLogin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.cli.loopback import Loopback
    from tokenkeep.login import AuthorizationRequest, Code
    from tokenkeep.token import Token


def by_paste(request: AuthorizationRequest, sign: Callable[[Code], Token]) -> Token:
    """
    Let the person open the address anywhere, and bring the answer by hand.

    Args:
        request: What to ask.
        sign: Makes a stored token of the code.

    Raises:
        click.UsageError: What was brought is no answer to this request.
        TokenKeepError: The login failed.
    """
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


def by_browser(
    request: AuthorizationRequest,
    here: Loopback,
    sign: Callable[[Code], Token],
    *,
    timeout: float,
) -> Token:
    """
    Open the browser, wait for it to come back, and tell it how it went.

    Args:
        request: What to ask.
        here: Where the browser comes back to.
        sign: Makes a stored token of the code.
        timeout: How long to wait, in seconds.

    Raises:
        ProviderUnavailable: Nobody came back in time.
        TokenKeepError: The login failed.
    """
    click.echo(f"If no browser opens, open this address in one:\n\n{request.url}\n", err=True)
    with browser.leading_to(request.url):
        token = _awaited(request, here, sign, timeout)
    if token is not None:
        return token
    raise ProviderUnavailable(
        f"Nobody came back from the login within {timeout:g} seconds",
        hint="Run tokenkeep login again; --no-browser lets you paste the address",
    )


def _awaited(
    request: AuthorizationRequest, here: Loopback, sign: Callable[[Code], Token], timeout: float
) -> Token | None:
    """Wait for the answer to this login. None if it does not come in time."""
    deadline = time.monotonic() + timeout
    while visit := here.visit(deadline - time.monotonic()):
        try:
            token = sign(request.accept(visit.query))
        except NotThisLogin:
            visit.reply(400, "Not this login", "This answer belongs to no login that waits here.")
            click.echo("An answer to another login was refused; still waiting", err=True)
        except TokenKeepError as exc:
            visit.reply(400, "The login failed", str(exc))
            raise
        else:
            visit.reply(200, "Logged in", f"{named(token)}. You can close this window.")
            return token
    return None
