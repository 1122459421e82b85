"""The unmodified official SDKs against the emulator, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SESSION = Path(__file__).with_name("sdk_session.py")


def session(zoho, folder, generation, environment="production"):
    """Run the script with one generation of the SDK and return what it saw."""
    env = os.environ | {
        "CLIENT_ID": zoho.client.client_id,
        "CLIENT_SECRET": zoho.client.client_secret,
        "GRANT": zoho.grant_code(environment=environment),
    }
    if generation != "8_0":
        home = ROOT / ".sdk" / generation
        if not home.exists():
            pytest.skip(f"{home} is missing: make .stamp-sdk")
        env["PYTHONPATH"] = str(home)
    api_url = zoho.us.environment_url(environment)
    done = subprocess.run(
        [sys.executable, SESSION, zoho.us.token_url, api_url, folder],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("generation", ["6_0", "7_0", "8_0"])
def test_record_operations(zoho, tmp_path, generation):
    """It logs in by grant code, learns its user, and works with leads."""
    seen = session(zoho, tmp_path, generation)

    del seen["sdk"]
    assert {
        "user": zoho.user.name,
        "listed": ["Dietz", "Castro", "Boyle"],
        "created": ["success"],
        "updated": ["success"],
        "read": ["Renamed"],
        "upserted": ["success"],
        "deleted": ["success"],
        "deleted_many": ["success"] * 3,
        "left": ["Upserted"],
    } == seen
    assert zoho.counters.token_calls() == 1
    assert zoho.counters.errors == {}


def test_generation_5(zoho, tmp_path):
    """The oldest generation logs in and lists leads; it does not look up its user."""
    seen = session(zoho, tmp_path, "5_0")

    assert (seen["user"], seen["listed"]) == (None, ["Dietz", "Castro", "Boyle"])
    assert ".sdk" in seen["sdk"]


def test_sandbox(zoho, tmp_path):
    """In the sandbox it sees the sandbox's leads, and production's stay as they are."""
    before = dict(zoho.records())
    seen = session(zoho, tmp_path, "8_0", "sandbox")

    assert seen["listed"] == ["Sandbox"]
    assert before == zoho.records()
