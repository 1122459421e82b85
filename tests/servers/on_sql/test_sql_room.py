"""No room: disks that are full, packets that are too large. What was stored stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from cases import FIRST, ID, digits, record, refused
from private_servers import MariaDB
from private_servers.skipped import started

NOBODY = 65534


@pytest.fixture
def small_disk():
    """A disk of 4 MB that the servers may write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        folder.rmdir()
        pytest.skip("only root may make a small disk")
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
def cramped_postgres(postgres, small_disk, admin_of):
    """The URL of a database on that disk."""
    url = postgres.url()
    name = url.rpartition("/")[2]
    admin = admin_of(postgres, url)
    admin(
        f"CREATE TABLESPACE {name} LOCATION '{small_disk}'",
        f"GRANT CREATE ON TABLESPACE {name} TO app",
        f"ALTER DATABASE {name} SET default_tablespace = {name}",
    )
    yield (
        url,
        lambda: subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True),
    )
    admin("DROP TABLE tokenkeep, tokenkeep_schema", f"DROP TABLESPACE {name}")


@pytest.fixture
def cramped_mariadb():
    """
    The URL of a database with as little room; on a disk that is full MariaDB may abort.

    A server of its own: what other tests have deleted would be room in the shared one's file.
    """
    for server in started(MariaDB):

        def restart(*options, server=server):
            server.stop()
            server.options = options
            server.start()

        taken = (server.folder / "data/ibdata1").stat().st_size // 2**20
        files = f"--innodb-data-file-path=ibdata1:12M:autoextend:max:{taken + 4}M"
        restart("--innodb-file-per-table=0", files)
        yield server.url(), restart


@pytest.mark.parametrize("kind", ["cramped_mariadb", "cramped_postgres"])
def test_full_disk(connect, request, kind):
    """A full disk has a name; what was stored can be read, and after making room all goes on."""
    url, make_room = request.getfixturevalue(kind)
    backend = connect(url)
    sealed = os.urandom(200_000)
    stored = []

    def fill():
        for n in range(100):
            backend.write(record(str(n), sealed=sealed), replaces=None)
            stored.append(digits(str(n)))

    assert "disk is full" in refused(fill, within=30)

    assert stored
    assert sealed == backend.read(stored[-1]).sealed
    assert {each.id for each in backend.scan(None, 100)} == set(stored)
    make_room()
    assert backend.read(stored[-1]).sealed == sealed
    backend.write(record(), replaces=None)
    backend.close()


def test_larger_than_a_packet(connect, mariadb, admin_of):
    """What MySQL does not accept in one piece is told from a lost connection."""
    url = mariadb.url()
    admin = admin_of(mariadb, url)
    ((before,),) = admin("SELECT @@global.max_allowed_packet")
    admin("SET GLOBAL max_allowed_packet = 1048576")
    try:
        backend = connect(url)
        backend.write(record(), replaces=None)
        for size in (600_000, 1_100_000, 20_000_000):
            large = record(version="2", sealed=os.urandom(size))
            said = refused(lambda large=large: backend.write(large, replaces=FIRST))
            assert "max_allowed_packet" in said
        assert record() == backend.read(ID)
        backend.write(record(version="2", sealed=bytes(400_000)), replaces=FIRST)
    finally:
        admin(f"SET GLOBAL max_allowed_packet = {before}")
