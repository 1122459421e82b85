"""Commands as processes: pipes, Ctrl-C, a missing extra, what others see of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import person
import pytest

import tokenkeep

PERSON = Path(person.__file__)


@pytest.fixture
def client(configured, environment, tmp_path):
    """The emulator's client, as `tokenkeep login` takes it."""
    environment.setenv("TOKENKEEP_CLIENT_ID", configured.client.client_id)
    path = tmp_path / "client_secret"
    path.write_text(configured.client.client_secret)
    return ["--client-secret-file", str(path)]


def url_from(process):
    """Wait for the address a login shows."""
    return next(line.strip() for line in process.stderr if line.startswith("http"))


def test_login_to_token(start, client, configured, environment):
    """A browser as the system starts it, and the token is there for scripts."""
    environment.setenv("BROWSER", f"{sys.executable} {PERSON} %s")

    process = start("login", *client, "--port", "0")
    out, err = process.communicate(timeout=60)
    token = start("token", "--user", configured.user.name).communicate(timeout=60)[0]

    assert process.returncode == 0, err
    assert out.startswith(f"Logged in {configured.user.name} (")
    assert configured.is_active(token.strip())


def test_the_process_list_shows_no_secret(start, client, configured, environment):
    """Arguments of the command and of its browser hold no secret."""
    environment.setenv("BROWSER", f"{sys.executable} -c 'import time; time.sleep(60)' %s")
    process = start("login", *client, "--port", "0", start_new_session=True)
    url_from(process)

    seen = []
    while len(seen) < 2:  # the command and the browser it starts
        tree = subprocess.run(
            ["ps", "-o", "args=", "--pid", str(process.pid), "--ppid", str(process.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        seen = tree.stdout.splitlines()
    os.killpg(process.pid, signal.SIGKILL)

    assert any("tokenkeep login" in line for line in seen)
    assert configured.client.client_secret not in "".join(seen)


@pytest.mark.parametrize("mode", [[], ["--no-browser"]])
def test_ctrl_c_leaves_nothing(start, client, configured, store, mode):
    """An interrupted login exits with 130, stores nothing and says no traceback."""
    process = start("login", *client, *(mode or ["--port", "0"]))
    url_from(process)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert out == ""
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
        store.save_token(tokenkeep.Token(user=f"{number}" * 10_000, access_token=f"x{number}"))
    script = f'set -o pipefail; "{sys.executable}" -m tokenkeep list | head -1'

    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert done.returncode == 141


def test_curl_takes_the_header(start, save, configured):
    """``tokenkeep token --header | curl -H @-`` calls the API."""
    token = save()
    header = start("token", token.id, "--header").communicate(timeout=60)[0]

    name, _, value = header.rstrip("\n").partition(": ")
    status, _, body = person.visit(
        f"{configured.us.api_url}/crm/v8/users?type=CurrentUser", headers={name: value}
    )

    assert status == 200
    assert json.loads(body)["users"]


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_says_how_to_get_it(missing):
    """A missing click or rich is one sentence and status 2."""
    program = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from tokenkeep.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"tokenkeep: The command line needs {missing}, which is not installed. "
        "Install it: pip install 'tokenkeep[cli]'\n"
    )


def test_emulate_and_log_in(start, environment):
    """What ``emulate`` prints is all it takes to log in; Ctrl-C ends it and tidies up."""
    for name in ("TOKENKEEP_STORE", "TOKENKEEP_KEYS"):
        environment.delenv(name)
    emulator = start("emulate", "--json")
    facts = json.loads(emulator.stdout.readline())
    for name, value in facts["environment"].items():
        environment.setenv(name, value)
    environment.setenv("BROWSER", f"{sys.executable} {PERSON} %s")
    folder = Path(facts["client_secret_file"]).parent

    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    secret = Path(facts["client_secret_file"]).read_text().strip()
    login = start("login", "--client-secret-file", facts["client_secret_file"], "--port", "0")
    out, err = login.communicate(timeout=60)
    emulator.send_signal(signal.SIGINT)
    emulator.communicate(timeout=60)

    assert login.returncode == 0, err
    assert out.startswith(f"Logged in {facts['users'][0]} (")
    assert modes == {"client_secret": 0o600, "config.toml": 0o600}
    assert secret not in json.dumps(facts)
    assert emulator.returncode == 0
    assert not folder.exists()


def test_colour_is_for_terminals_only(run):
    """A pipe gets no escape sequence."""
    assert not re.search("\x1b", run("doctor").output)
