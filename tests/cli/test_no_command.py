"""What somebody sees who types only the name."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("words", [[], ["keys"]], ids=["tokenkeep", "tokenkeep keys"])
def test_help(words):
    """Without a command the help is shown, line by line, and nothing was done."""
    done = subprocess.run(
        [sys.executable, "-m", "tokenkeep", *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")
    assert "\n\nCommands:\n" in done.stderr
    assert "\\n" not in done.stderr
