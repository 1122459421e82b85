"""What all private servers have in common: their folder, their port, their start and end."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from .ports import free_port

GUARD = Path(__file__).with_name("guard.py")
READY = 60  # seconds a server gets until it answers
ANSWER = 2  # seconds for one answer: it may be a mute stranger who has the port
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
        durable: Whether it syncs to the disk what it acknowledges. False is quicker, and loses
            it when the machine (not the server) goes down.
        options: More arguments for the server's command line.

    Attributes:
        host: Its address.
        port: Its port, the same over all its starts; None before the first.
        password: What clients need, different for each server.
        folder: Where its data and its log are, removed at the end; None before the first start.
        options: As given; read at each start, so they may be changed between two.
        pid: Its process, the last one if it isn't running; None before the first start.
    """

    name = ""
    host = "127.0.0.1"
    stop_signal = signal.SIGTERM
    drops_root = True  # runs as the user "nobody" when we are root

    def __init__(self, *, durable=True, options=()):
        self.folder = None
        self.durable = durable
        self.options = list(options)
        self.port = None
        self.pid = None
        self.password = secrets.token_hex(16)
        self._guard = None  # the process that holds the server; one of this process, not of forks
        self._owner = os.getpid()
        self._asking = threading.Lock()
        self._log_read = 0  # where the log of the last start begins

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

    def environment(self):
        """Return what it gets beside the usual environment."""
        return {}

    # What people call.

    def start(self):
        """
        Start it, again or for the first time, and wait until it answers.

        Raises:
            ProgramMissing: Its program is not installed.
            ServerFailed: It ended, or does not answer within 60 seconds.
        """
        if self._guard is None:
            self._owner = os.getpid()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(self._owner)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C in the terminal is for the owner, not for it
            )  # fmt: skip
            self.folder = Path(self._ask("make_folder"))
            self._give(self.folder)
            self.write("server.log", "")
            self.prepare()
        if self.running:
            return
        if self.port:
            if not self._starts(self.port):
                raise ServerFailed(f"{self.name}: somebody took port {self.port}{self._tail()}")
            return
        # A port is only free until somebody takes it.
        for _ in range(PORTS):
            if self._starts(free_port()):
                return
        raise ServerFailed(f"{self.name}: {PORTS} free ports were taken{self._tail()}")

    def stop(self):
        """
        End it in order, also when it is paused. What was stored stays for the next start.

        Raises:
            ServerFailed: It had not ended after 30 seconds and was killed.
        """
        if self._guard and not self._ask("stop", seconds=STOP):
            self.kill()
            raise ServerFailed(f"{self.name} did not end within {STOP} s{self._tail()}")

    def kill(self):
        """Send SIGKILL to it and all its processes; return when they are dead."""
        if self._guard and not self._ask("kill"):
            raise ServerFailed(f"{self.name} can't be killed")

    def pause(self):
        """Send SIGSTOP to it and all its processes; return when they stand still."""
        if not self._ask("pause"):
            raise ServerFailed(f"{self.name} does not stand still")

    def resume(self):
        """Let it go on after `pause`."""
        self._ask("resume")

    @property
    def running(self):
        """Whether its process is there, paused or not."""
        return bool(self._guard and self._ask("running"))

    @property
    def log(self):
        """The file with all it said."""
        return self.folder / "server.log"

    def close(self):
        """End it for good, and remove its folder."""
        if not self._guard or os.getpid() != self._owner:
            return
        try:
            self.kill()
        finally:
            # It removes the folder, and outlives us if that takes long.
            self._guard.stdin.close()
            self._guard.stdout.read()
            self._guard.stdout.close()
            self._guard.returncode = 0  # nobody waits for it
            self._guard = self.folder = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self.close()

    # For the servers.

    def run(self, argv):
        """Run a command as the server's user until it ends well."""
        self._spawn(argv)
        end = time.monotonic() + READY
        while self._ask("running") and time.monotonic() < end:
            time.sleep(0.005)
        self.kill()  # what it left running, or itself
        if code := self._ask("ended"):
            raise ServerFailed(f"{self.name}: {argv[0]} ended with {code}{self._tail()}")

    def write(self, name, text):
        """Write a file only the server's user can read; return its path."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        self._give(path)
        return path

    def make(self, name):
        """Make a folder of the server's user; return its path."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        self._give(path)
        return path

    def said(self):
        """Return what it has written to its log since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_read)
            return log.read().decode(errors="replace")

    # How it is done.

    def _ask(self, do, **wanted):
        """Return the guard's answer; OSError says what it could not do."""
        with self._asking:
            self._guard.stdin.write(json.dumps({"do": do, **wanted}).encode() + b"\n")
            self._guard.stdin.flush()
            line = self._guard.stdout.readline()
        if not line:
            raise OSError(f"the guard of a private server is gone (process {self._guard.pid})")
        answer = json.loads(line)
        if "error" in answer:
            raise OSError(answer["error"])
        return answer["answer"]

    def _user(self):
        """Return the (user, group) to run it as; None is ourselves."""
        if os.geteuid() or not self.drops_root:
            return None
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid

    def _give(self, path):
        if user := self._user():
            os.chown(path, *user)

    def _spawn(self, argv):
        self._log_read = self.log.stat().st_size
        path = os.environ.get("PATH", os.defpath)
        usual = {"HOME": str(self.folder), "LC_ALL": "C", "PATH": path}
        self.pid = self._ask(
            "start",
            argv=[str(each) for each in argv],
            env={**usual, **self.environment()},
            cwd=str(self.folder),
            log=str(self.log),
            user=self._user(),
            stop=self.stop_signal,
        )

    def _starts(self, port):
        """Start it; return False, with `self.port` as before, if somebody else has the port."""
        before, self.port = self.port, port
        self._spawn([*self.command(), *self.options])
        end = time.monotonic() + READY
        while self._ask("running") and time.monotonic() < end:
            with suppress(NotReady):
                self.check()
                return True
            time.sleep(0.02)
        code = self._ask("ended")
        self.kill()
        self.port = before
        if "already in use" in self.said().lower():
            return False
        why = f"does not answer after {READY} s" if code is None else f"ended with {code}"
        raise ServerFailed(f"{self.name} {why}{self._tail()}")

    def _tail(self):
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-20:]
            return "".join(f"\n  {line}" for line in lines)
        return ""


class SQLServer(PrivateServer):
    """
    A server with databases.

    Attributes:
        scheme: Of its URLs.
        database: Which one its administrator starts in.
    """

    scheme = database = ""

    @property
    def dsn(self):
        """How to connect as administrator, as PyMySQL's arguments."""
        place = {"host": self.host, "port": self.port, "database": self.database}
        return {**place, "user": "admin", "password": self.password}

    @abstractmethod
    def ask(self, *statement):
        """Execute a statement as administrator; return its first row. None if it has none."""

    @abstractmethod
    def make_database(self, name):
        """Make a database of the user "app"."""

    def new_database(self):
        """Make an empty database, return its name."""
        name = f"app_{secrets.token_hex(5)}"
        self.make_database(name)
        return name

    def url(self):
        where = f"{self.host}:{self.port}/{self.new_database()}"
        return f"{self.scheme}://app:{self.password}@{where}"
