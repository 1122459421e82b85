"""A program that is missing: its tests are skipped and named at the end, or fail in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
CONFTEST = """
import private_servers.redis
import pytest
from private_servers.binaries import Program
pytest_plugins = ["private_servers.skipped", "private_servers.fixtures"]
private_servers.redis.REDIS = Program(
    name="Redis", binary="no-such-program", package="redis-server", elsewhere="redis"
)
BROWSER = Program(
    name="Browser", binary="no-such-browser", package="browser", elsewhere="--cask browser"
)
@pytest.fixture(scope="session")
def browser():
    from private_servers.skipped import installed
    return installed(BROWSER)
"""
TESTS = """
def test_one(redis_server): ...
def test_two(redis_server): ...
def test_three(browser): ...
def test_else(): ...
"""


@pytest.fixture
def run(tmp_path):
    """Run four tests: two need a server that is missing, one a program that is."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)

    def run(*arguments, ci=""):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-ra", "-p", "xdist", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "CI": ci,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path]),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_named_in_the_last_lines(run):
    """The tests are skipped; the last lines say how many, for want of what, and what to do."""
    done = run("--numprocesses=2")

    *_, title, browser, named, result = done.stdout.splitlines()
    assert "NOT TESTED" in title
    assert "Browser: 1 tests skipped. To get it: make test as root" in browser
    assert "Redis: 2 tests skipped. To get it: make test as root" in named
    assert "apt-get install redis-server, brew install redis, or see compose.yaml" in named
    assert "1 passed, 3 skipped" in result
    assert 0 == done.returncode


def test_failure_in_ci(run):
    """Where CI is set they fail, and say the same."""
    done = run(ci="true")

    assert "Redis is not installed: no no-such-program found. To get it:" in done.stdout
    assert "Browser is not installed: no no-such-browser found. To get it:" in done.stdout
    assert "1 passed, 3 errors" in done.stdout
    assert 1 == done.returncode
