"""A free port on loopback."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port():
    """
    Return a port that nobody listens on.

    Below those the system gives to outgoing connections: while a server is down, one of them could
    sit on its port, and a client that tries again and again could even be connected with itself.
    """
    lowest = 32768
    with suppress(OSError, ValueError):
        lowest = int(RANGE.read_text().split()[0])
    below = range(10240, lowest) if lowest > 12000 else range(20000, 30000)
    for _ in range(200):
        port = random.choice(below)
        with socket.socket() as probe:
            # As servers do: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise OSError("no free port found on 127.0.0.1")
