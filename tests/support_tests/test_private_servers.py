"""The private servers: what the tests of the backends stand on."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import psycopg
import pymysql
import pytest
from places import InMariaDB
from server_processes import within


def test_urls_are_empty_and_separate(server, keep):
    """Each URL is an empty place of its own."""
    one, other = keep(server.url()), keep(server.url())
    assert one.get() is None

    one.put("one")

    assert other.get() is None
    other.put("other")
    assert ("one", "other") == (one.get(), other.get())


def test_kill_keeps_what_was_acknowledged(server, keep):
    """SIGKILL ends it at once; after the next start all is as it was, on the same port."""
    place, port = keep(server.url()), server.port
    place.put("kept")

    server.kill()
    assert not server.running
    assert [] == within(server.folder)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, port), 5)
    server.start()

    assert port == server.port
    assert "kept" == place.get()


def test_stop_and_start(server, keep):
    """The same in order, and twice is as good as once."""
    place = keep(server.url())
    place.put("kept")

    server.stop()
    server.stop()
    assert not server.running
    server.start()
    server.start()

    assert "kept" == place.get()


def test_pause(server, keep):
    """A paused server takes a connection and says nothing, until it may go on."""
    place = keep(server.url())
    place.put("kept")
    server.pause()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(place.get(60)))
    asking.start()

    asking.join(0.5)
    assert server.running
    assert asking.is_alive()
    server.resume()
    asking.join(30)

    assert ["kept"] == answers


def test_paused_server_is_killed_and_stopped(server, keep):
    """SIGSTOP holds up neither SIGKILL nor an orderly end."""
    place = keep(server.url())
    place.put("kept")

    server.pause()
    server.kill()
    server.start()
    server.pause()
    server.stop()
    server.start()

    assert "kept" == place.get()


def test_url_is_not_for_the_administrator(mariadb, postgres):
    """Who has a URL owns its database and can change nothing else, so that missing rights show."""
    with (
        pymysql.connect(**InMariaDB(mariadb.url()).arguments) as connection,
        connection.cursor() as cursor,
        pytest.raises(pymysql.MySQLError, match="denied"),
    ):
        cursor.execute("SET GLOBAL read_only = 1")
    with (
        psycopg.connect(postgres.url()) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE ROLE other")


def test_durable(mariadb, postgres, redis_server):
    """They sync what they acknowledge, as a server in earnest does."""
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite")
        assert (1, 1) == cursor.fetchone()
    with postgres.connect() as connection:
        asked = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        assert ("on", "on") == connection.execute(asked).fetchone()
    with redis_server.connect() as client:
        assert {"appendfsync": "always"} == client.config_get("appendfsync")


def test_not_root(mariadb, postgres, redis_server):
    """Run by root, they have an unprivileged user; nobody else can look into their folder."""
    for server in (mariadb, postgres, redis_server):
        user = server.folder.stat().st_uid
        assert user or os.geteuid()
        assert {user} == {path.stat().st_uid for path in server.folder.rglob("*")}
        assert user == Path(f"/proc/{server.pid}").stat().st_uid
        assert 0 == server.folder.stat().st_mode & 0o077


def test_password_is_in_no_process_list(mariadb, postgres, redis_server):
    """Whoever lists processes sees no password."""
    for server in (mariadb, postgres, redis_server):
        listed = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert listed
        assert server.password.encode() not in listed
