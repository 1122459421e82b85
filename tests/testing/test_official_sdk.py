"""The unmodified official SDK works with the emulator's records; logins are in tests/sdk."""

from __future__ import annotations

from pathlib import Path

from official_sdk import run_sdk

SESSION = Path(__file__).with_name("sdk_session.py")


def test_record_operations(zoho, tmp_path):
    """It logs in by grant code, learns its user, and works with leads."""
    environ = {
        "CLIENT_ID": zoho.client.client_id,
        "CLIENT_SECRET": zoho.client.client_secret,
        "GRANT": zoho.grant_code(),
    }

    assert {
        "user": zoho.user.name,
        "listed": ["Dietz", "Castro", "Boyle"],
        "created": ["success"],
        "updated": ["success"],
        "read": ["Renamed"],
        "deleted": ["success"],
        "deleted_many": ["success"] * 3,
    } == run_sdk("8_0", SESSION, zoho.us.token_url, zoho.us.api_url, tmp_path, environ=environ)
    assert zoho.counters.token_calls() == 1
    assert zoho.counters.errors == {}
