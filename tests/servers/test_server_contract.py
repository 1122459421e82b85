"""Each backend on a server keeps its promises when that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cases import connect_as_admin
from private_servers.ports import free_port

from tokenkeep.backends import open_backend
from tokenkeep.testing import ServerContract


@pytest.fixture
def small_disk():
    """A disk of 8 MB that the servers may write to, and what makes it larger."""
    folder = tempfile.mkdtemp(dir="/tmp")
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,uid=65534", "tmpfs", folder]  # of nobody
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may make a small disk")
    more = ["mount", "-o", "remount,size=64m", folder]
    yield folder, lambda: subprocess.run(more, check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)
    Path(folder).rmdir()


class OnSQL(ServerContract):
    """What a server of SQL has to be given."""

    @pytest.fixture
    def url(self, server):
        return server.url()

    @pytest.fixture
    def open_at(self, server, url):
        return opener(server, url, timeout=0.5)

    @pytest.fixture
    def full(self, server, url, small_disk):
        folder, enlarge = small_disk
        with closing(connect_as_admin(server, url)) as admin:
            cursor = admin.cursor()

            @contextmanager
            def full():
                self.move(cursor, folder)
                yield "disk is full"
                enlarge()

            yield full
            for each in ("DROP TABLE tokenkeep", *self.after):  # while its disk is there
                cursor.execute(each)


class TestMariaDB(OnSQL):
    after = ()

    @pytest.fixture
    def server(self, mariadb):
        return mariadb

    def move(self, cursor, folder):
        cursor.execute("SHOW CREATE TABLE tokenkeep")
        new = cursor.fetchone()[1].replace("`tokenkeep`", "`cramped`", 1)
        cursor.execute(f"{new} DATA DIRECTORY='{folder}'")
        cursor.execute("INSERT INTO cramped SELECT * FROM tokenkeep")
        cursor.execute("RENAME TABLE tokenkeep TO roomy, cramped TO tokenkeep")

    @pytest.fixture
    def read_only(self, server):
        def ask(value):
            with server.connect() as admin:
                admin.cursor().execute(f"SET GLOBAL read_only = {value}")

        return lambda: switched(ask, 1, 0, "is read-only")


class TestPostgreSQL(OnSQL):
    after = ("DROP TABLESPACE cramped",)

    @pytest.fixture
    def server(self, postgres):
        return postgres

    def move(self, cursor, folder):
        cursor.execute(f"CREATE TABLESPACE cramped LOCATION '{folder}'")
        cursor.execute("ALTER TABLE tokenkeep SET TABLESPACE cramped")

    @pytest.fixture
    def read_only(self, server):
        def ask(value):
            with server.connect() as admin:
                admin.execute(f"ALTER ROLE app SET default_transaction_read_only = {value}")
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
                )

        return lambda: switched(ask, "on", "off", None)  # or that it was terminated


class TestRedis(ServerContract):
    @pytest.fixture
    def server(self, redis_server):
        return redis_server

    @pytest.fixture
    def open_at(self, server):
        return opener(server, server.url(), socket_timeout=0.5)

    @pytest.fixture
    def full(self, server):
        def ask(value):
            with server.connect() as admin:
                admin.config_set("maxmemory", value)

        return lambda: switched(ask, 1, 0, "memory")

    @pytest.fixture
    def read_only(self, server):
        def ask(primary):
            with server.connect() as admin:
                admin.replicaof(*primary)

        return lambda: switched(ask, ("127.0.0.1", free_port()), ("NO", "ONE"), "replica")


WITHOUT_TOUCH = {name: call for name, call in ServerContract.calls.items() if name != "touch"}


class TestDynamoDB(ServerContract):
    calls = WITHOUT_TOUCH
    patience = 4.0
    sends_again = True
    test_full = test_read_only = None

    @pytest.fixture
    def server(self, aws):
        return aws

    @pytest.fixture
    def open_at(self, server):
        open_backend(server.url("dynamodb")).close()  # boto3 has read its description by then
        return opener(server, server.url("dynamodb"), timeout=1.0)


# A fork that Python knows nothing of is one only of a process with nothing else under way:
# threads that wait for the interpreter are never answered in the child.
FORKS = """
import ctypes, os, signal, sys, time
from cases import ID, record
from tokenkeep.backends import open_backend

backend = open_backend(sys.argv[1])
backend.write(record(), replaces=None)
time.sleep(0.5)
child = ctypes.PyDLL(None).fork()
if not child:
    signal.alarm(30)
    os._exit(backend.read(ID) != record())
status = os.waitpid(child, 0)[1]
assert backend.read(ID) == record()
sys.exit(status != 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the fork of another C library")
def test_a_fork_that_python_knows_nothing_of(far, proxy):
    """Its child uses none of its parent's connections either, not even an idle one."""
    here = Path(__file__).parent
    paths = f"{here}{os.pathsep}{here.parent / 'support'}"

    done = subprocess.run(
        [sys.executable, "-c", FORKS, far],
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": paths},
    )

    assert done.returncode == 0
    assert proxy.connections == 2


def opener(server, url, **options):
    """Open one place of the server, by whichever host and port, in a hurry."""
    url = f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"

    def open_at(host, port):
        told = url
        for each in (":", "%3A"):
            told = told.replace(f"{server.host}{each}{server.port}", f"{host}{each}{port}")
        return open_backend(told)

    return open_at


@contextmanager
def switched(ask, on, off, said):
    """Have a server behave in some way; yield what is said of it."""
    ask(on)
    try:
        yield said
    finally:
        ask(off)
