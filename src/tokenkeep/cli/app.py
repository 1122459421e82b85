"""The command with its subcommands: which there are, and how each of them ends."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tokenkeep import errors
from tokenkeep.cli.session import COMMON_OPTIONS, Session
from tokenkeep.errors import visible
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "login": "login:login",
    "status": "listing:status",
    "list": "listing:list_tokens",
    "show": "tokens:show",
    "history": "tokens:history",
    "token": "tokens:token",
    "renew": "tokens:renew",
    "revoke": "revoking:revoke",
    "logout": "tokens:logout",
    "delete": "tokens:delete",
    "sweep": "tokens:sweep",
    "policy": "policy:policy",
    "keep-fresh": "fresh:keep_fresh",
    "import": "moving:import_command",
    "copy": "moving:copy",
    "export": "moving:export",
    "keys": "keys:keys",
    "audit": "audit:audit",
    "sql-schema": "sql_schema:sql_schema",
    "notices": "notices:notices",
    "doctor": "doctor:doctor",
    "health": "health:health",
    "metrics": "metrics:metrics",
    "emulate": "emulate:emulate",
    "demo": "emulate:demo",
}
"""Module and name of each command; imported when it is asked for."""

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

_STAYS = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
"""What waiting does not mend."""

_FACTS = ("token_id", "user", "hint", "error", "until")


class App(click.Group):
    """Commands imported when used, options they all share, one way to end."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return their names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Import a command and give it the common options. None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"tokenkeep.cli.{module}"), name)
        return _with_common_options(command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and write out what it says: click ends well where nobody reads it."""
        try:
            return super().invoke(ctx)
        finally:
            sys.stdout.flush()

    def main(  # type: ignore[override]  # always ends the process, as click's default does
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command and exit with one of `EXIT_STATUSES`."""
        given = list(sys.argv[1:] if args is None else args)
        if "_TOKENKEEP_COMPLETE" in os.environ:
            import_module("tokenkeep.cli.completion")  # a shell asks; bash in a way of our own
        try:
            status = super().main(given, prog_name, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as exc:
            exc.show()
            status = exc.exit_code
        except (click.ClickException, errors.TokenKeepError, OSError) as exc:
            status = report(exc, as_json="--json" in given)
        except click.Abort:
            status = 130
        sys.exit(status if isinstance(status, int) else 0)


def _with_common_options(command: click.Command) -> click.Command:
    """Add the options that all commands have, once."""
    command.params += [each for each in COMMON_OPTIONS if each not in command.params]
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _with_common_options(each)
    return command


def report(exc: Exception, *, as_json: bool) -> int:
    """Say on standard error what went wrong, and return the exit status."""
    status = next((code for kind, code in _BY_ERROR if isinstance(exc, kind)), 1)
    if isinstance(exc, errors.StoreUnavailable) and isinstance(exc.__cause__, _STAYS):
        status = 1
    message = text = str(exc)
    if isinstance(exc, errors.TokenKeepError):
        message = exc.what
    elif isinstance(exc, click.ClickException):
        message = text = exc.format_message()
    if as_json:
        facts = {name: fact for name in _FACTS if (fact := getattr(exc, name, None))}
        facts |= {"name": type(exc).__name__, "message": message, "exit_status": status}
        click.echo(json.dumps({"error": facts}), err=True)
        return status
    click.echo(f"tokenkeep: {visible(text)}", err=True)
    if isinstance(exc, click.UsageError) and exc.ctx is not None:
        click.echo(f"See: {exc.ctx.command_path} --help", err=True)
    return status


_STATUSES = ", ".join(f"{status} {meaning}" for status, meaning in EXIT_STATUSES.items())


@click.group(
    cls=App,
    params=list(COMMON_OPTIONS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"Exit status: {_STATUSES}.",
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Keep OAuth tokens: sealed, always valid, renewed once, revoked everywhere."""
    ctx.ensure_object(Session)
