"""``tokenkeep import mysql://…``: where the password comes from, and what is refused."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import closing

import pytest
from sdk_tables import make_table


@pytest.fixture
def url(mariadb):
    """A table with one token."""
    database = make_table(mariadb, "8_0")
    with closing(mariadb.connect()) as db, db.cursor() as cursor:
        cursor.execute(
            f"insert into {database}.oauthtoken values ('1', 'ana', 'c', 's', 'r', 'a', "
            "null, '1764000000123', null, 'https://www.zohoapis.eu')"
        )
    return f"mysql://app@{mariadb.host}:{mariadb.port}/{database}"


@pytest.fixture
def run(tmp_path):
    """Run the command in a process with a home of its own."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("TOKENKEEP_", "XDG_"))}

    def _run(*args, stdin="", **more):
        return subprocess.run(
            [sys.executable, "-m", "tokenkeep", "import", *args, "--to", "sqlite:///x.db"],
            env=environ | {"HOME": str(tmp_path)} | more,
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    return _run


def test_where_the_password_comes_from(run, url, mariadb, tmp_path):
    """A file, standard input, a variable, or a URL in a variable; each of them works."""
    path = tmp_path / "password"
    path.write_text(f"{mariadb.password}\n")
    whole = url.replace("app@", f"app:{mariadb.password}@")

    for done in (
        run(url, "--password-file", str(path)),
        run(url, "--password-file", "-", stdin=mariadb.password),
        run(url, TOKENKEEP_SOURCE_PASSWORD=mariadb.password),
        run("env:OLD_TABLE", OLD_TABLE=whole),
    ):
        assert (0, "ana") == (done.returncode, done.stdout.split("\t")[2]), done.stderr
        assert mariadb.password not in done.stdout + done.stderr


def test_it_is_asked_for(url, mariadb, tmp_path):
    """On a terminal it is asked for, unseen, and bars and questions go to standard error."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenkeep", "import", url, "--to", "sqlite:///x.db"],
        env={k: v for k, v in os.environ.items() if not k.startswith("TOKENKEEP_")}
        | {"HOME": str(tmp_path), "TERM": "xterm"},
        cwd=tmp_path,
        stdin=side,
        stderr=side,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(side)
    said = b""
    while b"Password of the database" not in said:
        said += os.read(main, 1000)
    os.write(main, f"{mariadb.password}\n".encode())
    out = process.communicate(timeout=100)[0]
    try:
        while more := os.read(main, 10_000):
            said += more
    except OSError:
        pass  # Linux's way to say that the other side was closed
    os.close(main)

    assert 0 == process.returncode, said
    assert b"1\tnew\tana" in out
    assert mariadb.password.encode() not in said + out
    assert b"1 new" in said


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["URL"], 2, "--password-file or TOKENKEEP_SOURCE_PASSWORD"),
        (["mysql://app:secret@h/d"], 2, "env:NAME"),
        (["mysql://app@h/d?password=secret"], 2, "env:NAME"),
        (["env:NOT_THERE"], 2, "no environment variable NOT_THERE"),
        (["postgresql://app@h/d"], 2, "tokenkeep copy"),
        (["URL", "--encoding", "cp1252", "--password-file", "-"], 2, "encoding"),
        (["/etc/hostname", "--password-file", "-"], 2, "A file takes no password"),
        (["mysql://app:@127.0.0.1:1/d"], 5, "can't be reached"),
        (["WRONG"], 5, "refuses this user or password"),
    ],
)
def test_bad_input(run, url, args, status, said):
    """Wrong usage ends with 2, what the server says with 5; no secret is repeated."""
    named = {"URL": url, "WRONG": url.replace("app@", "app:@")}

    done = run(*[named.get(each, each) for each in args])

    assert status == done.returncode
    assert said in done.stderr
    assert "secret" not in done.stderr.replace("client secret", "")
    assert "Traceback" not in done.stderr
