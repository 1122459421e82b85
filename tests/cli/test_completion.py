"""Completion in a shell: what it asks and is answered, and a real bash that does."""

from __future__ import annotations

import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tokenkeep
from tokenkeep import Token

ANA, BOB = "ana@example.com:6000123", "bob@example.com:6000124"


@pytest.fixture
def answered(environment):
    """Ask as a shell does, at the end of a line, and return what can stand there."""

    def _answered(line, shell="bash"):
        words = line.split(" ")
        where = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        if shell == "fish":
            where["COMP_CWORD"] = words[-1]
        asked = {**os.environ, **where, "_TOKENKEEP_COMPLETE": f"{shell}_complete"}
        done = subprocess.run(
            [sys.executable, "-m", "tokenkeep"], capture_output=True, env=asked, check=False
        )
        assert (0, b"") == (done.returncode, done.stderr)
        return [each.partition(",")[2] for each in done.stdout.decode().split()]

    assert environment
    return _answered


@pytest.fixture
def people(save):
    """Ana and Bob, and somebody whose name is a command."""
    return [
        save(user, refresh_token=f"refresh-{number}")
        for number, user in enumerate((ANA, BOB, "an;rm -rf /:1", "an$(id):1", "an\x1b:1"))
    ]


def test_users_and_ids(answered, people):
    """Users by their names, ids by how they begin; no name that a shell would run."""
    ana = people[0]

    assert [ANA] == answered("tokenkeep show --user an")
    assert [ANA, BOB] == answered("tokenkeep list --user ")
    assert [ANA] == answered("tokenkeep revoke --user=ana@example.com:6")
    assert [ana.id] == answered(f"tokenkeep token {ana.id[:10]}")
    assert {each.id for each in people} == set(answered("tokenkeep logout "))
    assert [] == answered("tokenkeep show 7")
    assert ["list", "login", "logout"] == sorted(
        answered("tokenkeep lo") + answered("tokenkeep li")
    )
    assert ["login_needed"] == answered("tokenkeep list --state l")
    assert "refresh" not in "".join(answered("tokenkeep show tk_", shell="fish"))


@pytest.fixture
def silent():
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("people")
def test_the_store_that_is_named(answered):
    """An option says which, also before the command's name."""
    with tokenkeep.open_store("sqlite:///other.db") as other:
        other.save_token(Token(user="eve@example.com:1", access_token="x"))

    named = "--store sqlite:///other.db"
    assert ["eve@example.com:1"] == answered(f"tokenkeep {named} show --user ")
    assert ["eve@example.com:1"] == answered(f"tokenkeep show {named} --user ")


@pytest.mark.parametrize(
    "broken", ["no store", "no folder", "no key", "no database", "damaged", "no answer"]
)
def test_nothing_at_any_error(*, answered, environment, save, damage, silent, broken):
    """It is silent whatever is wrong, within seconds, and makes nothing."""
    save(ANA, refresh_token="r")
    Path("wrong.db").write_text("nothing of the kind")
    stores = {
        "no store": "sqlite:///none.db",
        "no database": "sqlite:///wrong.db",
        "no answer": f"redis://127.0.0.1:{silent}/0?socket_timeout=60",
    }
    if broken in stores:
        environment.setenv("TOKENKEEP_STORE", stores[broken])
    elif broken == "no folder":
        environment.delenv("TOKENKEEP_STORE")
    elif broken == "no key":
        environment.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    else:
        damage()
    before, began = sorted(Path().rglob("*")), time.monotonic()

    assert [] == answered("tokenkeep show --user ") + answered("tokenkeep show tk_")

    assert time.monotonic() - began < 30
    assert before == sorted(Path().rglob("*"))


def test_few_rows_are_read(answered, store, save):
    """Of a large store only the first few hundred; an id is found all the same."""
    stored = save("u0", refresh_token="r0")
    rows = [
        stored.but(id=f"tk_{n:032x}", user=f"u{n}", access_token=f"a{n}") for n in range(1, 400)
    ]
    store.adopt_each([row.but(refresh_token=f"r{row.user}") for row in rows])

    assert len(answered("tokenkeep show --user u")) == 300
    assert rows[-1].id in answered(f"tokenkeep show {rows[-1].id[:-1]}")


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("show --user an", f"show --user {ANA} "),
        ("show --user ana@exa", f"show --user {ANA} "),
        ("show --user ana@example.com:6", f"show --user {ANA} "),
        ("show --user=ana@", f"show --user={ANA} "),
        ("show --user nobody", "show --user nobody"),
        ("stat", "status "),
    ],
)
@pytest.mark.usefixtures("people")
def test_in_bash(environment, typed, completed):
    """A real one completes users though it takes @ and : for the ends of words."""
    shell = Bash(environment)

    try:
        assert f"tokenkeep {completed}" == shell.at_tab(f"tokenkeep {typed}")
    finally:
        shell.close()


class Bash:
    """A bash on a terminal, as docs/cli.md sets it up."""

    def __init__(self, environment):
        environment.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        environment.setenv("INPUTRC", os.devnull)
        environment.setenv("TERM", "dumb")
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
        setup = 'eval "$(_TOKENKEEP_COMPLETE=bash_source tokenkeep)"'
        os.write(self._terminal, f"{setup}; PS1=%%\n".encode())
        self._read_until("\n%%")

    def at_tab(self, typed):
        """Type something and a tab; return what stands there then."""
        os.write(self._terminal, f"{typed}\t".encode())
        os.write(self._terminal, b"#")  # shown behind what was completed
        return self._read_until("#").removesuffix("#").replace("\x07", "")

    def _read_until(self, end):
        shown, deadline = "", time.monotonic() + 30
        while not shown.endswith(end) and time.monotonic() < deadline:
            if select.select([self._terminal], [], [], 0.1)[0]:
                shown += os.read(self._terminal, 4096).decode()
        return shown

    def close(self):
        os.close(self._terminal)
        os.waitpid(self._pid, 0)
