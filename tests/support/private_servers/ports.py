"""A free port on loopback."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port(in_a_row=1):
    """
    Return a port that nobody listens on, or the first of several in a row.

    Below those the system gives to outgoing connections: while a server is down, one of them could
    sit on its port, and a client that tries again and again could even be connected with itself.
    """
    lowest = 32768
    with suppress(OSError, ValueError):
        lowest = int(RANGE.read_text().split()[0])
    below = range(10240, lowest) if lowest > 12000 else range(20000, 30000)
    for _ in range(200):
        first = random.choice(below)
        with ExitStack() as probes, suppress(OSError):
            for port in range(first, first + in_a_row):
                probe = probes.enter_context(socket.socket())
                # As servers do: a port in TIME_WAIT is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            return first
    raise OSError("no free port found on 127.0.0.1")
