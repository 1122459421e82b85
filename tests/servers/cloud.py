"""What the tests on servers know of a server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

KINDS = ("mariadb", "postgres", "redis_server", "aws/secretsmanager", "aws/dynamodb")
"""Fixtures of the private servers; behind the slash, which of their services."""


@dataclass
class Place:
    """
    An empty place on a server.

    Args:
        kind: One of `KINDS`.
        server: The private server.
        url: The place, with user and password.
        key: For sealing there.
    """

    kind: str
    server: object = field(repr=False)
    url: str = field(repr=False)
    key: str = field(repr=False)

    @property
    def environment(self):
        """The environment of a process that works there; nothing else of tokenkeep is in it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("TOKENKEEP_")}
        return env | {"TOKENKEEP_STORE": self.url, "TOKENKEEP_KEYS": self.key}
