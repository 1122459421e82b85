"""Hosts that share a store and a Zoho: what is typed there, and what their programs do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from emulated import login
from pages import labelled

import tokenkeep
from tokenkeep.testing import emulator_configuration

PAGE = "docs/operations.md"
WORKER = Path(__file__).with_name("operations_worker.py")
ELSEWHERE = json.dumps(
    {"host": "gone", "pid": 1, "started": "1", "boot": "another boot", "namespace": "another"}
)
"""A process of another host: nobody here can tell whether it lives."""


class Typed(NamedTuple):
    """What became of a command: its exit status, and all that it has written."""

    status: int
    text: str


class Host:
    """
    One host: an environment and a folder of its own.

    Args:
        zoho: The provider.
        folder: Where its home, state and configuration are.
        url: Of the store.
        keys: The key ring, newest first.
        rotates: Whether its programs know that refresh tokens rotate.
    """

    def __init__(self, zoho, folder, url, keys, *, rotates):
        folder.mkdir(exist_ok=True)
        self.zoho, self.folder, self.url = zoho, folder, url
        profile = "\n[providers.zoho.profile]\nrotates = true\n" if rotates else ""
        config = folder / "config.toml"
        config.write_text(emulator_configuration(zoho) + profile)
        config.chmod(0o600)
        self.key_file = folder / "keys"
        self.hold(keys)
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("TOKENKEEP_", "XDG_"))}
        self.environ = kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TOKENKEEP_STORE": url,
            "TOKENKEEP_KEY_FILE": str(self.key_file),
            "TOKENKEEP_CONFIG": str(config),
            "TOKENKEEP_STATE": str(folder / "state"),
        }
        self._stack = ExitStack()

    def hold(self, keys):
        """Have these keys from now on; None takes the file away."""
        if keys is None:
            self.key_file.unlink()
        else:
            self.key_file.touch(0o600)
            self.key_file.write_text("\n".join([*keys, ""]))

    def keeper(self, **given):
        """Return a keeper of a program that is started here."""
        clock = given.get("clock")
        store = tokenkeep.open_store(environ=self.environ, make=True, clock=clock)
        self._stack.callback(store.close)
        return tokenkeep.Keeper(store, **given)

    def login(self, keeper=None, *, user=None, left=-10.0, **more):
        """Store what a login gave a while ago."""
        given = login(self.zoho, user, **({"user": user} if user else {}), **more)
        access = self.zoho.access_token(refresh_token=given.refresh_token)
        ends = (keeper.clock if keeper else tokenkeep.clock.Clock()).now() + left
        store = (keeper or self.keeper()).store
        return store.save_token(given.but(access_token=access, expires_at=ends))

    def type(self, line):
        """Type a line, or several, of a shell; the first that fails ends it."""
        done = subprocess.run(
            ["bash", "-euc", line],
            env=self.environ,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Typed(done.returncode, done.stdout)

    def type_page(self, label, instead=()):
        """Type the commands of the page's blocks with this label, in one shell; all end well."""
        shown = "\n".join(labelled(PAGE, label))
        commands = "\n".join(re.findall(r"^\$ (.*)", shown, re.MULTILINE))
        for name, ours in dict(instead).items():
            assert name in shown, f"{name} is not shown any more"
            commands = commands.replace(name, str(ours))
        done = self.type(commands)
        assert done.status == 0, f"{commands}\n{done.text}"
        return done.text

    def writer(self):
        """Start a process that saves tokens without end, and says each that was acknowledged."""
        process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process

    def close(self):
        self._stack.close()
