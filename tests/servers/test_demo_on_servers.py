"""The demo on a server; that every kind of server does what it needs is tested one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("tokenkeep")


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
@pytest.mark.timeout(300)
def test_demo_on_a_server(place, tmp_path):
    """`tokenkeep demo` proves its claims there too, and leaves nothing behind."""
    env = place.environment | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [COMMAND, "demo", "--configured"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "11 of 11 claims hold" in done.stdout
    assert "8 processes, SDKStore: one call" in done.stdout
    assert "Revoked: refused at once" in done.stdout
    left = subprocess.run(
        [COMMAND, "list", "--json"], env=env, capture_output=True, text=True, check=False
    )
    assert not left.stdout.strip()
    assert 3 == left.returncode  # not even a store
