"""What can't be meant or done: a sentence, a status, nothing made or sent, and no secret."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import tokenkeep
from tokenkeep import Token, errors
from tokenkeep.cli.app import report

PAGE, AT = "https://a.example/cb", "http://127.0.0.1:8417"
LOGIN = "login --client-secret-file client_secret"
TABLE = "mysql://app@127.0.0.1:1/d"
ANSWER = "not the answer to this login"
ONE_LINE = "one line with the grant code"
HEADER = "user_mail,client_id,refresh_token,access_token,grant_token,expiry_time\n"


@pytest.fixture
def there(client, store, tmp_path, environment):  # noqa: ARG001  # the client's variable
    """A store with a token, a client, and files of every kind; what is there is returned."""
    store.save_token(Token(user="ana", client_id="c", access_token="hidden a", refresh_token="r"))
    environment.setenv("QUOTED", "'mysql://app:secret@h/d'")
    environment.setenv("ODD", "mysql://app:hun[ter2@127.0.0.1:1/app")
    texts = {
        "sdk.txt": f"{HEADER}bo,c,x,y,,1\n",
        "zohooauth.db": "id\n",
        "out.csv": "mine",
        "empty": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    tokenkeep.open_store("sqlite:///emptied.db", make=True).close()
    with closing(sqlite3.connect(tmp_path / "emptied.db")) as db:
        db.execute("DROP TABLE token")
    return lambda: (
        {p.name for p in tmp_path.iterdir()}
        - {f"{n}.db-{e}" for n in ("tokens", "emptied") for e in ("wal", "shm")}
    )


@pytest.mark.parametrize(
    ("args", "stdin", "status", "said"),
    [
        ("nothing", None, 2, "--help"),
        ("show", None, 2, "--help"),
        ("show a --user b", None, 2, "--help"),
        ("show a --client-id=", None, 2, "--help"),
        ("list x", None, 2, "--help"),
        ("list --store nothing:", None, 2, "nothing"),
        ("list --store sqlite:///sdk.txt", None, 1, "tokenkeep import"),
        ("list --store sqlite:///out.csv", None, 1, "is not a SQLite database"),
        ("list --store sqlite:///emptied.db", None, 1, "is damaged"),
        ("list --store file:///empty", None, 3, "yet: nothing in"),
        # Which waiting does not mend, and which it may.
        ("list --store sqlite:////no/such/x.db", None, 3, "no file /no/such/x.db. The"),
        ("list --store sqlite:////tmp", None, 1, "it is a folder"),
        ("copy configured file:///no/x.json", None, 1, "No such file or directory"),
        ("copy configured sqlite:////dev/null/x", None, 1, "Not a directory"),
        (f"copy configured {TABLE}", None, 5, "can't be reached"),
        ("copy", None, 2, "FROM"),
        ("copy sqlite:///missing.db sqlite:///x.db", None, 3, "/missing.db. Check"),
        ("copy memory: sqlite:///x.db", None, 3, "nothing in"),
        ("copy configured", None, 1, "Both stores are"),
        ("copy env:MISSING sqlite:///x.db", None, 2, "no environment variable MISSING"),
        ("copy sqlite:///a sqlite:///b --store sqlite:///c", None, 2, "--store has no meaning"),
        ("copy sdk.txt", None, 1, "has no scheme"),
        ("import", None, 2, "SOURCE"),
        ("import missing", None, 1, "can't be read"),
        ("import emptied.db", None, 1, "tokenkeep copy"),
        ("import postgresql://app@h/d", None, 2, "tokenkeep copy"),
        (f"import {TABLE}", None, 2, "env:NAME, with a password"),
        ("import mysql://app:@127.0.0.1:1/d", None, 5, "can't be reached"),
        ("import env:ODD", None, 5, "can't be reached"),
        ("export", None, 2, "--official-csv"),
        ("export --official-csv out.csv --yes", None, 1, "written: File exists"),
        ("export --official-csv no/x --yes", None, 1, "No such file"),
        ("export --official-csv x --yes --environment prod", None, 2, "Known are production, san"),
        ("keys generate --out empty", None, 1, "File exists: 'empty'"),
        ("sql-schema --dialect dbase", None, 2, "postgresql"),
        ("sql-schema --dialect mysql --table t;DROP", None, 1, "table"),
        ("login --client-id= --client-secret-file -", "s", 2, "It is empty"),
        ("login --client-secret-file empty", None, 1, "one line with the secret"),
        ("login --client-secret-file binary", None, 1, "is not text"),
        ("login --client-secret-file missing", None, 1, "No such file"),
        ("login --client-secret-file - --grant-file -", "secret\n", 1, ONE_LINE),
        ("login", None, 2, "--client-secret-file FILE, or"),
        (f"{LOGIN} --data-center moon", None, 2, "Known are us, eu"),
        (f"{LOGIN} --environment moon", None, 2, "production, sandbox, developer"),
        (f"{LOGIN} --grant-file -", "\n", 1, ONE_LINE),
        (f"{LOGIN} --no-browser", f"{AT}/callback?code=a&state=b\n", 2, ANSWER),
        (f"{LOGIN} --redirect-uri {PAGE} --no-browser", "?\n", 2, "=https%3A%2F%2Fa.example%2Fcb"),
        (f"{LOGIN} --redirect-uri http://a.example/ --no-browser", None, 1, "Plain http to"),
        (f"{LOGIN} --redirect-uri {PAGE}", None, 2, f"wait at the redirect URI {PAGE!r}"),
    ],
)
def test_refused(*, run, there, configured, args, stdin, status, said):
    """Each mistake has a sentence of its own; nothing is made, changed, sent or repeated."""
    before = there()

    done = run(*args.split(), stdin=stdin)

    assert (status, True) == (done.exit_code, said in done.stderr), done.output
    assert isinstance(done.exception, SystemExit)
    assert not [each for each in ("hidden a", ":secret@", "hun[ter2") if each in done.output]
    assert (before, "mine") == (there(), Path("out.csv").read_text())
    assert configured.counters.token_calls() == 0


@pytest.mark.parametrize(
    ("status", "names"),
    {
        1: "ConfigurationError KeyMissing StoreTampered ProviderRefused",
        2: "EmptyLookup AmbiguousLookup UnknownName",
        3: "TokenNotFound",
        4: "LoginNeeded TokenRevoked GrantRejected",
        5: "ProviderUnavailable CoolingDown RenewalTimeout StoreUnavailable StoreConflict",
    }.items(),
)
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
        "rediss://db:6379/0?ssl_password=hunter2",
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
        "redis://127.0.0.1:1/0?prefix=tokens:&socket_timeout=1",
    ],
)
def test_what_holds_no_password_is_taken(run, url):
    """A user alone, one without a password, files of keys, and files with odd names."""
    assert "process list" not in run("list", "--store", url).stderr


def test_a_port_of_somebody_else(run, client):
    """Whoever has the address that the browser comes back to would get the code."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        result = run("login", *client, "--redirect-uri", f"http://127.0.0.1:{port}/callback")

    said = f"Port {port} of this machine can't be used: Address already in use"
    assert (result.exit_code, said in result.stderr) == (1, True), result.output


def test_nothing_is_made_until_all_is_known(run, environment, tmp_path, configured):
    """A login that is refused leaves no key and no store behind."""
    environment.delenv("TOKENKEEP_KEYS")
    environment.delenv("TOKENKEEP_STORE")
    before = sorted(tmp_path.rglob("*"))

    for more in ([], ["--client-id", "c"], ["--client-id", "c", "--public", "--grant-file -"]):
        assert 0 != run("login", "--redirect-uri", f"{AT.replace('8417', '0')}/", *more).exit_code

    def refuse(*_, **__):
        raise errors.KeyUnsafe("It would be gone when the machine starts anew")

    environment.setattr("tokenkeep.keys.make", refuse)  # told before anybody consents
    done = run("login", "--client-id", "c", "--public", "--no-browser", stdin="x\n")
    assert (1, False) == (done.exit_code, "Open this address" in done.stderr), done.output
    assert "gone when the machine" in done.stderr

    data = {tmp_path / ".local", tmp_path / ".local/share", tmp_path / ".local/share/tokenkeep"}
    assert {*before} == {*tmp_path.rglob("*")} - data
    assert configured.counters.token_calls() == 0
