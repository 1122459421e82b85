"""MariaDB."""

from __future__ import annotations

from contextlib import closing

from .binaries import MARIADB
from .server import ANSWER, NotReady, SQLServer

USERS = """\
CREATE USER IF NOT EXISTS admin@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY '{password}';
GRANT ALL ON `app\\_%`.* TO app@'%';
"""
# Root comes in by the socket alone, whose folder is closed to others.
INSTALL = """
    --no-defaults --auth-root-authentication-method=socket --skip-test-db --skip-name-resolve
    --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0
"""
# The socket is in the data folder: such paths must be short. Tests cut connections on purpose.
OPTIONS = """
    --socket=mariadb.sock --pid-file=mariadb.pid --skip-name-resolve
    --max-connections=500 --max-connect-errors=1000000
    --character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci
    --innodb-buffer-pool-size=32M --innodb-log-file-size=16M
"""


class MariaDB(SQLServer):
    """MariaDB; `url` is for the user "app", who owns the databases it names, nothing else."""

    name = "MariaDB"
    scheme = "mysql"
    database = "mysql"

    def prepare(self):
        MARIADB.require()
        self.make("tmp")
        self.run(["mariadb-install-db", *INSTALL.split(), f"--datadir={self.make('data')}"])

    def command(self):
        users = self.write("users.sql", USERS.format(password=self.password))
        return [
            MARIADB.require(),
            "--no-defaults",  # has to be the first
            *OPTIONS.split(),
            f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self.folder / 'tmp'}",
            f"--init-file={users}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            f"--innodb-flush-log-at-trx-commit={1 if self.durable else 2}",
        ]

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

    def ask(self, *statement):
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(*statement)
            return cursor.fetchone()

    def make_database(self, name):
        self.ask(f"CREATE DATABASE {name}")
