"""Who holds a claim, and whether that process is known to be gone."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from functools import lru_cache
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
    return _described(os.getpid())


@lru_cache(maxsize=1)  # a forked child has another number
def _described(pid: int) -> str:
    return json.dumps(
        {
            "host": socket.gethostname(),
            "pid": pid,
            "boot": _boot(),
            "namespace": _namespace(),
            "started": _state_and_start(pid)[1],
        }
    )


def is_dead(holder: str) -> bool:
    """
    Tell whether the process that `me` described is known to be gone.

    False if it lives, or if that can't be told from here: another host,
    another container, no ``/proc``, or one that hides it.
    """
    told = _told(holder)
    if not is_here(holder) or not isinstance(told.get("pid"), int):
        return False
    try:
        os.kill(told["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # another user's, or not for us to know
    state, started = _state_and_start(told["pid"])
    # A start time that one of us could not read says nothing.
    is_another = isinstance(told.get("started"), str) and started not in (None, told["started"])
    return state in _GONE or is_another


def is_here(holder: str) -> bool:
    """Tell whether the process can be seen from here: then `is_dead` knows whether it lives."""
    told = _told(holder)
    where = told.get("boot"), told.get("namespace")
    return None not in where and where == (_boot(), _namespace())


@lru_cache(maxsize=16)
def name(holder: str) -> str:
    """Return host and process id for people."""
    told = _told(holder)
    return f"{told['host']}/{told['pid']}" if told.keys() >= {"host", "pid"} else "unknown"


def _told(holder: str) -> dict[str, Any]:
    """Return what `me` said; empty if it was something else that did."""
    told = None
    with suppress(ValueError):
        told = json.loads(holder)
    return told if isinstance(told, dict) else {}


def _state_and_start(pid: int) -> tuple[str | None, str | None]:
    """Return state and start time of a process. None if they can't be read."""
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # The name before the last ")" may itself contain spaces and brackets.
        after = stat[stat.rindex(")") + 2 :].split()
        return after[0], after[19]
    return None, None


def _boot() -> str | None:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _namespace() -> str | None:
    """Return the namespace of process ids. None if ``/proc`` shows another one's, or is none."""
    with suppress(OSError):
        if str(Path("/proc/self").readlink()) == str(os.getpid()):
            return str(Path("/proc/self/ns/pid").readlink())
    return None
