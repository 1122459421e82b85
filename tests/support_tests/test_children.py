"""What the processes that tests start inherit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parents[1] / "support"
INTERRUPTED = """
import signal, subprocess, sys

def test_interrupted():
    command = [sys.executable, "-c", "print(flush=True); import time; time.sleep(9)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
"""


def test_background_jobs(tmp_path):
    """Where the shell has made the whole run ignore Ctrl-C, what tests start still heeds it."""
    (tmp_path / "test_interrupted.py").write_text(INTERRUPTED)
    (tmp_path / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-p", "children", "-p", "xdist", "-n", "1"]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(SUPPORT)}
    environ = os.environ | alone

    ended = subprocess.run(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout
