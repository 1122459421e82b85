"""Run scripts on the generations of the official SDK, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SDK = Path(__file__).parents[2] / ".sdk"
PROGRAM = Path(__file__).with_name("sdk_program.py")
"""Initialises the SDK and reads the leads."""


def run_sdk(generation, script, *args, environ=None):
    """Run a script with one generation of the SDK, and return what it printed as JSON."""
    folder = SDK / generation
    # Its MySQL driver is installed once, beside 5_0.
    for needed in (folder, SDK / "5_0"):
        if not needed.exists() and (needed, generation) != (folder, "8_0"):
            missing = f"{needed} is not there: make .stamp-sdk installs it"
            if os.environ.get("CI"):
                pytest.fail(missing)
            pytest.skip(missing)
    more = {"PYTHONPATH": str(folder)} if folder.exists() else {}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), *map(str, args)],
        env=os.environ | more | {"MYSQL_DRIVER": str(SDK / "5_0")} | (environ or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "null")
