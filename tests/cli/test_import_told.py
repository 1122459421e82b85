"""``tokenkeep import`` tells what was done, not what was planned a moment before."""

from __future__ import annotations

import json

import pytest

from tokenkeep import StoreError, Token
from tokenkeep.importing import Importer
from tokenkeep.vault import Vault

HEADER = (
    "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,"
    "expiry_time,redirect_uri,api_domain"
)


DOMAIN = "https://www.zohoapis.com"


@pytest.fixture
def path(tmp_path):
    """A file with one row."""
    path = tmp_path / "sdk_tokens.txt"
    path.write_text(f"{HEADER}\n1,ana,1000.C,s,1000.R,1000.A,,,,{DOMAIN}\n")
    return path


def test_a_login_made_meanwhile_is_told(run, store, path, monkeypatch):
    """Planned as new, skipped in the end: the row and the count say so, and it has no id."""
    plan = Importer.plan

    def overtaken(importer, on_read):
        for step in plan(importer, on_read):
            store.save_token(
                Token(user="ana", client_id="1000.C", refresh_token="r2", api_domain=DOMAIN)
            )
            yield step

    monkeypatch.setattr(Importer, "plan", overtaken)

    told = run("import", str(path), "--json")

    row, summary = map(json.loads, told.stdout.splitlines())
    assert ("skipped", None) == (row["action"], row["id"])
    assert "--replace" in row["reason"]
    assert {"skipped": 1} == summary["rows"]
    assert ["r2"] == [token.refresh_token for token in store.get_tokens()]


def test_a_row_that_failed_is_told(run, path, monkeypatch):
    """In the row, in the sum and by the exit status; with --json too."""

    def refuse(_vault, row):
        raise StoreError("This token takes 70000 bytes", user=row.user, hint="Smaller!")

    monkeypatch.setattr(Vault, "adopt", refuse)

    told = run("import", str(path))
    as_json = run("import", str(path), "--json")

    assert (1, 1) == (told.exit_code, as_json.exit_code)
    assert "2\tfailed\tana\t" in told.stdout
    assert "This token takes 70000 bytes" in told.stdout
    assert "1 failed" in told.stderr
    assert {"failed": 1} == json.loads(as_json.stdout.splitlines()[-1])["rows"]
