"""Who holds a claim, and whether that process is known to be gone."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

_GONE = ("Z", "X", "x")
"""States of a process that will never run again (proc_pid_stat(5))."""


def me() -> str:
    """
    Describe this process as text.

    A boot id and a process-id namespace make the process id mean something;
    a host name proves nothing and is only for people.
    """
    pid = os.getpid()
    seen = _seen(pid)
    known = {"boot": boot(), "namespace": _namespace(), "started": seen[1] if seen else None}
    return json.dumps({"host": socket.gethostname(), "pid": pid, **known})


def is_dead(holder: str) -> bool:
    """
    Tell whether the process that `me` described is known to be gone.

    False if it lives, or if that can't be told from here: another host,
    another container, no ``/proc``, or one that hides it.
    """
    told = _told(holder)
    pid, started = told.get("pid"), told.get("started")
    if not is_here(holder) or not isinstance(pid, int):
        return False
    seen = _seen(pid)
    if seen is None:
        return not _may_exist(pid)
    # A start time that its holder could not read says nothing.
    return seen[0] in _GONE or (isinstance(started, str) and seen[1] != started)


def is_here(holder: str) -> bool:
    """Tell whether the process can be seen from here: then `is_dead` knows whether it lives."""
    told = _told(holder)
    where = told.get("boot"), told.get("namespace")
    return None not in where and where == (boot(), _namespace())


def name(holder: str) -> str:
    """Return host and process id for people."""
    told = _told(holder)
    return f"{told['host']}/{told['pid']}" if told.keys() >= {"host", "pid"} else "unknown"


def boot() -> str | None:
    """Return what tells this host, since it was last started, from all others. None if nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _told(holder: str) -> dict[str, Any]:
    """Return what `me` said; empty if it was something else that did."""
    told = None
    with suppress(ValueError):
        told = json.loads(holder)
    return told if isinstance(told, dict) else {}


def _seen(pid: int) -> tuple[str, str] | None:
    """Return state and start time of a process. None if they can't be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name before the last ")" may itself contain spaces and brackets.
    after = stat[stat.rindex(")") + 2 :].split()
    return after[0], after[19]


def _may_exist(pid: int) -> bool:
    """Tell whether there may be such a process; ``/proc`` can hide others' (proc(5), hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's, or not for us to know
    return True


def _namespace() -> str | None:
    """Return the namespace of process ids. None if ``/proc`` shows another one's, or is none."""
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return None
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
