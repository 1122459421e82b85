"""What all commands have in common."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import click
import pytest

import tokenkeep
from tokenkeep import errors
from tokenkeep.cli.app import COMMANDS, EXIT_STATUSES, app, report

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


BY_STATUS = {
    1: "ConfigurationError KeyMissing StoreTampered ProviderRefused",
    2: "EmptyLookup AmbiguousLookup UnknownName",
    3: "TokenNotFound",
    4: "LoginNeeded TokenRevoked GrantRejected",
    5: "ProviderUnavailable CoolingDown RenewalTimeout StoreUnavailable",
}


@pytest.mark.parametrize(("status", "names"), BY_STATUS.items())
def test_an_error_has_its_status(status, names, capsys):
    """Each kind of error ends with its status, one sentence on standard error; or a document."""
    facts = {"token_id": "i", "user": "u", "hint": "Do this"}
    for name in names.split():
        error = getattr(errors, name)("It\x1b[2J went wrong", **facts)

        assert report(error, as_json=False) == status, name
        said = "tokenkeep: It\\x1b[2J went wrong (token i, user u). Do this\n"
        assert capsys.readouterr() == ("", said)
        report(error, as_json=True)
        told = facts | {"name": name, "message": error.what, "exit_status": status}
        assert json.loads(capsys.readouterr().err)["error"].items() >= told.items()
    report(errors.CoolingDown("Too early", until=12.5), as_json=True)
    assert 12.5 == json.loads(capsys.readouterr().err)["error"]["until"]


@pytest.mark.parametrize(
    "args",
    ["nothing", "show", "show a --user b", "show a --id b", "show a --client-id=", "list x"],
)
def test_wrong_usage(run, args):
    """What can't be meant is status 2, and where to read on; without a command it is the help."""
    for words in ([], ["keys"]):
        assert "\n\nCommands:\n" in run(*words).stderr
    result = run(*args.split())

    assert result.exit_code == 2
    assert result.stderr.startswith("tokenkeep: ")
    assert "--help" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@db/app",
        "redis://:hunter2@db:6379/0",
        # What would have to be percent-encoded in a password, and is not.
        *(f"mysql://app:hun{odd}ter2@db/app" for odd in "/?#[]@:&%; "),
        "mysql://app%3Ahunter2%40db/app",
        "mysql:app:hunter2@db/app",
        # Options, and options within options.
        "postgresql://db/app?user=app&password=hunter2",
        "postgresql://app@db/app?sslmode=require&sslPassword=hunter2",
        "mysql://app@db/app?ssl_key_password=hunter2",
        "rediss://db:6379/0?ssl_password=hunter2",
        "sql+mssql+pyodbc:///?odbc_connect=UID%3Dsa%3BPWD%3Dhunter2",
        "sql+duckdb:///md:app?motherduck_token=hunter2",
        "dynamodb://eu-central-1/t?endpoint_url=http%3A%2F%2Fu%3Ahunter2%40127.0.0.1%3A1",
        "sqlite:///tokens.db?password=hunter2",
    ],
)
def test_a_password_is_no_argument(run, url):
    """A store's password on the command line is refused, however it is written, not repeated."""
    for instead, args in (
        ("TOKENKEEP_STORE", ("list", "--store", url)),
        ("env:NAME", ("copy", url, "memory:")),
        ("env:NAME here", ("import", url)),
    ):
        result = run(*args)
        assert result.exit_code == 2, result.output
        assert "process list" in result.stderr
        assert instead in result.stderr
        assert "ter2" not in result.output


@pytest.mark.parametrize(
    "url",
    [
        "mysql://app:@127.0.0.1:1/app",
        "mysql://app@127.0.0.1:1/app?ssl_key=/keys/app.pem&ssl_cert=/keys/app.crt",
        "postgresql://app@127.0.0.1:1,127.0.0.1:2/app?sslkey=/keys/app.pem&passfile=/p",
        "redis://127.0.0.1:1/0",
        "postgresql://app@127.0.0.1:1/app?password=",
        "sqlite:////tmp/no such folder/12:30/app@host.db",
        "sqlite:///tokens.db?timeout=5",
        "redis://127.0.0.1:1/0?prefix=tokens:&socket_timeout=1",
        "file:///no such folder/12:30/app@host.json",
    ],
)
def test_what_holds_no_password_is_taken(run, url):
    """A user alone, one without a password, files of keys, and files with odd names."""
    assert "process list" not in run("list", "--store", url).stderr


def test_an_odd_password_in_a_variable(run, environment):
    """In a variable, a password with a bracket is as good as any other."""
    environment.setenv("OLD", "mysql://app:hun[ter2@127.0.0.1:1/app")

    result = run("import", "env:OLD")

    assert (5, False) == (result.exit_code, "hun[ter2" in result.output)


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
