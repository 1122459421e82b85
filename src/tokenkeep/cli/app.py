"""The command with its subcommands: which there are, and how each of them ends."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tokenkeep.cli.failures import EXIT_STATUSES, PIPE_CLOSED, aborted, report
from tokenkeep.cli.session import COMMON_OPTIONS, Session
from tokenkeep.errors import TokenKeepError
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "login": "login:login",
    "list": "tokens:list_tokens",
    "show": "tokens:show",
    "token": "tokens:token",
    "renew": "tokens:renew",
    "revoke": "tokens:revoke",
    "logout": "tokens:logout",
    "delete": "tokens:delete",
    "sweep": "tokens:sweep",
    "import": "moving:import_command",
    "copy": "moving:copy",
    "export": "moving:export",
    "keys": "keys:keys",
    "sql-schema": "sql_schema:sql_schema",
    "doctor": "doctor:doctor",
    "emulate": "emulate:emulate",
    "demo": "demo:demo",
}
"""Module and name of each command; imported when it is asked for."""


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
        """Run the command; click itself would call a closed pipe a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            ctx.exit(PIPE_CLOSED)

    def main(  # type: ignore[override]  # always ends the process, as click's default does
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command and exit with one of `EXIT_STATUSES`."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            status = super().main(given, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            status = PIPE_CLOSED
        except click.exceptions.NoArgsIsHelpError as exc:
            exc.show()
            status = exc.exit_code
        except (click.ClickException, TokenKeepError, OSError) as exc:
            status = report(exc, as_json="--json" in given)
        except click.Abort as exc:
            status = aborted(exc)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                # Python flushes once more when it ends, and would end with a status of its own.
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(status if isinstance(status, int) else 0)


def _with_common_options(command: click.Command) -> click.Command:
    """Add the options that all commands have, once."""
    present = {param.name for param in command.params}
    command.params.extend(option for option in COMMON_OPTIONS if option.name not in present)
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _with_common_options(each)
    return command


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
