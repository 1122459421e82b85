"""Tables of the official SDK's DBStore: made as its pages say, written by the SDK itself."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

WRITER = Path(__file__).with_name("sdk_write.py")
"""Run with `official_sdk.run_sdk`, it writes a table or a file."""

_TEXTS = "client_id {0}, client_secret {0}, refresh_token {0}, access_token {0}, grant_token {0}"
_NEW = (
    "create table oauthtoken (id varchar(10) not null, user_name {0}, " + _TEXTS + ", "
    "expiry_time varchar(20), redirect_url {0}, api_domain {0}, primary key (id))"
)
TABLES = {
    # As the README of each generation has it.
    "1_0": "create table oauthtokens (useridentifier varchar(100), accesstoken varchar(100), "
    "refreshtoken varchar(100), expirytime bigint)",
    "2_0": "create table oauthtoken (id int(11) not null auto_increment, "
    "user_mail {0} not null, client_id {0}, refresh_token {0}, access_token {0}, "
    "grant_token {0}, expiry_time varchar(20), primary key (id))",
    "2_1": "create table oauthtoken (id {0} not null, user_mail {0} not null, " + _TEXTS + ", "
    "expiry_time varchar(20), redirect_url {0}, primary key (id))",
    **dict.fromkeys(("5_0", "6_0", "7_0", "8_0"), _NEW),
}
"""Generation -> its table. Those up to 2_1 know no api_domain, 1_0 no client."""


def make_table(server, generation, database=None):
    """Make the table of a generation in a database, a new one if none is given."""
    database = database or server.new_database()
    with closing(server.connect()) as db, db.cursor() as cursor:
        cursor.execute(f"use {database}")
        cursor.execute(TABLES[generation].format("varchar(255)"))
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


def tokens_for(*rows):
    """Say to a script which tokens to save."""
    return {"TOKENS": json.dumps(rows)}


def rows(server, database, sql="select * from oauthtoken"):
    """Return what a query finds."""
    with closing(server.connect()) as db, db.cursor() as cursor:
        cursor.execute(f"use {database}")
        cursor.execute(sql)
        return list(cursor.fetchall())
