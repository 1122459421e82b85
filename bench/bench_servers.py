"""Servers: find and save on MariaDB, PostgreSQL and Redis, beside driver and DBStore."""

from __future__ import annotations

import secrets
import sys
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from common import (
    Case,
    access_token,
    against,
    folder,
    in_turn,
    made_up,
    options,
    record_id,
    report,
    sealed,
    user_of,
)

from tokenkeep import Token, Vault, open_store, records
from tokenkeep.backends import open_backend, sql
from tokenkeep.backends.rows import COLUMNS, to_row
from tokenkeep.integrations.zoho_sdk import SDKStore, theirs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))
# The SDK's DBStore needs mysql-connector, which the tests keep beside its oldest generation.
sys.path.append(str(HERE.parents[1] / ".sdk" / "5_0"))

ASKED = 10
"""How many tokens one round asks for or saves."""

SMALL, LARGE = 100, 10_000
HUGE = 1_000_000

RAW, RAW_WRITE = "driver, select by id", "driver, update by id"
COLD, COLD_USER = "Vault, cold find by id", "Vault, cold find by user"
HOT = "SDKStore, find by id"
SAVE = "SDKStore, save"

NAMES = ", ".join(sql.NAMES.values())


def fill(vault: Vault, connection: Any, numbers: range) -> list[str]:
    """Insert made-up users in large statements. Return every so many of their ids."""
    marks = ", ".join(["%s"] * len(COLUMNS))
    insert = f"INSERT INTO tokenkeep ({NAMES}) VALUES ({marks})"
    ids, part = [], []
    with connection.cursor() as cursor:
        for number in numbers:
            record = sealed(vault, made_up(number))
            ids.append(records.token_id(record.id))
            part.append(to_row(record))
            if len(part) == 500 or number == numbers[-1]:
                cursor.executemany(insert, part)
                part = []
    return ids[:: max(1, len(ids) // (3 * ASKED))][: 3 * ASKED]


def driver(connection: Any, ids: list[str], others: list[str]) -> dict[str, Callable[[], None]]:
    """Return the floor: the same statements on one kept connection, and no more."""
    query = f"SELECT {NAMES} FROM tokenkeep WHERE id = %s"
    cursor = connection.cursor()
    rows = []
    for each in others:  # what they hold afterwards opens with no key
        cursor.execute(query, (record_id(each),))
        rows.append(list(cursor.fetchone()))
    access, version, blob = map(COLUMNS.index, ("access", "version", "sealed"))
    changed = ", ".join(f"{name} = %s" for name in NAMES.split(", ")[1:])

    def select() -> None:
        for each in ids:
            cursor.execute(query, (record_id(each),))
            cursor.fetchone()

    def update() -> None:
        for row in rows:
            row[access], row[version] = secrets.token_hex(16), secrets.token_hex(16)
            row[blob] = secrets.token_bytes(len(row[blob]))
            cursor.execute(f"UPDATE tokenkeep SET {changed} WHERE id = %s", [*row[1:], row[0]])

    return {RAW: select, RAW_WRITE: update}


def ours(opened: Opened, ids: list[str], written: list[str]) -> dict[str, Callable[[], None]]:
    store, cold = opened
    vault = store.keeper.store
    stored = [vault.find_token_by_id(each) for each in ids]
    saved = [vault.find_token_by_id(each) for each in written]
    known = [theirs(token, token.expires_at, token.id) for token in saved]

    def each(call: Callable[[Any], object], items: list[Any]) -> Callable[[], None]:
        def run() -> None:
            for item in items:
                call(item)

        return run

    def save() -> None:
        for token in known:
            token.set_access_token(access_token())
            store.save_token(token)

    users = [Token(user=token.user) for token in stored]
    return {
        COLD: each(cold.find_token_by_id, ids),
        COLD_USER: each(cold.find_token, users),
        HOT: each(store.find_token_by_id, ids),
        SAVE: save,
    }


def judged(where: str, took: dict[str, list[float]], n: int) -> list[Case]:
    def case(name: str, floor: str, target: float | None, note: str) -> Case:
        label = f"{where}: {name}"
        return against(took, name, floor, n=n, of=median, target=target, note=note, label=label)

    return [
        case(COLD, RAW, 1.5, "nothing cached, opened each time"),
        case(COLD_USER, RAW, None, "floor: the select by id"),
        case(HOT, RAW, None, "asked each time, opened if it has changed"),
        case(SAVE, RAW_WRITE, 2.0, "of a stored token"),
    ]


class Opened(NamedTuple):
    """Ways to one store."""

    store: SDKStore
    cold: Vault
    """One that keeps nothing in memory."""


@contextmanager
def opened(url: str) -> Iterator[Opened]:
    store = SDKStore(open_store(url, make=True))
    cold = Vault(open_backend(url), store.keeper.store.ring, cache_size=0)
    try:
        yield Opened(store, cold)
    finally:
        for each in (store, cold):
            each.close()


def to(server: Any, database: str) -> Any:
    """Connect PyMySQL, as the floor does: once, each statement committed by itself."""
    import pymysql

    return pymysql.connect(**{**server.dsn, "database": database}, autocommit=True)


def on_sql(
    where: str, server: Any, connect: Callable[[str], Any], n: int, rounds: int
) -> list[Case]:
    url = server.url()
    database = url.rpartition("/")[2]
    with opened(url) as ways:
        connection = connect(database)
        ids = fill(ways.cold, connection, range(n))
        connection.commit()
        # What one case writes, another must not read.
        read, written, spoiled = ids[::3], ids[1::3], ids[2::3]
        floor = driver(connection, read, spoiled)
        took = in_turn(floor | ours(ways, read, written), rounds=rounds, calls=ASKED)
        connection.close()
    return judged(where, took, n)


def db_store(server: Any, sizes: tuple[int, ...], rounds: int) -> list[Case]:
    """The SDK's own DBStore beside ours, on the same server, as the number of users grows."""
    from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
    from zohocrmsdk.src.com.zoho.api.authenticator.store import DBStore
    from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

    url = server.url()
    database = url.rpartition("/")[2]
    connection = to(server, database)
    cursor = connection.cursor()
    # As the SDK's page says to make it.
    cursor.execute(
        "CREATE TABLE oauthtoken (id varchar(10) NOT NULL, user_name varchar(255), client_id"
        " varchar(255), client_secret varchar(255), refresh_token varchar(255), access_token"
        " varchar(255), grant_token varchar(255), expiry_time varchar(20), redirect_url"
        " varchar(255), api_domain varchar(255), primary key (id))"
    )
    theirs = DBStore(
        host=server.host,
        database_name=database,
        user_name="app",
        password=server.password,
        port_number=str(server.port),
        table_name="oauthtoken",
    )
    client = made_up(0).client_id
    found = []
    filled = 0
    with opened(url) as (store, cold):
        for n in sizes:
            numbers = range(filled, n)
            filled = n
            ids = fill(cold, connection, numbers)
            part = []
            for number in numbers:
                part.append((number, *official_row(number)))
                if len(part) == 2000 or number == numbers[-1]:
                    marks = ", ".join(["%s"] * 10)
                    cursor.executemany(f"INSERT INTO oauthtoken VALUES ({marks})", part)
                    part = []
            picked = [numbers[i * len(numbers) // 3] for i in range(3)]
            rows = [user_of(number) for number in picked]
            mine = [store.keeper.store.find_token_by_id(each).user for each in ids[:3]]

            def asking(find: Callable[[Any], object], users: list[str]) -> Callable[[], None]:
                def run() -> None:
                    for user in users:
                        find(OAuthToken(client_id=client, user_signature=UserSignature(user)))

                return run

            took = in_turn(
                {
                    "DBStore": asking(theirs.find_token, rows),
                    "cold": lambda mine=mine: [cold.find_token(Token(user=u)) for u in mine],
                    "hot": asking(store.find_token, mine),
                },
                rounds=rounds,
                calls=3,
            )
            found += [
                against(took, "cold", "DBStore", n=n, of=median, label="Vault, cold find by user"),
                against(
                    took,
                    "hot",
                    "DBStore",
                    n=n,
                    of=median,
                    target=1.0,
                    label="SDKStore, find by user",
                ),
            ]
    connection.close()
    return found


def official_row(number: int) -> tuple[Any, ...]:
    token = made_up(number)
    return (
        token.user,
        token.client_id,
        token.client_secret,
        token.refresh_token,
        token.access_token,
        None,
        str(int(token.expires_at * 1000)),
        None,
        token.api_domain,
    )


def on_redis(server: Any, n: int, rounds: int) -> list[Case]:
    """Redis beside the raw client: GET and SET of a value as large as a sealed token."""
    from contextlib import closing

    with opened(server.url()) as ways, closing(server.connect(0)) as client:
        ids = []
        for number in range(n):
            record = sealed(ways.cold, made_up(number))
            ways.cold.backend.write(record, replaces=None)
            ids.append(records.token_id(record.id))
        ids, written = ids[:ASKED], ids[ASKED : 2 * ASKED]
        for each in ids:
            client.set(f"raw:{each}", secrets.token_bytes(1200))

        def get() -> None:
            for each in ids:
                client.get(f"raw:{each}")

        def put() -> None:
            for each in ids:
                client.set(f"raw:{each}", secrets.token_bytes(1200))

        floor = {RAW: get, RAW_WRITE: put}
        took = in_turn(floor | ours(ways, ids, written), rounds=rounds, calls=ASKED)
        return judged("Redis", took, n)


def together(server: Any) -> list[Case]:
    """Four processes on one MariaDB: 95 % find, 5 % save."""
    from bench_processes import PROCESSES, SECONDS, Ours, Row, run, verdict

    url = server.url()
    connection = to(server, url.rpartition("/")[2])
    vault = open_store(url, make=True)
    fill(vault, connection, range(SMALL))
    rows = [
        Row(t.id, t.user, t.client_id, t.client_secret, t.refresh_token)
        for t in vault.iter_tokens()
    ]
    done, per_second = run(Ours, url, rows)
    found = [(str(t.user), str(t.access_token)) for t in vault.iter_tokens()]
    told = verdict(done, found)
    sound = told.startswith("0 errors, 0 of") and told.endswith("0 duplicates, 0 mixed up")
    sound = sound and len(found) == SMALL + sum(len(each.logins) for each in done)
    vault.close()
    connection.close()
    saved = sum(each.saves for each in done) / SECONDS
    return [
        Case("MariaDB: SDKStore, finds a second", PROCESSES, per_second, met=sound, note=told),
        Case("MariaDB: SDKStore, saves a second", PROCESSES, saved),
    ]


def main() -> None:
    from private_servers import MariaDB, Postgres, Redis

    given = options(__doc__)
    rounds = 100 if given.full else 40
    # A million rows have to fit, as they would on a server that keeps so many.
    room = ["--innodb-buffer-pool-size=2G"] if given.full else []
    with folder(), MariaDB(options=room) as maria, Postgres() as postgres, Redis() as redis:
        import psycopg

        def to_maria(database: str) -> Any:
            return to(maria, database)

        def to_postgres(database: str) -> Any:
            dsn = {**postgres.dsn, "dbname": database}
            dsn.pop("database")
            return psycopg.connect(**dsn, autocommit=True)

        found = []
        for n in (SMALL, LARGE):
            found += on_sql("MariaDB", maria, to_maria, n, rounds)
            found += on_sql("PostgreSQL", postgres, to_postgres, n, rounds)
        found += on_redis(redis, SMALL, rounds)
        beside = db_store(maria, (SMALL, LARGE, HUGE) if given.full else (SMALL, LARGE), 10)
        processes = together(maria)
    report("servers on this machine, beside the driver", "µs a call", found, given)
    report("MariaDB, beside the SDK's DBStore", "µs a call", beside, given)
    report("4 processes, 95 % find, 5 % save, 5 s", "a second: more is better", processes, given)


if __name__ == "__main__":
    main()
