"""Commands as processes: a missing extra, the emulator, what a person sees of a list."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import person
import pytest

PERSON = f"{sys.executable} {person.__file__} %s"
"""A browser as the system starts one, with somebody who consents."""


ANY_PORT = "http://127.0.0.1:0/callback"


@pytest.mark.parametrize(
    ("missing", "args", "extras"),
    [
        ("click", "list", "cli"),
        ("rich", "list", "cli"),
        ("sqlalchemy", "sql-schema --dialect mysql", "mysql"),
        ("zohocrmsdk", "demo", "cli,zoho"),
    ],
)
def test_without_an_extra_it_says_how_to_get_it(missing, args, extras):
    """One sentence and status 2."""
    program = f"import sys; sys.modules[{missing!r}] = None; import tokenkeep.cli as it; it.main()"

    done = subprocess.run(
        [sys.executable, "-c", program, *args.split()], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"tokenkeep: This needs {missing}, which is not installed. "
        f"Install it: pip install 'tokenkeep[{extras}]'\n"
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(save, environment, tmp_path, closed):
    """What is printed goes nowhere, least of all into the store's file."""
    store = f"sqlite:///{tmp_path}/tokens.db"
    environment.setenv("TOKENKEEP_STORE", store)
    token = save(user="ana", refresh_token="r1")
    command = f"{sys.executable} -m tokenkeep -v delete --yes {token.id} {closed}"

    assert 0 == subprocess.run(command, shell=True, check=False).returncode

    assert b"Deleted" not in (tmp_path / "tokens.db").read_bytes()


@pytest.mark.parametrize("stays", [False, True])
def test_emulate_log_in_and_use_it(start, environment, tmp_path, stays):
    """What ``emulate`` prints is all it takes to get a token; Ctrl-C, or the system, ends it."""
    for name in ("TOKENKEEP_STORE", "TOKENKEEP_KEYS"):
        environment.delenv(name)
    where = ["--folder", str(tmp_path / "kept")] if stays else []
    emulator = start("emulate", "--json", *where)
    facts = json.loads(emulator.stdout.readline())
    for name, value in (facts["environment"] | {"BROWSER": PERSON}).items():
        environment.setenv(name, value)
    secret_file = Path(facts["client_secret_file"])
    folder, user = secret_file.parent, facts["users"][0]

    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    secret = secret_file.read_text().strip()
    login = start("login", "--client-secret-file", str(secret_file), "--redirect-uri", ANY_PORT)
    out, err = login.communicate(timeout=60)
    token = start("token", "--user", user).communicate(timeout=60)[0]
    emulator.send_signal(signal.SIGTERM if stays else signal.SIGINT)
    emulator.communicate(timeout=60)

    assert login.returncode == 0, err
    assert out.startswith(f"Logged in {user} (")
    assert token.startswith("1000.")
    assert modes == {"client_secret": 0o600, "config.toml": 0o600}
    assert secret not in json.dumps(facts)
    assert "ana@example.com:6000123" in facts["users"]  # as the pages name her
    assert emulator.returncode == 0
    assert folder.exists() == stays
    if stays:
        _, err = start("emulate", *where).communicate(timeout=60)
        assert f"File exists: '{secret_file}'" in err
        assert secret == secret_file.read_text().strip()


def test_a_list_for_people(save, environment):
    """On a terminal each token is one line; colours only if they are wanted."""
    long = save("a-rather-long-name@example.com:6000123", refresh_token="r")
    environment.setenv("COLUMNS", "92")
    for colors, command in ((True, "list"), (False, "list"), (False, "doctor")):
        if not colors:
            environment.setenv("NO_COLOR", "1")
        main, side = pty.openpty()
        subprocess.run([sys.executable, "-m", "tokenkeep", command], stdout=side, check=True)
        os.close(side)
        shown = os.read(main, 10_000).decode()
        os.close(main)

        assert ("\x1b[32mok" in shown) == colors
        heading, line, *_ = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
        if command == "doctor":
            assert ["state", "name", "text", "hint"] == heading.split()
            break
        assert ["id", "place", "status", "expires", "refresh", "user"] == heading.split()
        assert line.startswith(f"{long.id[:11]} us ")
        assert line.endswith(f" {long.user}")
