"""The owner's side of a guard: what a server is told, one answer for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")


class Custody:
    """
    One guard process, which holds one server.

    Not for forks: a child that inherited it must leave it alone (`ours` tells).
    """

    def __init__(self):
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(self._owner)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is for the owner, not for it
        )

    @property
    def ours(self):
        return os.getpid() == self._owner

    def ask(self, do, **wanted):
        """Return the guard's answer; OSError says what it could not do."""
        with self._lock:
            self._guard.stdin.write(json.dumps({"do": do, **wanted}).encode() + b"\n")
            self._guard.stdin.flush()
            line = self._guard.stdout.readline()
        if not line:
            raise OSError(f"the guard of a private server is gone (process {self._guard.pid})")
        answer = json.loads(line)
        if "error" in answer:
            raise OSError(answer["error"])
        return answer["answer"]

    def close(self):
        """End the server. The guard removes its folder, and outlives us if that takes long."""
        self._guard.stdin.close()
        self._guard.stdout.read()
        self._guard.stdout.close()
        self._guard.returncode = 0  # nobody waits for it
