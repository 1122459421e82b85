"""What all private servers have in common: their folder, port, start and end."""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from .custody import Custody
from .ports import free_port

READY = 60  # seconds a server gets until it answers
STOP = 30  # seconds it gets to end in order
PORTS = 10  # ports to try before giving up


class ServerFailed(Exception):
    """A server did not start or stop; the tail of its log is in the text."""


class NotReady(Exception):
    """It doesn't answer yet."""


class PrivateServer(ABC):
    """
    A server of our own on 127.0.0.1.

    Args:
        folder: Where its data go; kept afterwards. None makes a temporary one, which is removed at the end. As
            root, the user "nobody" has to be able to get there.
        durable: Whether it syncs what it acknowledges to the disk. False is quicker, and loses the last
            second when the machine (not the server) goes down.
        options: More arguments for the server's command line.

    Attributes:
        host: Its address.
        port: Its port, the same over all its starts; None before the first.
        password: What clients need, different for each server.
        folder: Where its data are; None before the first start.
        options: Read at each start.
    """

    name = ""
    host = "127.0.0.1"
    stop_signal = signal.SIGTERM
    needs_user = True  # not to be run by root

    def __init__(self, folder=None, *, durable=True, options=()):
        self.folder = Path(folder).absolute() if folder else None
        self.durable = durable
        self.options = list(options)
        self.port = None
        self.password = secrets.token_hex(16)
        self._custody = None
        self._kept = folder is not None
        self._prepared = False

    # What differs between servers.

    @abstractmethod
    def prepare(self):
        """Make what the first start needs, in `self.folder`."""

    @abstractmethod
    def command(self):
        """Return the command line that starts it on `self.port`."""

    @abstractmethod
    def check(self):
        """Ask it something; raise NotReady if it doesn't answer as it should."""

    @abstractmethod
    def url(self):
        """Return a tokenkeep URL of a new and empty place on it, user and password in it."""

    # What people call.

    def start(self):
        """
        Start it, again or for the first time, and wait until it answers.

        Raises:
            ServerMissing: Its program is not installed.
            ServerFailed: It ended, or does not answer within 60 seconds.
        """
        if self._custody is None:
            self._custody = Custody()
            self._find_room()
        if self.running:
            return
        if not self._prepared:
            self.prepare()
            self._prepared = True
        # A port is only free until somebody takes it. The first start may take another one.
        for _ in range(1 if self.port else PORTS):
            if self._starts():
                return
            self.port = None
        raise ServerFailed(f"{self.name}: no free port{self._tail()}")

    def stop(self):
        """End it in order. What was stored stays for the next start."""
        if self._custody and not self._custody.ask("stop", seconds=STOP):
            self.kill()
            raise ServerFailed(f"{self.name} did not end within {STOP} s{self._tail()}")

    def kill(self):
        """SIGKILL for it and all its processes; returns when they are dead."""
        if self._custody and not self._custody.ask("kill"):
            raise ServerFailed(f"{self.name} can't be killed")

    def pause(self):
        """SIGSTOP for it and all its processes; returns when they stand still."""
        if not self._custody.ask("pause"):
            raise ServerFailed(f"{self.name} does not stand still")

    def resume(self):
        """SIGCONT after `pause`."""
        self._custody.ask("resume")

    @property
    def running(self):
        """Whether its process is there, paused or not."""
        return bool(self._pid and self._custody and self._custody.ask("ended") is None)

    def close(self):
        """End it for good, and remove its folder if it was a temporary one."""
        if self._custody and self._custody.ours:
            self._custody.close()
            self._custody = None
            if not self._kept:
                self.folder, self._prepared = None, False

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self.close()

    def __repr__(self):
        return f"<{self.name} on {self.host}:{self.port}>"

    # For those that differ.

    @property
    def log(self):
        return self.folder / "server.log"

    def run(self, argv, *, seconds=READY):
        """Run a command as the server's user until it ends well."""
        self._spawn(argv)
        end = time.monotonic() + seconds
        while (code := self._custody.ask("ended")) is None:
            if time.monotonic() > end:
                self.kill()
                code = f"nothing after {seconds} s"
                break
            time.sleep(0.005)
        self._pid = None
        if code != 0:
            raise ServerFailed(
                f"{self.name}: {Path(argv[0]).name} ended with {code}{self._tail()}"
            )

    def write(self, name, text):
        """Write a file only the server's user can read; return its path."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        self.give(path)
        return path

    def make(self, name):
        """Make a folder of the server's user; return its path."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        self.give(path)
        return path

    def give(self, path):
        if user := self._user():
            os.chown(path, *user)

    # How it is done.

    _pid = None

    def _user(self):
        """Return the (user, group) to run it as; None is ourselves."""
        if os.geteuid() or not self.needs_user:
            return None
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid

    def _find_room(self):
        if self.folder is None:
            self.folder = Path(self._custody.ask("make_folder", user=self._user()))
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.give(self.folder)
        if self._user():
            closed = [each for each in self.folder.parents if not each.stat().st_mode & 0o001]
            if closed:
                raise ServerFailed(
                    f"{self.name} can't run as root, and the user nobody can't enter {closed[-1]}; "
                    "leave the folder out, or take one below /tmp"
                )

    def _spawn(self, argv):
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        self._pid = self._custody.ask(
            "start",
            argv=[str(each) for each in argv],
            env={**kept, "HOME": str(self.folder), "LC_ALL": "C", **self.environment()},
            cwd=str(self.folder),
            log=str(self.log),
            user=self._user(),
            stop=self.stop_signal,
        )

    def environment(self):
        """Return more of the environment the server gets."""
        return {}

    def _starts(self):
        """Start it on `self.port`; return False if somebody else has that port."""
        self.port = self.port or free_port()
        before = self.log.stat().st_size if self.log.exists() else 0
        self._spawn([*self.command(), *self.options])
        end = time.monotonic() + READY
        while True:
            code = self._custody.ask("ended")
            if code is None:
                with suppress(NotReady):
                    self.check()
                    return True
                if time.monotonic() < end:
                    time.sleep(0.02)
                    continue
                self.kill()
            written = self.log.read_bytes()[before:].decode(errors="replace").lower()
            if "already in use" in written:
                self.kill()
                return False
            why = "does not answer" if code is None else f"ended with {code}"
            raise ServerFailed(f"{self.name} {why}{self._tail()}")

    def _tail(self):
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-20:]
            return "".join(f"\n  {line}" for line in lines)
        return ""
