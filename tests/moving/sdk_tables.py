"""Tables of the official SDK's DBStore: made as its pages say, as each generation fills them."""

from __future__ import annotations

from contextlib import closing

_TEXTS = "client_id {0}, client_secret {0}, refresh_token {0}, access_token {0}, grant_token {0}"
TABLES = {
    # As the README of each generation has it.
    "1_0": "create table oauthtokens (useridentifier varchar(100), accesstoken varchar(100), "
    "refreshtoken varchar(100), expirytime bigint)",
    "2_0": "create table oauthtoken (id int(11) not null auto_increment, "
    "user_mail {0} not null, client_id {0}, refresh_token {0}, access_token {0}, "
    "grant_token {0}, expiry_time varchar(20), primary key (id))",
    "2_1": "create table oauthtoken (id {0} not null, user_mail {0} not null, " + _TEXTS + ", "
    "expiry_time varchar(20), redirect_url {0}, primary key (id))",
    "5_0": "create table oauthtoken (id varchar(10) not null, user_name {0}, " + _TEXTS + ", "
    "expiry_time varchar(20), redirect_url {0}, api_domain {0}, primary key (id))",
}
TABLES["8_0"] = TABLES["5_0"]
"""Generation -> its table. Those up to 2_1 know no api_domain, 1_0 no client."""

_ENDS = "1764000000123"
_ANA = ("1000.refresh", "1000.access", "1000.grant", _ENDS)
_BOB = ("1000.bob", "b", None, _ENDS)
_CLIENT = ("1000.CLIENT", 'se"cret')
_BACK = "https://example.com/back"
WRITTEN = {
    "1_0": [
        ("ana@example.com", "1000.access", "1000.refresh", int(_ENDS)),
        ("bob@example.com", "b", "1000.bob", int(_ENDS)),
    ],
    "2_0": [(1, "ana@example.com", _CLIENT[0], *_ANA), (2, "bob@example.com", _CLIENT[0], *_BOB)],
    "2_1": [
        ("python_0", "ana@example.com", *_CLIENT, *_ANA, _BACK),
        # Without an expiry it writes the word.
        ("python_1", "bob@example.com", *_CLIENT, *_BOB[:3], "None", _BACK),
    ],
    "8_0": [
        ("1", "ana@example.com", *_CLIENT, *_ANA, _BACK, "https://www.zohoapis.eu"),
        ("2", "bob@example.com", *_CLIENT, *_BOB, _BACK, "https://www.zohoapis.eu"),
    ],
}
"""Generation -> the rows of two users, as recorded from it; 5_0 to 8_0 write the same."""


def make_table(server, generation="8_0", rows=()):
    """Make the table of a generation with some rows in a new database, and return its name."""
    database = server.new_database()
    with closing(server.connect()) as db, db.cursor() as cursor:
        cursor.execute(f"use {database}")
        cursor.execute(TABLES[generation].format("varchar(255)"))
        for row in rows:
            name = "oauthtokens" if generation == "1_0" else "oauthtoken"
            marks = ", ".join(["%s"] * len(row))
            cursor.execute(f"insert into {name} values ({marks})", row)
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
