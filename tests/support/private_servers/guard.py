"""
Hold one server for a process that may be killed at any moment.

A script of its own (`python -I -S guard.py OWNER`), started by `custody.py`. It gets one JSON
object per line and answers each with one. It ends the server and removes its folder when its input
ends, or when the process OWNER is not its parent any more: `kill -9` of the owner leaves nothing
behind.
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
    """The server's process, those it started, and their folder."""

    def __init__(self):
        self.main = None  # the server's process id; None before it was started
        self.code = None  # what it ended with; None while it runs
        self.stopping = signal.SIGTERM
        self.folder = None  # removed at the end

    def descendants(self):
        """Return the processes under the guard with their states, parents first."""
        if not LINUX:
            return {self.main: "?"} if self.code is None and self.main else {}
        known, found = states(), {}
        wave = {os.getpid()}
        while wave:
            wave = {pid for pid, (parent, _) in known.items() if parent in wave}
            found |= {pid: known[pid][1] for pid in wave}
        return found

    def reap(self):
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self.main:
                    self.code = os.waitstatus_to_exitcode(status)

    def signal_all(self, number):
        for pid in self.descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

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

    def start(self, *, argv, env, cwd, log, user, stop):
        credentials = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        with open(log, "ab") as output:  # noqa: PTH123 - the descriptor is what the child needs
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                cwd=cwd,
                process_group=0,
                umask=0o077,
                preexec_fn=die_with_the_guard if LINUX else None,  # noqa: PLW1509 - one thread here
                **credentials,
            )
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
        self.reap()
        if self.main and self.code is None:
            os.kill(self.main, self.stopping)
        return self.until(lambda: not self.descendants(), seconds)

    def kill(self):
        def gone():
            self.signal_all(signal.SIGKILL)
            return not self.descendants()

        return self.until(gone, 30)

    def pause(self):
        # Again for what the server started in between.
        def stopped():
            self.signal_all(signal.SIGSTOP)
            return set(self.descendants().values()) <= set("TZ?")

        return self.until(stopped, 30)

    def resume(self):
        self.signal_all(signal.SIGCONT)
        return True

    def make_folder(self):
        """Make a folder that goes with the guard."""
        self.folder = tempfile.mkdtemp(prefix="private-server-")
        return self.folder

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


def main():
    if LINUX:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = Guard()
    try:
        serve(guard, int(sys.argv[1]))
    except BrokenPipeError:
        pass  # nobody listens any more
    finally:
        guard.end()


if __name__ == "__main__":
    main()
