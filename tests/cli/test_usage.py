"""What all commands have in common."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import click
import pytest

import tokenkeep
from tokenkeep.cli.app import COMMANDS, EXIT_STATUSES, app

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def every_command():
    """Return each command by what a person types."""
    context = click.Context(app)
    for name in COMMANDS:
        command = app.get_command(context, name)
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", sub) for each, sub in command.commands.items())


@pytest.mark.parametrize(("name", "command"), list(every_command()))
def test_every_command_is_documented(name, command):
    """Each has help, the common options, a place in docs/cli.md with all its options."""
    text = DOCS.read_text()
    options = {opt for p in command.params if isinstance(p, click.Option) for opt in p.opts}

    assert command.help
    assert {"--json", "--store", "--quiet", "--verbose"} <= options
    assert f"tokenkeep {name}" in text
    assert [opt for opt in options if opt.startswith("--") and f"`{opt}" not in text] == []


def test_exit_statuses_are_documented(run):
    """The statuses are in the help and in docs/cli.md; --version tells the version."""
    help_text = " ".join(run("--help").stdout.split())

    for status, meaning in EXIT_STATUSES.items():
        assert f"{status} {meaning}" in help_text
        assert f"| {status} |" in DOCS.read_text()
    assert run("--version").output == f"tokenkeep {version('tokenkeep')}\n"


def test_without_a_command(run):
    """It is the help that is printed."""
    for words in ([], ["keys"]):
        assert "\n\nCommands:\n" in run(*words).stderr


@pytest.mark.usefixtures("store")
def test_where_options_stand(run):
    """Before a command's name and behind it; a store that is named beats the environment's."""
    other = tokenkeep.open_store("sqlite:///other.db")
    token = other.save_token(tokenkeep.Token(user="u", access_token="x"))
    other.close()

    assert (run("list").exit_code, run("list").output) == (0, "")
    named = ("--store", "sqlite:///other.db", "--json")
    for args in ((*named, "list"), ("list", *named)):
        assert json.loads(run(*args).stdout)["id"] == token.id
