"""The examples for web servers with several workers, on PostgreSQL."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import urllib3
from cases import until
from private_servers.ports import free_port

from tokenkeep import Token, open_store
from tokenkeep.testing import emulator_configuration

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "prefork"
BIN = Path(sys.executable).parent
SERVERS = {
    "gunicorn": "gunicorn --workers 4 --preload --bind 127.0.0.1:{port} wsgi:app",
    "gevent": "gunicorn --workers 2 -k gevent --preload -c python:patched_first"
    " --bind 127.0.0.1:{port} wsgi:app",
    "uvicorn": "uvicorn --workers 2 --port {port} asgi:app",
}
# gunicorn has imported ssl itself by the time it reads its configuration.
WARNINGS = "error,ignore:Monkey-patching ssl"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=SERVERS)
def served(request, place, zoho, tmp_path):
    """A server with several workers, and one token in its store that has ended."""
    config = tmp_path / "tokenkeep.toml"
    config.write_text(emulator_configuration(zoho))
    more = {"TOKENKEEP_CONFIG": str(config), "HOME": str(tmp_path)}
    env = place.environment | more | {"PYTHONPATH": str(EXAMPLES), "PYTHONWARNINGS": WARNINGS}
    user = zoho.user.name
    with open_store(environ=env) as store:
        store.save_token(
            Token(
                user=user,
                client_id=zoho.client.client_id,
                client_secret=zoho.client.client_secret,
                access_token="1000.ended",
                refresh_token=zoho.refresh_token(),
                expires_at=time.time() - 60,
                api_domain=zoho.us.api_url,
            )
        )
    with running(SERVERS[request.param], env, tmp_path) as port:
        yield f"http://127.0.0.1:{port}/?user={user}"


@contextmanager
def running(command, env, cwd):
    """Yield the port of a server that answers; make sure at the end that it had no trouble."""
    port, log = free_port(), cwd / "log"
    program, *rest = command.format(port=port).split()
    with log.open("wb") as out:
        arguments = {"env": env, "cwd": cwd, "stdout": out, "stderr": out}
        process = subprocess.Popen([BIN / program, *rest], **arguments)
    try:
        until(lambda: process.poll() is not None or listens(port))
        yield port
    finally:
        process.terminate()
        process.wait(30)
    said = log.read_text()
    # Both servers leave the socket they listen on to the garbage collector.
    warnings = [line for line in said.splitlines() if "ResourceWarning" in line]
    assert [line for line in warnings if f"laddr=('127.0.0.1', {port})>" not in line] == []
    assert "Traceback" not in said, said


def listens(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def ask_together(url, times):
    """Ask for the user's name, each time on a connection of its own."""

    def ask(_):
        with urllib3.PoolManager(retries=False) as http:
            found = http.request("GET", url, timeout=60)
        return found.status, found.json()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(ask, range(times)))


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_workers_renew_once(served, zoho):
    """Invariants 2 and 11: 40 requests over all workers, one call."""
    before = zoho.counters.calls("token")

    answers = ask_together(served, 40)

    assert Counter(status for status, _ in answers) == {200: 40}
    assert {body["name"] for _, body in answers} == {zoho.user.full_name}
    until(
        lambda: (
            answers.extend(ask_together(served, 20)) or len({b["worker"] for _, b in answers}) > 1
        )
    )
    assert zoho.counters.calls("token") - before == 1
