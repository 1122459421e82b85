"""Where the programs are that the tests start."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

BESIDE_PATH = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin")


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
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *BESIDE_PATH])
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


class PostgresProgram(Program):
    """PostgreSQL: `postgres` needs the `initdb` of its own version, which is seldom on PATH."""

    def find(self):
        folders = [
            *Path("/usr/lib/postgresql").glob("*/bin"),
            *Path("/usr").glob("pgsql-*/bin"),
            *Path("/opt/homebrew/opt").glob("postgresql@*/bin"),
        ]
        folders.sort(key=lambda folder: _version(folder.parent.name), reverse=True)
        if on_path := super().find():
            folders.append(on_path.resolve().parent)
        for folder in folders:
            if os.access(folder / "initdb", os.X_OK) and os.access(folder / "postgres", os.X_OK):
                return folder / "postgres"
        return None


def _version(name):
    return [int(number) for number in re.findall(r"\d+", name)]


MARIADB = Program("MariaDB", "mariadbd", "mariadb-server")
POSTGRES = PostgresProgram("PostgreSQL", "postgres", "postgresql")
REDIS = Program("Redis", "redis-server", "redis-server", instead=("valkey-server",))
CHROMIUM = Program(
    "Chromium", "chromium", "chromium",
    instead=("chromium-browser", "google-chrome-stable", "google-chrome"),
)  # fmt: skip
