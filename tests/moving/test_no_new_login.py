"""A login made with the SDK's own store goes on in the SDK with tokenkeep's: no new login."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing

import pytest
from official_sdk import PROGRAM, run_sdk
from sdk_tables import make_table, place_of

import tokenkeep


@pytest.fixture
def home(tmp_path, monkeypatch, zoho):
    """A home with tokenkeep configured for the emulator."""
    from tokenkeep.testing import emulator_configuration

    (tmp_path / "config.toml").write_text(emulator_configuration(zoho))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOKENKEEP_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TOKENKEEP_STORE", f"sqlite:///{tmp_path}/tokens.db")
    monkeypatch.delenv("TOKENKEEP_KEYS", raising=False)
    return tmp_path


@pytest.fixture
def take_over(mariadb, monkeypatch):
    """Run ``tokenkeep import`` on a database, or a file."""

    def _take_over(source):
        if "/" not in source:
            server = f"{mariadb.host}:{mariadb.port}"
            monkeypatch.setenv("OLD_TABLE", f"mysql://app:{mariadb.password}@{server}/{source}")
            source = "env:OLD_TABLE"
        done = subprocess.run(
            [sys.executable, "-m", "tokenkeep", "import", source],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert "1 new" in done.stderr
        assert mariadb.password not in done.stdout + done.stderr

    return _take_over


@pytest.fixture
def program(mariadb, zoho, home):
    """Run a program on a generation of the SDK."""

    def _program(generation, kind, database="", **login):
        environ = place_of(mariadb, database) | {"LOGIN": json.dumps(login)}
        urls = (zoho.us.api_url, zoho.us.token_url)
        return run_sdk(generation, PROGRAM, kind, *urls, home, environ=environ)

    return _program


@pytest.mark.parametrize(
    ("generation", "kind"),
    [("5_0", "mysql"), ("8_0", "mysql"), ("8_0", "file")],
)
def test_no_new_login(mariadb, zoho, program, take_over, tmp_path, generation, kind):  # noqa: PLR0917  # fixtures
    """The access token that the SDK's store has is used, then renewed with its refresh token."""
    source = make_table(mariadb) if kind == "mysql" else str(tmp_path / "tokens.txt")
    client = {"client_id": zoho.client.client_id, "client_secret": zoho.client.client_secret}
    grant = zoho.grant_code()
    where = ("mysql", source) if kind == "mysql" else (source,)
    before = program(generation, *where, grant_token=grant, **client)
    assert (200, 1) == (before["status"], zoho.counters.token_calls())

    take_over(source)

    after = program(generation, "tokenkeep", grant_token=grant, **client)
    assert (200, before["access_token"]) == (after["status"], after["access_token"])
    # 5_0 does not look its user up: there is no name to ask by.
    asked = {"user": before["user"]} if generation != "5_0" else {"id": after["id"]}
    assert 200 == program(generation, "tokenkeep", **asked)["status"]
    assert 1 == zoho.counters.token_calls()

    zoho.expire_access_tokens()
    with closing(tokenkeep.open_store()) as store:
        (token,) = store.get_tokens()
        store.save_token(token.but(expires_at=time.time() - 1))
    assert 200 == program(generation, "tokenkeep", **asked)["status"]
    assert 1 == zoho.counters.token_calls("authorization_code")
    assert 1 == zoho.counters.token_calls("refresh_token")
