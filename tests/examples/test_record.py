"""examples/record.py, after a login: run as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from emulated import environment_of, login

import tokenkeep

EXAMPLE = Path(__file__).parents[2] / "examples" / "record.py"


def test_record(zoho, tmp_path):
    """It adds a lead and lists it, twice, with one call to the token endpoint."""
    zoho.records().clear()
    environ = environment_of(zoho, tmp_path) | {"TMPDIR": str(tmp_path)}
    with tokenkeep.open_store(environ["TOKENKEEP_STORE"], environ=environ) as store:
        store.save_token(login(zoho))
    for listed in (1, 2):
        done = subprocess.run(
            [sys.executable, EXAMPLE, zoho.user.name],
            env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Added: success\n")
        assert done.stdout.count("Lovelace\tAnalytical Engines") == listed
    assert zoho.counters.token_calls() == 1
