"""``tokenkeep renew`` against a provider that changes its mind, or answers oddly."""

from __future__ import annotations

import http.server
import json
import threading
from urllib.parse import parse_qs

import pytest

import tokenkeep
from tokenkeep import Token

FRESH = {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": 3600}
REJECTED = {"error": "invalid_grant"}


class Acme(http.server.ThreadingHTTPServer):
    """A token endpoint that answers what is put into *answers*, as status and document."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.sent = [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/token"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        status, document = 400, {"error": "invalid_request"}  # to the doctor
        if "refresh_token" in form:
            self.server.sent += form["refresh_token"]
            status, document = self.server.answers.pop(0)
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def acme(environment, tmp_path):
    """The provider, configured as one that rotates."""
    server = Acme()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / "config.toml"
    path.write_text(f'[providers.acme]\nkind = "oauth2"\nissuer = "{server.url}"\n')
    environment.setenv("TOKENKEEP_CONFIG", str(path))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def token_id(acme):  # noqa: ARG001  # the configuration has to be there first
    """The id of an expired token of that provider."""
    with tokenkeep.open_store() as store:
        saved = store.save_token(
            Token(
                user="ana@example.com",
                provider="acme",
                client_id="client",
                access_token="the old access",
                refresh_token="the old one",
                expires_at=1.0,
            )
        )
    return saved.id


def test_renew_after_a_rejection(acme, token_id, run, run_json):
    """``get`` goes on saying that a login is needed; ``renew`` asks once more, and heals."""
    acme.answers += [(400, REJECTED), (400, REJECTED), (200, FRESH)]
    assert run("token", token_id).exit_code == 4
    again = run("renew", token_id)
    assert again.exit_code == 4
    assert "rejected the refresh token" in again.output
    assert run("token", token_id).exit_code == 4
    assert run_json("show", token_id)["status"] == "login_needed"

    healed = run("renew", token_id)

    assert healed.exit_code == 0, healed.output
    assert run("token", token_id).stdout.strip() == "new-access"
    assert run_json("show", token_id)["status"] == "ok"
    assert acme.sent == ["the old one"] * 3


def test_get_after_a_fault(acme, token_id, run):
    """A fault that passes is not seen."""
    acme.answers += [(500, {}), (200, FRESH)]

    result = run("token", token_id)

    assert (result.exit_code, result.stdout.strip()) == (0, "new-access")


def test_answer_that_can_t_be_read(acme, token_id, run):
    """It is said what to do, by the command and by the doctor, and nothing of what is in it."""
    acme.answers.append((200, {"data": FRESH}))

    failed = run("token", token_id)
    doctor = run("--json", "doctor").stdout
    swept = run("sweep")

    assert failed.exit_code == 5
    assert 1 == failed.stderr.count("tokenkeep: ")
    assert f"tokenkeep renew {token_id}" in failed.output
    assert "read_answer" in failed.output
    checks = [json.loads(line) for line in doctor.splitlines()]
    [journal] = [check for check in checks if check["name"] == "journal"]
    assert (journal["state"], journal["text"]) == (
        "warning",
        "1 answer of the provider can't be read, of acme for ana@example.com",
    )
    assert "read_answer" in journal["hint"]
    assert "unread: 1" in swept.stdout
    assert f"unreadable: token {token_id}" in swept.stderr
    assert "new-" not in failed.output + doctor
    assert acme.sent == ["the old one"]
