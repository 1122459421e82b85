"""PostgreSQL."""

from __future__ import annotations

import signal
import sys

from .binaries import POSTGRES
from .server import ANSWER, NotReady, SQLServer


class Postgres(SQLServer):
    """PostgreSQL; `url` is for the user "app", who owns the databases it names, nothing else."""

    name = "PostgreSQL"
    scheme = "postgresql"
    database = "postgres"
    stop_signal = signal.SIGINT  # end without waiting for clients

    def prepare(self):
        options = "--username=admin --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync"
        password = self.write("password", self.password)
        where = f"--pgdata={self.make('data')}", f"--pwfile={password}"
        self.run([POSTGRES.require().with_name("initdb"), *options.split(), *where])

    def command(self):
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 300,
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # in the folder, not in /dev/shm
            "fsync": "on" if self.durable else "off",
            "jit": "off",
        }
        data = self.folder / "data"
        if sys.platform == "linux" and int((data / "PG_VERSION").read_text()) >= 14:
            # After a kill it syncs all its files first: at once, not one by one.
            settings["recovery_init_sync_method"] = "syncfs"
        each = [f"--{name}={value}" for name, value in settings.items()]
        return [POSTGRES.require(), "-D", data, *each]

    def connect(self, **more):
        """Return a psycopg connection of the administrator, with autocommit."""
        import psycopg

        arguments = self.dsn
        arguments["dbname"] = arguments.pop("database")
        return psycopg.connect(**arguments, autocommit=True, **{"connect_timeout": 5, **more})

    def check(self):
        import psycopg

        try:
            with self.connect(connect_timeout=ANSWER) as connection:
                if not connection.execute("SELECT FROM pg_roles WHERE rolname = 'app'").rowcount:
                    connection.execute(f"CREATE ROLE app LOGIN PASSWORD '{self.password}'")
        except psycopg.OperationalError as exc:
            raise NotReady(str(exc)) from exc

    def ask(self, *statement):
        with self.connect() as connection:
            done = connection.execute(*statement)
            return done.fetchone() if done.description else None

    def make_database(self, name):
        self.ask(f"CREATE DATABASE {name} OWNER app")

    def close(self):
        self.stop()  # killed, it would leave some shared memory to the system
        super().close()
