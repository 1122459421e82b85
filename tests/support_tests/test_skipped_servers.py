"""A program that is missing: skipped and named at the end, or failed in CI; or installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from private_servers import install
from private_servers.binaries import PROGRAMS, PostgresProgram, Program

SUPPORT = Path(__file__).parents[1] / "support"
MISSING = Program(
    name="Redis",
    binary="no-such-program",
    package="redis-server",
    elsewhere="redis",
    service="redis-server",
)

APT_GET = """#!/bin/sh
cd "$(dirname "$0")/.."
echo "$DEBIAN_FRONTEND $*" >> asked
cat policy >> policies
test -e tried || { touch tried; exit 1; }
case "$*" in *install*) touch bin/no-such-program; chmod +x bin/no-such-program;; esac
"""
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
            [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *arguments],
            cwd=tmp_path,
            env={**os.environ, "CI": ci, "PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path])},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("workers", [(), ("--numprocesses=2",)], ids=["alone", "workers"])
def test_named_in_the_last_lines(run, workers):
    """The tests are skipped; the last lines say how many, for want of what, and what to do."""
    done = run(*workers)

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


def test_nothing_to_say(run):
    """No last lines where nothing is missing."""
    done = run("-k", "else")

    assert "1 passed" in done.stdout
    assert "NOT TESTED" not in done.stdout


@pytest.fixture
def apt_get(tmp_path, monkeypatch):
    """A folder with an apt-get that notes what it was asked; its first update fails."""
    if not Path("/etc/debian_version").exists() or os.geteuid():
        pytest.skip("nothing is installed but by root on Debian")
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(APT_GET)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def test_install(apt_get, capfd):
    """
    What is missing is installed without a question, after a second try at the lists.

    No service is started meanwhile, and the policy that sees to that is gone afterwards.
    """
    install.main(apt_get / "stamp", programs=[MISSING], policy=apt_get / "policy")

    asked = (apt_get / "asked").read_text().splitlines()
    assert ["update", "update", "redis-server"] == [line.split()[-1] for line in asked]
    assert "install --yes --no-install-recommends redis-server" in asked[-1]
    assert all(line.startswith("noninteractive ") for line in asked)
    assert 3 == (apt_get / "policies").read_text().count("exit 101")
    assert not (apt_get / "policy").exists()
    assert (apt_get / "stamp").exists()
    assert "missing" not in capfd.readouterr().err


def test_services(apt_get, monkeypatch):
    """Services that came along are kept from the next boot; a program without one has none."""
    asked = []
    monkeypatch.setattr(install, "run", lambda *command: asked.append(command))
    monkeypatch.setattr(install, "SYSTEMD", apt_get)
    there = Program(name="", binary="apt-get", package="one", elsewhere="", service="one-service")
    plain = Program(name="", binary="apt-get", package="two", elsewhere="")

    install.install([plain, there, MISSING], apt_get / "policy")
    install.install([plain], apt_get / "policy")

    assert [("systemctl", "disable", "one-service")] == [
        command for command in asked if command[0] == "systemctl"
    ]


def test_one_package_that_is_not_there(apt_get):
    """A system may not have one of the packages; the others are installed all the same."""
    strange = Program(name="", binary="strange", package="strange", elsewhere="")

    install.main(apt_get / "stamp", programs=[strange, MISSING], policy=apt_get / "policy")

    asked = (apt_get / "asked").read_text().splitlines()
    tried = [line.split()[-1] for line in asked if "install" in line]
    assert ["strange", "redis-server"] == tried
    assert MISSING.find()
    assert not (apt_get / "stamp").exists()


def test_policy_of_others_stays(apt_get):
    """Who has decided about services already has decided."""
    (apt_get / "policy").write_text("exit 0")

    install.main(programs=[MISSING], policy=apt_get / "policy")

    assert "exit 0" == (apt_get / "policy").read_text()


def test_not_possible(monkeypatch, tmp_path, capfd):
    """Where nothing can be installed it says what is missing, and that is no failure."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    install.main(tmp_path / "stamp", programs=[MISSING])

    said = capfd.readouterr().err
    assert "Redis is missing, its tests will be skipped. To get it: make test as root" in said
    assert not (tmp_path / "stamp").exists()


def test_script(tmp_path):
    """The script the Makefile calls works from anywhere, and is silent where all are there."""
    if install.missing():
        pytest.skip("it would install something")
    stamp = tmp_path / "stamp"
    script = SUPPORT / "install-servers"
    done = subprocess.run(
        [sys.executable, script, stamp], cwd="/", capture_output=True, text=True, check=True
    )

    assert stamp.exists()
    assert "" == done.stderr + done.stdout


def test_postgres_with_its_own_initdb(tmp_path, monkeypatch):
    """A `postgres` on PATH without an `initdb` beside it is of no use."""
    (tmp_path / "postgres").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    program = PostgresProgram(name="PostgreSQL", binary="postgres", package="", elsewhere="")
    found = program.find()

    assert found is None or (found.parent != tmp_path and (found.parent / "initdb").exists())
    (tmp_path / "initdb").touch(mode=0o755)
    if found is None:
        assert tmp_path / "postgres" == program.find()


def test_how_names_all_ways():
    """Each of them says how it is got, on one line."""
    for program in PROGRAMS:
        assert program.package in program.how
        assert "\n" not in program.how
