"""Install the programs that are missing, where that can be done without asking."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from .binaries import PROGRAMS

SYSTEMD = Path("/run/systemd/system")
POLICY = Path("/usr/sbin/policy-rc.d")
NO_SERVICES = """\
#!/bin/sh
# tokenkeep's tests/support/install-servers: no service is started. Gone when it is done.
exit 101
"""
APT_GET = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120")
INSTALL = ("install", "--yes", "--no-install-recommends")
ENDS = (signal.SIGTERM, signal.SIGHUP)


def main(stamp=None):
    """Install what is missing, or say how to get it; when nothing is, touch the file *stamp*."""
    if wanted := missing():
        if possible():
            install(wanted)
        tell(missing())
    if stamp and not missing():
        Path(stamp).touch()


def missing():
    """Return the programs that are not installed."""
    return [program for program in PROGRAMS if not program.find()]


def possible():
    """Whether this is Debian or one of its children, and we are its root."""
    debian = Path("/etc/debian_version").exists() and shutil.which("apt-get")
    return bool(debian and os.geteuid() == 0)


def install(programs):
    """Install their packages; apt-get itself shows what fails."""
    say(f"installing {', '.join(program.package for program in programs)} for the tests")
    with no_services():
        # The lists are old, or not there as in most containers; and mirrors fail at times.
        run(*APT_GET, "update") or run(*APT_GET, "update")
        for program in programs:
            # One by one: a package that a system does not have keeps no other one away.
            run(*APT_GET, *INSTALL, program.package)
    services = [each.service for each in programs if each.service and each.find()]
    if services and SYSTEMD.exists():
        run("systemctl", "disable", *services)  # nor is one started at the next boot


def run(*command):
    """Run a command that asks nothing; return whether it ended well."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
    return done.returncode == 0


@contextmanager
def no_services():
    """Keep packages from starting their services, as long as this lasts."""
    if POLICY.exists() and POLICY.read_text() != NO_SERVICES:
        yield  # somebody has decided about services already
        return
    before = {number: signal.signal(number, lambda *_: sys.exit(1)) for number in ENDS}
    try:
        POLICY.write_text(NO_SERVICES)
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()
        for number, handler in before.items():
            signal.signal(number, handler)


def tell(programs):
    """Name what is missing and how to get it."""
    for program in programs:
        say(f"{program.name} is missing, its tests will be skipped. {program.how}")


def say(text):
    sys.stderr.write(f"install-servers: {text}\n")
