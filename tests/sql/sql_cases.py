"""What the tests of SQL databases share: records, and openings by URL."""

from __future__ import annotations

from tokenkeep.backends import Record, open_backend
from tokenkeep.backends.base import WIDTH


def digits(text):
    """Return the digits that stand for a short text; in the order of the texts."""
    return text.encode().hex().ljust(WIDTH, "0")


ID, FIRST, SECOND = digits("id"), digits("1"), digits("2")
"""The id of `record`, and two versions."""


def record(name="id", version="1", *, sealed=b"sealed", last_used_at=None, **marks):
    """Return a record to test with; texts are given short, and are its digits."""
    return Record(
        id=digits(name),
        version=digits(version),
        owner=digits(f"of {name}"),
        kind="row",
        key=1,
        sealed=sealed,
        last_used_at=last_used_at,
        **{mark: digits(text) for mark, text in marks.items()},
    )


def with_port(url, server, port):
    """Return a URL that goes through a proxy."""
    return url.replace(f":{server.port}/", f":{port}/")


def with_user(url, user):
    """Return a URL for another user, whose password is the same."""
    return url.replace("//app:", f"//{user}:")


class Opener:
    """Open backends, and close them at the end."""

    def __init__(self):
        self.opened = []

    def __call__(self, url):
        self.opened.append(open_backend(url))
        return self.opened[-1]

    def close(self):
        for backend in self.opened:
            backend.close()


def make_idle(backend, seconds):
    """Let the pooled connections believe that they were idle for that long."""
    held = backend._connections._pool
    links = [held.connect() for _ in range(held.checkedin())]
    for link in links:
        link.info["used"] -= seconds
        link.close()


def connect_as_admin(server, url, *, autocommit=True):
    """Return a connection of the administrator to the database of a URL."""
    database = url.rpartition("/")[2].partition("?")[0]
    if server.name == "MariaDB":
        import pymysql

        return pymysql.connect(**{**server.dsn, "database": database}, autocommit=autocommit)
    import psycopg

    arguments = {**server.dsn, "dbname": database}
    del arguments["database"]
    return psycopg.connect(**arguments, autocommit=autocommit)
