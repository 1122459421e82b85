"""
Take the rules of renewals and policies out of the code, one at a time, and see a test fail.

Run by hand, from anywhere: ``python tests/renewal/ablate.py [rule ...]``. It
works on a copy of the tree in a temporary folder. The rules are in ablations.py,
the test of each is in docs/renewal.md, or docs/policies.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ablations import ABLATIONS

ROOT = Path(__file__).resolve().parents[2]
PAGES = "".join((ROOT / "docs" / page).read_text() for page in ("renewal.md", "policies.md"))
TESTS = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+::[^`]+)` \|$", PAGES, re.MULTILINE))
"""The test that fails without each rule, below ``tests``."""


def passes(tests: set[str], scratch: Path) -> bool:
    """Tell whether tests pass on the copy as it is."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # Other people's plugins take longer than most of these tests.
    command += ["-p", "pytest_timeout", "-p", "tokenkeep.testing.plugin"]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(scratch / "src")}
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in sorted(tests))],
        cwd=scratch,
        env=os.environ | alone,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1) or (done.returncode and len(tests) > 1):
        raise SystemExit(done.stdout + done.stderr)
    return done.returncode == 0


def main(rules: list[str]) -> int:
    """Print a line for each rule; the exit status is how many no test missed."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for name in ("src", "tests", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, scratch / name)
        passes({TESTS[rule] for rule in rules or TESTS}, scratch)  # with all rules in place
        for file, table in ABLATIONS.items():
            source = scratch / "src" / "tokenkeep" / file
            whole = source.read_text()
            for rule in table.keys() & (rules or table):
                source.write_text(whole.replace(*table[rule]))
                is_missed = passes({TESTS[rule]}, scratch)
                missed += is_missed
                print(f"{'PASSES' if is_missed else 'fails'}  {rule:18} {TESTS[rule]}", flush=True)  # noqa: T201  # a script
            source.write_text(whole)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
