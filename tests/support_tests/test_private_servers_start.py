"""Starting a private server: ports that are taken, folders, and what is said when it fails."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from itertools import cycle
from pathlib import Path

import pytest
from private_servers import MariaDB, Postgres, Redis, ServerFailed
from private_servers import server as server_module
from private_servers.ports import RANGE, free_port


@pytest.fixture
def taken():
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def folder():
    """A folder that everybody may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_taken_port(server, taken, monkeypatch):
    """Somebody takes the port between the choice and the start: another is chosen."""
    choices = cycle([lambda: taken, free_port])

    def choose():
        return next(choices)()

    monkeypatch.setattr(server_module, "free_port", choose)

    with type(server)() as another:
        assert another.port not in {taken, server.port}
        another.check()
    assert taken == choose()


@pytest.mark.usefixtures("redis_server")
def test_port_taken_in_the_meantime():
    """A server keeps its port; if that is gone, the error names it."""
    with Redis() as server:
        server.stop()
        with (
            socket.create_server((server.host, server.port)),
            pytest.raises(ServerFailed, match=f"somebody took port {server.port}"),
        ):
            server.start()
        server.start()


def test_ports_are_not_those_of_clients():
    """No outgoing connection is given the port of a server that is down."""
    lowest = int(RANGE.read_text().split()[0])

    assert all(free_port() < lowest for _ in range(50))


@pytest.mark.parametrize("kind", ["mariadb", "postgres", "redis_server"], indirect=True)
def test_folder_is_taken_up_again(server, keep, folder):
    """A folder that was given is kept, with data and password."""
    with type(server)(folder / "a" / "b") as first:
        url, port = first.url(), first.port
        keep(url).put("kept")

    with type(server)(folder / "a" / "b") as second:
        assert "kept" == keep(url.replace(str(port), str(second.port))).get()


@pytest.mark.usefixtures("mariadb")
def test_long_folder(folder):
    """Paths of sockets have to be short, those of folders have not."""
    with MariaDB(folder / ("long" * 40)) as server:
        server.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers have another user")
@pytest.mark.usefixtures("redis_server")
def test_folder_nobody_can_enter(folder):
    """A folder that is closed to the server's user is an error that names what is closed."""
    folder.chmod(0o700)

    with pytest.raises(ServerFailed, match=f"nobody can't enter {folder}:"), Redis(folder / "a"):
        pass


@pytest.mark.usefixtures("postgres")
def test_log_is_in_the_error():
    """A server that ends shows the end of its log, and no password."""
    server = Postgres(options=["--no_such_setting=1"])
    with (
        pytest.raises(ServerFailed, match="no_such_setting") as failed,
        server,
    ):
        pass

    assert str(failed.value).startswith("PostgreSQL ended with 1\n")
    assert server.password not in str(failed.value)


@pytest.mark.usefixtures("redis_server")
def test_options():
    """More arguments reach the server, and may be changed between two starts."""
    with Redis(options=["--maxclients", "33"]) as server:
        assert {"maxclients": "33"} == server.connect().config_get("maxclients")
        server.options = []
        server.kill()
        server.start()
        assert {"maxclients": "33"} != server.connect().config_get("maxclients")


@pytest.mark.usefixtures("postgres")
def test_less_durable():
    """For benches where the disk is not the point."""
    with Postgres(durable=False) as server, server.connect() as connection:
        assert ("off",) == connection.execute("SHOW fsync").fetchone()
