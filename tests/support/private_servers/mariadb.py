"""MariaDB."""

from __future__ import annotations

import secrets
from contextlib import closing

from .binaries import MARIADB
from .server import ANSWER, NotReady, PrivateServer

USERS = """\
CREATE USER IF NOT EXISTS admin@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY '{password}';
GRANT ALL ON `app\\_%`.* TO app@'%';
"""


class MariaDB(PrivateServer):
    """MariaDB; `url` is for the user "app", who owns the databases it names, nothing else."""

    name = "MariaDB"

    def prepare(self):
        program = MARIADB.require()
        data = self.make("data")
        self.make("tmp")
        # Root comes in by the socket alone, whose folder is closed to others.
        self.run(
            [
                _beside(program, "mariadb-install-db"),
                "--no-defaults",
                f"--datadir={data}",
                "--auth-root-authentication-method=socket",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-log-file-size=16M",
                "--innodb-flush-log-at-trx-commit=0",
            ]
        )

    def command(self):
        users = self.write("users.sql", USERS.format(password=self.password))
        return [
            MARIADB.require(),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self.folder / 'tmp'}",
            "--socket=mariadb.sock",  # in the data folder: such paths must be short
            "--pid-file=mariadb.pid",
            f"--init-file={users}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--max-connections=500",
            "--max-connect-errors=1000000",  # tests cut connections on purpose
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            f"--innodb-flush-log-at-trx-commit={1 if self.durable else 2}",
        ]

    @property
    def dsn(self):
        """How to connect as administrator, as PyMySQL's arguments."""
        return {
            "host": self.host,
            "port": self.port,
            "user": "admin",
            "password": self.password,
            "database": "mysql",
        }

    def connect(self, **more):
        """Return a PyMySQL connection of the administrator, with autocommit."""
        import pymysql

        return pymysql.connect(**self.dsn, autocommit=True, connect_timeout=5, **more)

    def check(self):
        import pymysql

        try:
            self.connect(read_timeout=ANSWER).close()
        except pymysql.MySQLError as exc:
            raise NotReady(str(exc)) from exc

    def new_database(self):
        """Make an empty database, return its name."""
        name = f"app_{secrets.token_hex(5)}"
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return name

    def url(self):
        return f"mysql://app:{self.password}@{self.host}:{self.port}/{self.new_database()}"


def _beside(program, name):
    """Return a program of the same installation."""
    for folder in (program.parent, program.parents[1] / "bin", program.parents[1] / "scripts"):
        if (folder / name).exists():
            return folder / name
    return name
