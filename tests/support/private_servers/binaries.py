"""Where the programs are that the tests start."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

BESIDE_PATH = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin")
OF_POSTGRESQL = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
)
"""With the `initdb` of its own version, and seldom on PATH."""


class ProgramMissing(Exception):
    """A program is not installed; the text says how to get it."""


@dataclass(frozen=True)
class Program:
    """
    What the tests start, a server or a browser.

    Args:
        name: As people call it.
        binary: What has to be there.
        package: Its name for apt-get.
        instead: Other programs that do as well.
    """

    name: str
    binary: str
    package: str
    instead: tuple[str, ...] = ()

    def find(self):
        """Return the path of the program, None if it is not installed."""
        newest_first = sorted(
            (each for places in OF_POSTGRESQL for each in Path("/").glob(places)),
            key=lambda folder: [int(number) for number in re.findall(r"\d+", str(folder))],
            reverse=True,
        )
        on_path = os.environ.get("PATH", os.defpath)
        path = os.pathsep.join(map(str, (*newest_first, on_path, *BESIDE_PATH)))
        for name in (self.binary, *self.instead):
            if found := shutil.which(name, path=path):
                return Path(found)
        return None

    def require(self):
        """Return the path of the program, or raise ProgramMissing."""
        if found := self.find():
            return found
        raise ProgramMissing(
            f"{self.name} is not installed: no {self.binary} found. To get it: make test as root "
            f"on Debian or Ubuntu, the package {self.package} elsewhere, or see compose.yaml"
        )


MARIADB = Program("MariaDB", "mariadbd", "mariadb-server")
POSTGRES = Program("PostgreSQL", "postgres", "postgresql")
REDIS = Program("Redis", "redis-server", "redis-server", instead=("valkey-server",))
CHROMIUM = Program(
    "Chromium", "chromium", "chromium",
    instead=("chromium-browser", "google-chrome-stable", "google-chrome"),
)  # fmt: skip
