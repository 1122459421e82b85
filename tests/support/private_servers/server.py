"""What all private servers have in common: their folder, their port, their start and end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from .ports import free_port

READY = 60  # seconds a server gets until it answers
ANSWER = 2  # seconds for one answer: it may be a mute stranger who has the port
STOP = 30  # seconds it gets to end in order
TRIES = 10  # starts, where somebody takes the port in between or a killed one is not quite gone

# Where there is such a program, the kernel ends a server with the thread that started it.
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


class ServerFailed(Exception):
    """A server did not start; the tail of its log is in the text."""


class NotReady(Exception):
    """It doesn't answer yet."""


class PrivateServer(ABC):
    """
    A server of our own on 127.0.0.1.

    Args:
        durable: Whether it syncs to the disk what it acknowledges.

    Attributes:
        port: Its port, the same over all its starts; None before the first.
        password: What clients need, different for each server.
        folder: Where its data and its log are, removed at the end; None before the first start.
        options: More arguments for its command line, read at each start.
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
        self.password = secrets.token_hex(16)
        self._process = None

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
        """Start it, again or for the first time, and wait until it answers."""
        if self.running:
            return
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="private-server-"))
            self._give(self.folder)
            self.prepare()
        before = self.port
        # Of a killed PostgreSQL the memory is still in use for a moment.
        passing = "still in use" if before else "in use"
        for attempt in range(1, TRIES + 1):
            # A port is only free until somebody takes it.
            self.port = before or free_port()
            with self.log.open("wb") as log:
                given = self._as_its_user()
                command = [*DIES_WITH_US, *map(str, (*self.command(), *self.options))]
                self._process = subprocess.Popen(command, stdout=log, stderr=log, **given)
            if self._answers():
                return
            why = self._process.poll()
            self.kill()
            if attempt == TRIES or passing not in self.said().lower():
                raise ServerFailed(f"{self.name} did not start ({why}){self._tail()}")
            time.sleep(0.1)

    def stop(self):
        """End it in order. What was stored stays for the next start."""
        if self.running:
            self._process.send_signal(self.stop_signal)
            self._process.wait(STOP)

    def kill(self):
        """Send SIGKILL to it and its processes; return when they are dead."""
        if self.running:
            its = _children(self._process.pid)
            self._process.kill()
            for pid in its:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            while any(map(_lives, its)):
                time.sleep(0.005)

    def pause(self):
        """Let it stand still, but not those it has started."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Let it go on after `pause`."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self):
        """Whether its process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self):
        """The file with what it has said since its last start."""
        return self.folder / "server.log"

    def close(self):
        """End it for good, and remove its folder."""
        self.kill()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

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
        with self.log.open("wb") as log:
            given = self._as_its_user()
            done = subprocess.run(argv, stdout=log, stderr=log, check=False, **given)
        if done.returncode:
            raise ServerFailed(
                f"{self.name}: {argv[0]} ended with {done.returncode}{self._tail()}"
            )

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
        return self.log.read_text(errors="replace")

    # How it is done.

    def _user(self):
        """Return the (user, group) to run it as; None is ourselves."""
        if os.geteuid() or not self.drops_root:
            return None
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid

    def _give(self, path):
        if user := self._user():
            os.chown(path, *user)

    def _as_its_user(self):
        """Return how a command of its is run."""
        path = os.environ.get("PATH", os.defpath)
        usual = {"HOME": str(self.folder), "LC_ALL": "C", "PATH": path}
        user = self._user()
        given = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        # A group of its own: a Ctrl-C in the terminal is for us, not for it.
        given |= {"stdin": subprocess.DEVNULL, "process_group": 0, "umask": 0o077}
        return given | {"env": {**usual, **self.environment()}, "cwd": self.folder}

    def _answers(self):
        end = time.monotonic() + READY
        while self.running and time.monotonic() < end:
            with suppress(NotReady):
                self.check()
                return True
            time.sleep(0.02)
        return False

    def _tail(self):
        lines = self.said().splitlines()[-20:]
        return "".join(f"\n  {line}" for line in lines)


def _children(pid):
    """Return the processes that one has started; none where there is no /proc."""
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _lives(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


class SQLServer(PrivateServer):
    """A server with databases; its administrator starts in one of them."""

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
