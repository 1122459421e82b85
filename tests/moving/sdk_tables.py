"""The table of the official SDK's DBStore: made as its pages say, from zohocrmsdk5_0 to 8_0."""

from __future__ import annotations

from contextlib import closing

_TEXTS = ("client_id", "client_secret", "refresh_token", "access_token", "grant_token")
_TABLE = (
    "create table oauthtoken (id varchar(10) not null, user_name varchar(255), "
    + ", ".join(f"{name} varchar(255)" for name in _TEXTS)
    + ", expiry_time varchar(20), redirect_url varchar(255), api_domain varchar(255), "
    "primary key (id))"
)


def make_table(server, rows=()):
    """Make the table with some rows in a new database, and return its name."""
    database = server.new_database()
    with closing(server.connect()) as db, db.cursor() as cursor:
        cursor.execute(f"use {database}")
        cursor.execute(_TABLE)
        for row in rows:
            marks = ", ".join(["%s"] * len(row))
            cursor.execute(f"insert into oauthtoken values ({marks})", row)
    return database


def place_of(server, database):
    """Say to a script where a table is."""
    return {
        "MYSQL_HOST": server.host,
        "MYSQL_PORT": str(server.port),
        "MYSQL_USER": "app",
        "MYSQL_PASSWORD": server.password,
        "MYSQL_DATABASE": database,
    }
