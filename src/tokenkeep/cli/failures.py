"""How a command ends when it fails: a sentence on standard error, and a status."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tokenkeep import errors
from tokenkeep.cli.output import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_STATUSES = {
    0: "done",
    1: "failed",
    2: "wrong usage",
    3: "no such token, or no store yet",
    4: "a new login is needed",
    5: "try again later",
    130: "interrupted",
}
"""What each exit status means."""

INTERRUPTED = 130
PIPE_CLOSED = 141
"""As a shell shows a program that SIGPIPE ended; nothing is wrong with it."""

_NAMED = 10
"""How many ids an error names at most."""

_BY_ERROR: tuple[tuple[type[Exception], int], ...] = (
    (click.UsageError, 2),
    (errors.TokenNotFound, 3),
    (errors.LookupFailed, 2),
    (errors.UnknownName, 2),
    (errors.LoginNeeded, 4),
    (errors.GrantRejected, 4),
    (errors.ProviderRefused, 1),
    (errors.RenewalError, 5),
    (errors.StoreUnavailable, 5),
    (errors.StoreConflict, 5),
)
"""The first that fits counts; all others are 1."""

_FACTS = ("token_id", "user", "hint", "error", "until")


def report(exc: Exception, *, as_json: bool) -> int:
    """Say on standard error what went wrong, and return the exit status."""
    status = next((code for kind, code in _BY_ERROR if isinstance(exc, kind)), 1)
    known = {name: fact for name in _FACTS if (fact := getattr(exc, name, None))}
    message = text = str(exc)
    if isinstance(exc, errors.TokenKeepError):
        message = exc.what
    elif isinstance(exc, click.ClickException):
        message = text = exc.format_message()
    elif isinstance(exc, OSError):
        where = exc.filename or "What there is to say can't be written"
        message = text = f"{where}: {exc.strerror or exc}"
    with suppress(OSError):  # nobody reads it, but the status is the same
        if as_json:
            facts = {"name": type(exc).__name__, "message": message, **known}
            click.echo(json.dumps({"error": {**facts, "exit_status": status}}), err=True)
            return status
        click.echo(f"tokenkeep: {visible(text)}", err=True)
        if isinstance(exc, click.UsageError) and exc.ctx is not None:
            click.echo(f"See: {exc.ctx.command_path} --help", err=True)
    return status


def aborted(abort: click.Abort) -> int:
    """Return the exit status of a Ctrl-C; or of a question that was not answered with yes."""
    # click's prompts hide the cause ("from None"), which leaves the context.
    if isinstance(abort.__context__, KeyboardInterrupt):
        return INTERRUPTED
    click.echo("tokenkeep: Nothing was done", err=True)
    return 1


def together(troubles: Sequence[errors.TokenKeepError]) -> errors.TokenKeepError:
    """Return the first of the errors of several tokens, which names the others from now on."""
    ids = list(dict.fromkeys(str(each.token_id) for each in troubles))
    first = troubles[0]
    if len(ids) > 1:
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        named = f"{len(ids)} stored tokens do not open: {', '.join(ids[:_NAMED])}{more}"
        first.what = f"{named}. Of the first: {first.what}"
    return first
