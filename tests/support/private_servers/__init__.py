"""
Real servers for tests and benches, private to the process that starts them.

Each is started from an installed binary: on loopback, on a free port, with a password made for it
and its data in a temporary folder, as an unprivileged user when we are root. It ends with its
owner, however that ends.

    from private_servers import MariaDB

    with MariaDB() as server:
        print(server.url())
"""

from .aws import AWS
from .binaries import ProgramMissing
from .mariadb import MariaDB
from .postgres import Postgres
from .redis import Redis
from .server import PrivateServer, ServerFailed

__all__ = [
    "AWS",
    "MariaDB",
    "Postgres",
    "PrivateServer",
    "ProgramMissing",
    "Redis",
    "ServerFailed",
]
