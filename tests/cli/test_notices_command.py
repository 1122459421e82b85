"""The commands about whom to tell, and what a sweep and the doctor say of it."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from receivers import SECRET


@pytest.fixture
def to_tell(configured, environment, tmp_path, receiver):  # noqa: ARG001  # it is there first
    """Name the receiver in the configuration, and more entries."""
    path = tmp_path / "config.toml"

    def _to_tell(*entries):
        said = [f'webhook = "{receiver.url}"', f'webhook_secret = "{SECRET}"', *entries]
        text = "\n".join(["", "[notices]", "allow_private = true", *said, ""])
        path.write_text(path.read_text() + text)
        path.chmod(0o600)

    return _to_tell


def test_test(to_tell, receiver, run):
    """Each is told that this is a test, and says whether it has taken it: then status 0."""
    to_tell('command = ["/bin/false"]', 'login_link = "https://desk.example/?u={user}"')

    result = run("notices", "test")

    assert 1 == result.exit_code
    assert [
        "failed\tcommand\tThe command /bin/false ended with 1",
        "ok\twebhook\thas taken it",
    ] == (result.output.splitlines())
    (facts,) = receiver.facts
    assert ("test", "https://desk.example/?u=test") == (facts["event"], facts["login_link"])
    lines = [json.loads(line) for line in run("notices", "test", "--json").output.splitlines()]
    assert ["failed", "ok"] == [each["state"] for each in lines]


def test_nobody(configured, run):  # noqa: ARG001  # a configuration without it
    """Without anybody to tell it says where to name somebody: status 1."""
    result = run("notices", "test")

    assert 1 == result.exit_code
    assert "[notices]" in result.stderr


def test_sweep_tells(  # noqa: PLR0917  # its fixtures
    to_tell, receiver, save, run, run_json, configured
):
    """A command that meets a death has its own end; what it could not tell a sweep does."""
    to_tell()
    token = save(expires_at=1.0)
    configured.revoke()
    receiver.answers.append(503)
    assert 4 == run("token", token.id).exit_code
    receiver.wait(1)

    swept = run_json("sweep")

    assert (0, 0) == (swept["told"], swept["untold"])  # whoever has tried is left alone
    assert ["login_needed"] == receiver.events


def late(handler):
    """Take a notice after a moment."""
    time.sleep(0.5)
    handler.send_response(204)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_a_login_is_told_as_it_ends(  # noqa: PLR0917  # its fixtures
    to_tell, receiver, save, run, configured, store, environment
):
    """The command waits for what it is telling: no sweep tells it again."""
    token = save(expires_at=1.0)
    configured.revoke()
    assert 4 == run("token", token.id).exit_code
    row = store.reread(token.id)
    store.swap(row.with_renewal(notice=replace(row.renewal.notice, tries=1, next_at=None)))
    to_tell()
    receiver.answers.append(late)
    environment.setenv("TOKENKEEP_CLIENT_SECRET", configured.client.client_secret)
    words = ["login", "--client-id", configured.client.client_id, "--grant-file", "-"]

    assert 0 == run(*words, stdin=configured.grant_code()).exit_code

    assert ["recovered"] == receiver.events
    assert store.reread(token.id).renewal.notice.next_at is None


def test_doctor(to_tell, receiver, run):
    """It looks whether they are there, and tells them nothing."""
    to_tell('command = ["/nowhere/tell"]')

    result = run("doctor")

    lines = [line.split("\t") for line in result.stdout.splitlines()]
    states = [line[0] for line in lines if line[1] == "notices"]
    assert (1, ["failed", "ok"]) == (result.exit_code, states)
    assert "/nowhere/tell" in result.stdout
    assert [] == receiver.calls
