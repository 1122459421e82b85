"""Commands as processes: pipes, Ctrl-C, a missing extra, what others see of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import person
import pytest

from tokenkeep import Token

PERSON = f"{sys.executable} {person.__file__} %s"
"""A browser as the system starts one, with somebody who consents."""


ANY_PORT = "http://127.0.0.1:0/callback"

HIDDEN = ("state", "code_challenge")
"""What lets somebody else's answer pass for the one to this login."""


def url_from(process):
    """Wait for the address a login shows."""
    return next(line.strip() for line in process.stderr if line.startswith("http"))


def test_the_process_list_shows_no_secret(start, client, configured, environment):
    """Arguments of the command and of its browser hold no secret, nor what binds the answer."""
    environment.setenv("BROWSER", f"{sys.executable} -c 'import time; time.sleep(60)' %s")
    process = start("login", *client, "--redirect-uri", ANY_PORT, start_new_session=True)
    url = url_from(process)

    seen = []
    while not any("time.sleep" in line and "login.html" in line for line in seen):
        ps = ["ps", "-ww", "-o", "args=", "--sid", str(process.pid)]
        seen = subprocess.run(ps, capture_output=True, text=True, check=True).stdout.splitlines()
    os.killpg(process.pid, signal.SIGKILL)

    assert any("tokenkeep login" in line for line in seen)
    for secret in (configured.client.client_secret, *map(person.query_of(url).get, HIDDEN)):
        assert secret not in "".join(seen)


@pytest.mark.parametrize("mode", [["--redirect-uri", ANY_PORT], ["--no-browser"]])
def test_ctrl_c_leaves_nothing(start, client, configured, store, mode):
    """An interrupted login exits with 130, stores nothing and says no traceback."""
    process = start("login", *client, *mode)
    url_from(process)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert store.get_tokens() == []
    assert configured.counters.token_calls() == 0


def test_ctrl_c_while_the_code_is_exchanged(start, client, configured, store):
    """Stored whole or not at all, however long the provider takes."""
    fault = configured.faults.add(endpoint="token", kind="hang")
    process = start("login", *client, "--grant")
    process.stdin.write(configured.grant_code())
    process.stdin.close()
    process.stdin = None
    assert fault.wait()

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert store.get_tokens() == []


def test_a_closed_pipe_is_no_failure(store):
    """``tokenkeep list | head -1`` is quiet, however much is left to say."""
    for number in range(20):
        store.save_token(Token(user=f"{number}" * 10_000, access_token=f"x{number}"))
    script = f'set -o pipefail; "{sys.executable}" -m tokenkeep list | head -1'

    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout.count("\n") == 1
    assert (done.returncode, done.stderr) == (141, "")


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
