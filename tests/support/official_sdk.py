"""Run scripts on the generations of the official SDK, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from private_servers.skipped import missing

SDK = Path(__file__).parents[2] / ".sdk"
PROGRAM = Path(__file__).with_name("sdk_program.py")
"""Initialises the SDK and reads the leads."""


def loading(generation):
    """Return where a program finds a generation, the newest is installed, and `sdk_calls`."""
    older = [] if generation == "8_0" else [_folder(generation)]
    path = (*older, PROGRAM.parent, os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(map(str, path)).rstrip(os.pathsep)}


def run_sdk(generation, script, *args, environ=None):
    """Run a script with one generation of the SDK, and return what it printed as JSON."""
    # Its MySQL driver is installed once, beside 5_0.
    more = loading(generation) | {"MYSQL_DRIVER": str(_folder("5_0"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), *map(str, args)],
        env=os.environ | more | (environ or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "null")


def _folder(generation):
    folder = SDK / generation
    if not folder.exists():
        missing(f"{folder} is not there: make .stamp-sdk installs it")
    return folder
