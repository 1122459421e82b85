"""Standbys: servers that have what a primary has, a moment later, and take no writes of others."""

from __future__ import annotations

import time
from contextlib import closing

from .binaries import POSTGRES
from .mariadb import MariaDB
from .postgres import Postgres
from .server import ServerFailed

CAUGHT_UP = 60  # seconds it gets to have all that its primary has


class _Standby:
    """
    What both kinds have in common.

    Args:
        primary: A running server, started with `PRIMARY` of this class as options.
    """

    PRIMARY = ()

    def __init__(self, primary):
        super().__init__(durable=primary.durable)
        self.primary = primary
        self.password = primary.password

    def follow(self):
        """Begin to replicate; once, after the first start."""

    def url_of(self, url):
        """Return the URL of the same database here."""
        return url.replace(f":{self.primary.port}/", f":{self.port}/")

    def catch_up(self):
        """Wait until it has all that was written to the primary before this call."""
        wanted = self.written()
        end = time.monotonic() + CAUGHT_UP
        while not self.has(wanted):
            if time.monotonic() > end:
                raise ServerFailed(f"{self.name} is behind its primary{self._tail()}")
            time.sleep(0.02)


class PostgresStandby(_Standby, Postgres):
    """A hot standby of a PostgreSQL server, by streaming replication."""

    name = "PostgreSQL standby"

    def environment(self):
        return {"PGPASSFILE": str(self.folder / "pgpass")}

    def prepare(self):
        self.write("pgpass", f"*:*:*:*:{self.password}\n")
        self.run(
            [
                POSTGRES.require().with_name("pg_basebackup"),
                f"--host={self.primary.host}",
                f"--port={self.primary.port}",
                "--username=admin",
                "--no-password",
                f"--pgdata={self.make('data')}",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ]
        )

    def written(self):
        with self.primary.connect() as connection:
            return connection.execute("SELECT pg_current_wal_lsn()").fetchone()[0]

    def has(self, position):
        with self.connect() as connection:
            found = connection.execute(
                "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (position,)
            )
            return found.fetchone()[0]

    def promote(self):
        """Make it a primary: from now on it takes writes."""
        with self.connect() as connection:
            connection.execute("SELECT pg_promote()")


class MariaDBStandby(_Standby, MariaDB):
    """A replica of a MariaDB server, by its binary log."""

    name = "MariaDB replica"
    PRIMARY = ("--server-id=1", "--log-bin=binlog")

    def command(self):
        return [*super().command(), "--server-id=2", "--read-only"]

    def follow(self):
        """Begin to replicate; once, after the first start."""
        source = self.primary
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = 'admin', "
                "MASTER_PASSWORD = %s, MASTER_USE_GTID = slave_pos",
                (source.host, source.port, source.password),
            )
            cursor.execute("START SLAVE")

    def written(self):
        return _asked(self.primary, "SELECT @@gtid_binlog_pos")

    def has(self, position):
        return _asked(self, f"SELECT MASTER_GTID_WAIT('{position}', 1)") == 0

    def promote(self):
        """Make it a primary: from now on it takes writes."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for each in ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"):
                cursor.execute(each)


def _asked(server, question):
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


STANDBYS = {Postgres: PostgresStandby, MariaDB: MariaDBStandby}
