"""One store, one key and one Zoho for every test of the command line."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import click.testing
import pytest

import tokenkeep
from tokenkeep import Token
from tokenkeep.cli.app import app
from tokenkeep.testing import emulator_configuration


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A process environment of this test's own, with an empty home."""
    for name in list(os.environ):
        if name.startswith(("TOKENKEEP_", "XDG_", "NO_COLOR", "BROWSER")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOKENKEEP_STORE", f"sqlite:///{tmp_path}/tokens.db")
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    monkeypatch.setenv("BROWSER", "true")
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def store(configured):  # noqa: ARG001  # its providers have to be there first
    """The store of the environment; its providers are the emulated ones."""
    with_store = tokenkeep.open_store(make=True)
    yield with_store
    with_store.close()


@pytest.fixture
def configured(environment, tmp_path, zoho):
    """The emulator in Zoho's place, by a configuration file."""
    path = tmp_path / "config.toml"
    path.write_text(emulator_configuration(zoho))
    environment.setenv("TOKENKEEP_CONFIG", str(path))
    return zoho


@pytest.fixture
def save(store, configured):
    """Save a token that the emulator knows, expired unless told otherwise."""

    def _save(user=None, **given):
        if "refresh_token" not in given:
            given["refresh_token"] = configured.refresh_token(user)
        known = Token(
            user=user or configured.user.name,
            client_id=configured.client.client_id,
            client_secret=configured.client.client_secret,
            api_domain=configured.us.api_url,
            issuer=configured.us.token_url,
        )
        return store.save_token(known.but(**given))

    return _save


@pytest.fixture
def damage(tmp_path):
    """Change what is sealed in all rows."""

    def _damage():
        with sqlite3.connect(tmp_path / "tokens.db") as db:
            db.execute("UPDATE token SET sealed = zeroblob(100) WHERE kind = 'row'")
        db.close()

    return _damage


@pytest.fixture
def run(environment):  # noqa: ARG001  # the command reads it
    """Run a command in this process."""

    def _run(*args, stdin=None):
        return click.testing.CliRunner().invoke(app, args, input=stdin, prog_name="tokenkeep")

    return _run


@pytest.fixture
def run_json(run):
    """Run a command with ``--json`` and return its one document."""

    def _run(*args, **given):
        result = run("--json", *args, **given)
        assert 0 == result.exit_code, result.output
        return json.loads(result.stdout)

    return _run


@pytest.fixture
def start(environment):  # noqa: ARG001  # the process inherits it
    """Start a command as a process; whatever still runs is ended after the test."""
    started = []

    def _start(*args, **given):
        words = [sys.executable, "-m", "tokenkeep", *args]
        piped = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(words, **{**piped, "text": True, **given}))
        return started[-1]

    yield _start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def at_terminal(environment):  # noqa: ARG001  # the process inherits it
    """Run a command on a terminal and answer what it asks; return its status, and what is seen."""

    def _at_terminal(words, answers):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "tokenkeep", *words])
        shown = ""
        while True:
            try:
                shown += os.read(terminal, 4096).decode()
            except OSError:
                break
            for prompt in [each for each in answers if each in shown]:
                os.write(terminal, f"{answers.pop(prompt)}\n".encode())
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), shown

    return _at_terminal


@pytest.fixture
def client(configured, environment, tmp_path):
    """The emulator's client, named in the environment; its secret in a file, as options."""
    environment.setenv("TOKENKEEP_CLIENT_ID", configured.client.client_id)
    path = tmp_path / "client_secret"
    path.write_text(configured.client.client_secret + "\n")
    return ["--client-secret-file", str(path)]


class _Answer(BaseHTTPRequestHandler):
    """A token endpoint: refuses what is empty, else gives the next of the server's *answers*."""

    def do_POST(self):
        self.server.asked.append(dict(self.headers))
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        status, document = 400, {"error": "invalid_request"}
        if "refresh_token" in form:
            self.server.sent += form["refresh_token"]
            status, document = self.server.answers.pop(0)
        body = json.dumps(document).encode()
        self.send_response_only(status)
        self.send_header("Date", formatdate(self.server.clock(), usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    """Start a token endpoint, with a clock of its own."""
    servers = []

    def _endpoint(*, clock=time.time):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
        server.clock, server.asked, server.answers, server.sent = clock, [], [], []
        server.url = f"http://127.0.0.1:{server.server_port}/token"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return server

    yield _endpoint
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def acme(environment, tmp_path):
    """Configure a provider with these options, and save a token of it."""
    path = tmp_path / "acme.toml"
    environment.setenv("TOKENKEEP_CONFIG", str(path))

    def _acme(*, provider="acme", options="", **given):
        path.write_text(f'[providers.acme]\nkind = "oauth2"\n{options}')
        kinds = {} if provider == "zoho" else {provider: {"kind": "oauth2"}}
        known = Token(provider=provider, user="ana", client_id="c", refresh_token="r")
        with tokenkeep.open_store(providers=tokenkeep.Providers("zoho", kinds)) as vault:
            return vault.save_token(known.but(**given))

    return _acme
