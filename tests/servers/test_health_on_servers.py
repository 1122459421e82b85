"""Health on real servers: one read and one write, by whoever may write there."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import tokenkeep
from tokenkeep.metrics import Census


def probe(place):
    """Run the command as a probe does; return its status, and what it says as JSON."""
    words = [sys.executable, "-m", "tokenkeep", "health", "--json"]
    ran = subprocess.run(
        words, env=place.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "" == ran.stderr
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()]


def test_each_kind(place):
    """Before there is a store it says so and makes none; after that several at once are well."""
    status, (found,) = probe(place)
    assert (1, "There is no store yet") == (status, found["troubles"][0]["text"][:21])

    with tokenkeep.open_store(place.url, environ=place.environment, make=True) as vault:
        assert vault.save_token(tokenkeep.Token(user="ana", client_id="c", refresh_token="r"))
        with ThreadPoolExecutor() as pool:
            assert [0] * 3 == [status for status, _ in pool.map(probe, [place] * 3)]
        assert vault.beat(2.0) > 1e9
        census = vault.census(3.0)

    counts = dict.fromkeys(("login_needed", "revoked"), 0)
    beside = dict.fromkeys(("alias", "lease", "note", "ended"), 0)
    assert census == Census(tokens={"ok": 1, **counts}, records=beside, due=0, revocations=0)
