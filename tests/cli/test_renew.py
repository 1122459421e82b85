"""``tokenkeep renew`` against a provider that changes its mind, or answers oddly."""

from __future__ import annotations

import json

import pytest

FRESH = {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": 3600}
REJECTED = {"error": "invalid_grant"}


@pytest.fixture
def server(endpoint):
    return endpoint()


@pytest.fixture
def token_id(acme, server):
    """The id of an expired token of a provider that rotates."""
    expired = {"access_token": "the old access", "expires_at": 1.0}
    return acme(issuer=server.url, refresh_token="the old one", **expired).id


def test_renew_after_a_rejection(server, token_id, run, run_json):
    """``get`` goes on saying that a login is needed; ``renew`` asks once more, and heals."""
    server.answers += [(400, REJECTED), (400, REJECTED), (200, FRESH)]
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
    assert server.sent == ["the old one"] * 3


def test_answer_that_can_t_be_read(server, token_id, run):
    """It is said what to do, by the command and by the doctor, and nothing of what is in it."""
    server.answers.append((200, {"data": FRESH}))

    failed = run("token", token_id)
    doctor = run("--json", "doctor").stdout
    swept = run("sweep")

    assert failed.exit_code == 5
    assert 1 == failed.stderr.count("tokenkeep: ")
    assert f"tokenkeep renew {token_id}" in failed.output
    assert "read_answer" in failed.output
    checks = [json.loads(line) for line in doctor.splitlines()]
    [journal] = [check for check in checks if check["name"] == "journal"]
    said = "1 answer of the provider can't be read, of acme for ana"
    assert (journal["state"], journal["text"]) == ("warning", said)
    assert "read_answer" in journal["hint"]
    assert "unread: 1" in swept.stdout
    assert f"unreadable: token {token_id}" in swept.stderr
    assert "new-" not in failed.output + doctor
    assert server.sent == ["the old one"]
