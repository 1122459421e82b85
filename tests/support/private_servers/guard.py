"""
Hold one server for a process that may be killed at any moment.

A script of its own (`python -I -S guard.py OWNER`), started by `server.py`. It gets one JSON
object per line and answers each with one. It ends the server and removes its folder when its
input ends, or when the process OWNER is not its parent any more: `kill -9` of the owner leaves
nothing behind.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK = 0.1  # seconds between two looks at the parent
ORDERLY = 5  # seconds a server gets to end by itself when its owner is gone
AT_ONCE = 30  # seconds for what the kernel does

LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None) if LINUX else None


def die_with_the_guard():
    """Have the kernel end this process if the guard itself is killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def states():
    """Return (parent, state) of every process by its id; empty where there is no /proc."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before may hold spaces and parentheses.
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            found[int(path.parent.name)] = int(parent), state
    return found


class Guard:
    """The server's process, those it started, and their folder; it does what it is asked."""

    def __init__(self):
        self.main = None  # the server's process id; None before it was started
        self.code = None  # what it ended with; None while it runs
        self.stopping = signal.SIGTERM
        self.folder = None  # removed at the end

    def make_folder(self):
        self.folder = tempfile.mkdtemp(prefix="private-server-")
        return self.folder

    def start(self, *, argv, env, cwd, log, user, stop):
        credentials = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        with open(log, "ab") as output:  # noqa: PTH123 - the descriptor is what the child needs
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd,
                process_group=0, umask=0o077, **credentials,
                preexec_fn=die_with_the_guard if LINUX else None,  # noqa: PLW1509 - one thread here
            )  # fmt: skip
        process.returncode = 0  # reap() waits for it, not this object
        self.main, self.code, self.stopping = process.pid, None, stop
        return process.pid

    def running(self):
        self.reap()
        return self.main is not None and self.code is None

    def ended(self):
        """Return the status the server ended with, None while it runs."""
        self.reap()
        return self.code

    def stop(self, *, seconds):
        """Ask the server to end; return whether it and all it started did in time."""
        self.resume()
        if self.running():
            os.kill(self.main, self.stopping)
        return self.until(lambda: not self.descendants(), seconds)

    def kill(self):
        return self.until(lambda: not self.signalled(signal.SIGKILL), AT_ONCE)

    def pause(self):
        # Again for what the server started in between.
        return self.until(lambda: self.signalled(signal.SIGSTOP) <= set("TZ?"), AT_ONCE)

    def resume(self):
        self.signalled(signal.SIGCONT)
        return True

    def signalled(self, number):
        """Send a signal to all; return the states that they are in then."""
        for pid in self.descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return set(self.descendants().values())

    def descendants(self):
        """Return the processes under the guard with their states, parents first."""
        if not LINUX:
            return {self.main: "?"} if self.running() else {}
        known, found, wave = states(), {}, {os.getpid()}
        while wave:
            wave = {pid for pid, (parent, _) in known.items() if parent in wave}
            found |= {pid: known[pid][1] for pid in wave}
        return found

    def until(self, done, seconds):
        """Wait until *done* for at most so many seconds; return whether it came true."""
        end = time.monotonic() + seconds
        while True:
            self.reap()
            if done():
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.005)

    def reap(self):
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.main:
                    self.code = os.waitstatus_to_exitcode(ended[1])

    def end(self):
        """Leave nothing behind."""
        if not self.stop(seconds=ORDERLY):
            self.kill()
        os.close(1)  # what the owner waits for; a folder of hundreds of databases takes minutes
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def serve(guard, owner):
    """Do what is asked until nobody can ask any more."""
    pending = b""
    while os.getppid() == owner:
        if not select.select([0], [], [], LOOK)[0]:
            guard.reap()
            continue
        read = os.read(0, 65536)
        if not read:
            return
        *lines, pending = (pending + read).split(b"\n")
        for line in lines:
            wanted = json.loads(line)
            try:
                answer = {"answer": getattr(guard, wanted.pop("do"))(**wanted)}
            except OSError as exc:
                answer = {"error": str(exc)}
            os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    if LINUX:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = Guard()
    try:
        with suppress(BrokenPipeError):  # nobody listens any more
            serve(guard, int(sys.argv[1]))
    finally:
        guard.end()
