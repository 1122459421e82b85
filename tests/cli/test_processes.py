"""Commands as processes: pipes, Ctrl-C, a missing extra, what others see of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import person
import pytest

PERSON = f"{sys.executable} {person.__file__} %s"
"""A browser as the system starts one, with somebody who consents."""


ANY_PORT = "http://127.0.0.1:0/callback"


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_says_how_to_get_it(missing):
    """A missing click or rich is one sentence and status 2."""
    program = f"import sys; sys.modules[{missing!r}] = None; import tokenkeep.cli as it; it.main()"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"tokenkeep: The command line needs {missing}, which is not installed. "
        "Install it: pip install 'tokenkeep[cli]'\n"
    )


def test_emulate_log_in_and_use_it(start, environment):
    """What ``emulate`` prints is all it takes to get a token; Ctrl-C ends it and tidies up."""
    for name in ("TOKENKEEP_STORE", "TOKENKEEP_KEYS"):
        environment.delenv(name)
    emulator = start("emulate", "--json")
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
    emulator.send_signal(signal.SIGINT)
    emulator.communicate(timeout=60)

    assert login.returncode == 0, err
    assert out.startswith(f"Logged in {user} (")
    assert token.startswith("1000.")
    assert modes == {"client_secret": 0o600, "config.toml": 0o600}
    assert secret not in json.dumps(facts)
    assert emulator.returncode == 0
    assert not folder.exists()
