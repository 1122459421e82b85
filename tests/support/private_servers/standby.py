"""Standbys: servers that have what a primary has, a moment later, and take no writes of others."""

from __future__ import annotations

import time

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
        (wanted,) = self.primary.ask(self.POSITION)
        end = time.monotonic() + CAUGHT_UP
        while not self.has(wanted):
            if time.monotonic() > end:
                raise ServerFailed(f"{self.name} is behind its primary")
            time.sleep(0.02)

    def promote(self):
        """Make it a primary: from now on it takes writes."""
        for each in self.PROMOTE:
            self.ask(each)


class PostgresStandby(_Standby, Postgres):
    """A hot standby of a PostgreSQL server, by streaming replication."""

    name = "PostgreSQL standby"
    POSITION = "SELECT pg_current_wal_lsn()"
    PROMOTE = ("SELECT pg_promote()",)

    def environment(self):
        return {"PGPASSFILE": str(self.folder / "pgpass")}

    def prepare(self):
        self.write("pgpass", f"*:*:*:*:{self.password}\n")
        options = (
            "--username=admin --no-password --write-recovery-conf --checkpoint=fast --no-sync"
        )
        host, port = f"--host={self.primary.host}", f"--port={self.primary.port}"
        program = POSTGRES.require().with_name("pg_basebackup")
        data = f"--pgdata={self.make('data')}"
        self.run([program, *options.split(), "--checkpoint=fast", host, port, data])

    def has(self, position):
        return self.ask("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (position,))[0]


class MariaDBStandby(_Standby, MariaDB):
    """A replica of a MariaDB server, by its binary log."""

    name = "MariaDB replica"
    PRIMARY = ("--server-id=1", "--log-bin=binlog")
    POSITION = "SELECT @@gtid_binlog_pos"
    PROMOTE = ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0")

    def command(self):
        return [*super().command(), "--server-id=2", "--read-only"]

    def follow(self):
        source = self.primary
        self.ask(
            "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = 'admin', "
            "MASTER_PASSWORD = %s, MASTER_USE_GTID = slave_pos",
            (source.host, source.port, source.password),
        )
        self.ask("START SLAVE")

    def has(self, position):
        return self.ask("SELECT MASTER_GTID_WAIT(%s, 1)", (position,))[0] == 0


STANDBYS = {Postgres: PostgresStandby, MariaDB: MariaDBStandby}
