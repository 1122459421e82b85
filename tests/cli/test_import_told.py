"""``tokenkeep import`` tells what was done, not what was planned a moment before."""

from __future__ import annotations

import json

from tokenkeep import Token
from tokenkeep.importing import Importer

HEADER = (
    "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,"
    "expiry_time,redirect_uri,api_domain"
)


def test_a_login_made_meanwhile_is_told(run, store, tmp_path, monkeypatch):
    """Planned as new, skipped in the end: the row and the count say so, and it has no id."""
    path = tmp_path / "sdk_tokens.txt"
    domain = "https://www.zohoapis.com"
    path.write_text(f"{HEADER}\n1,ana,1000.C,s,1000.R,1000.A,,,,{domain}\n")
    plan = Importer.plan

    def overtaken(importer, on_read):
        for step in plan(importer, on_read):
            store.save_token(
                Token(user="ana", client_id="1000.C", refresh_token="r2", api_domain=domain)
            )
            yield step

    monkeypatch.setattr(Importer, "plan", overtaken)

    told = run("import", str(path), "--json")

    row, summary = map(json.loads, told.stdout.splitlines())
    assert ("skipped", None) == (row["action"], row["id"])
    assert "--replace" in row["reason"]
    assert {"skipped": 1} == summary["rows"]
    assert ["r2"] == [token.refresh_token for token in store.get_tokens()]
