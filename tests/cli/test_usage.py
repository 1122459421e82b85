"""What all commands have in common."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

import tokenkeep
from tokenkeep import errors
from tokenkeep.cli.app import COMMANDS, app
from tokenkeep.cli.failures import EXIT_STATUSES, report

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
    """The statuses are in the help and in docs/cli.md."""
    help_text = " ".join(run("--help").stdout.split())

    for status, meaning in EXIT_STATUSES.items():
        assert f"{status} {meaning}" in help_text
        assert f"| {status} |" in DOCS.read_text()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigurationError, 1),
        (errors.UnknownName, 1),
        (errors.KeyMissing, 1),
        (errors.StoreTampered, 1),
        (errors.ProviderRefused, 1),
        (errors.EmptyLookup, 2),
        (errors.AmbiguousLookup, 2),
        (errors.TokenNotFound, 3),
        (errors.LoginNeeded, 4),
        (errors.TokenRevoked, 4),
        (errors.GrantRejected, 4),
        (errors.ProviderUnavailable, 5),
        (errors.CoolingDown, 5),
        (errors.RenewalTimeout, 5),
        (errors.StoreUnavailable, 5),
    ],
)
def test_an_error_has_its_status(error, status, capsys):
    """Each kind of error ends with its status, one sentence on standard error."""
    assert report(error("It\x1b[2J went wrong", hint="Do this"), as_json=False) == status

    assert capsys.readouterr() == ("", "tokenkeep: It\\x1b[2J went wrong. Do this\n")


def test_an_error_as_json(capsys):
    """With --json an error is one document on standard error."""
    error = errors.CoolingDown("Too early", until=12.5, token_id="i", user="u", hint="Wait")

    report(error, as_json=True)

    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["error"] == {
        "name": "CoolingDown",
        "message": "Too early",
        "token_id": "i",
        "user": "u",
        "hint": "Wait",
        "until": 12.5,
        "exit_status": 5,
    }


def test_version(run):
    """--version prints the installed one."""
    from importlib.metadata import version

    assert run("--version").output == f"tokenkeep {version('tokenkeep')}\n"


@pytest.mark.parametrize(
    "args",
    [
        ["nothing"],
        ["show"],
        ["show", "a", "--user", "b"],
        ["show", "a", "--id", "b"],
        ["list", "x"],
    ],
)
def test_wrong_usage(run, args):
    """What can't be meant is status 2, and where to read on."""
    result = run(*args)

    assert result.exit_code == 2
    assert result.stderr.startswith("tokenkeep: ")
    assert "--help" in result.stderr


def test_a_password_is_no_argument(run):
    """A store's password on the command line is refused, and not repeated."""
    result = run("list", "--store", "postgresql://app:hunter2@db/app")

    assert result.exit_code == 2
    assert "TOKENKEEP_STORE" in result.stderr
    assert "hunter2" not in result.output


def test_options_stand_before_and_behind(run, save):
    """Common options are taken on both sides of a command's name."""
    token = save()

    for args in (["--json", "list"], ["list", "--json"]):
        assert json.loads(run(*args).stdout)["id"] == token.id


@pytest.mark.usefixtures("configured")
def test_store_beats_the_environment(run):
    """--store names another store than TOKENKEEP_STORE."""
    other = tokenkeep.open_store("sqlite:///other.db")
    other.save_token(tokenkeep.Token(user="u", access_token="x"))
    other.close()

    assert run("list").stdout == ""
    assert run("list", "--store", "sqlite:///other.db").stdout.split("\t")[1] == "u"
