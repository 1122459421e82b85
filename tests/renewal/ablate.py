"""
Take the rules of the renewal out of the code, one at a time, and see a test fail.

Run by hand, from anywhere: ``python tests/renewal/ablate.py [rule ...]``. It
works on a copy of the tree in a temporary folder. The rules are in ablations.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ablations import ABLATIONS, Ablation

ROOT = Path(__file__).resolve().parents[2]


def fails(ablation: Ablation, scratch: Path) -> bool:
    """Tell whether the test fails on a copy of the tree without the rule."""
    source = scratch / "src" / "tokenkeep" / ablation.file
    whole = source.read_text()
    if whole.count(ablation.old) != 1:
        raise SystemExit(f"{ablation.rule}: its lines are not in {ablation.file}")
    source.write_text(whole.replace(ablation.old, ablation.new))
    try:
        return not passes([ablation.test], scratch)
    finally:
        source.write_text(whole)


def passes(tests: list[str], scratch: Path) -> bool:
    """Tell whether a test passes on the copy as it is; several have to."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # Other people's plugins take longer than most of these tests.
    command += ["-p", "pytest_timeout", "-p", "tokenkeep.testing.plugin"]
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=scratch,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(scratch / "src"),
        },
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
        chosen = [each for each in ABLATIONS if not rules or each.rule in rules]
        passes(sorted({each.test for each in chosen}), scratch)  # with all rules in place
        for ablation in chosen:
            seen = fails(ablation, scratch)
            missed += not seen
            print(f"{'fails' if seen else 'PASSES'}  {ablation.rule:18} {ablation.test}")  # noqa: T201  # a script
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
