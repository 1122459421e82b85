"""examples/record.py, after a login: run as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tokenkeep
from tokenkeep.testing import emulator_configuration

EXAMPLE = Path(__file__).parents[2] / "examples" / "record.py"


def run(user, environ, folder):
    return subprocess.run(
        [sys.executable, EXAMPLE, user],
        env=environ, cwd=folder, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.fixture
def environ(zoho, tmp_path):
    """The environment of somebody who has logged in, and has no leads yet."""
    zoho.records().clear()
    (tmp_path / "config.toml").write_text(emulator_configuration(zoho))
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "TOKENKEEP_STORE": "sqlite:///tokens.db",
        "TOKENKEEP_KEYS": tokenkeep.generate_key(),
        "TOKENKEEP_CONFIG": str(tmp_path / "config.toml"),
    }
    with tokenkeep.open_store(f"sqlite:///{tmp_path}/tokens.db", environ=environ) as store:
        store.save_token(
            tokenkeep.Token(
                user=zoho.user.name,
                client_id=zoho.client.client_id,
                client_secret=zoho.client.client_secret,
                refresh_token=zoho.refresh_token(),
                issuer=zoho.us.token_url,
                api_domain=zoho.us.api_url,
            )
        )
    return environ


def test_record(zoho, environ, tmp_path):
    """It adds a lead and lists it, twice, with one call to the token endpoint."""
    first, second = (run(zoho.user.name, environ, tmp_path) for _ in range(2))

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("Added: success\n")
    assert "Lovelace\tAnalytical Engines" in first.stdout
    assert second.stdout.count("Lovelace") == 2
    assert zoho.counters.token_calls() == 1


@pytest.mark.parametrize("code", ["INVALID_TOKEN", "AUTHENTICATION_FAILURE", "INVALID_OAUTHTOKEN"])
@pytest.mark.parametrize("endpoint", ["settings", "records"])
def test_refused(zoho, environ, tmp_path, endpoint, code):
    """An access token that the CRM refuses costs nobody the lead, and adds none twice."""
    fault = zoho.faults.add(endpoint=endpoint, kind="refused", code=code)
    done = run(zoho.user.name, environ, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert fault.hits == 1
    assert done.stdout.startswith("Added: success\n")
    assert done.stdout.count("Lovelace") == 1
