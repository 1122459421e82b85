"""The MySQL tables of the official SDK's DBStore, written by each generation of it."""

from __future__ import annotations

import tracemalloc
from contextlib import closing

import pytest
from moved_tokens import ANA, NOW
from sdk_tables import make_table, rows

from tokenkeep import ConfigurationError, StoreUnavailable, Token
from tokenkeep.moving import Defaults, Merge, open_table
from tokenkeep.providers import Providers

OLD = ("1_0", "2_0", "2_1")
BOB = ANA | {
    "user_name": "bob@example.com",
    "refresh_token": "1000.bob",
    "access_token": "b",
    "grant_token": None,
}


@pytest.fixture
def filled(mariadb):
    """Fill a new table of the newest generation without the SDK; return its URL."""

    def _filled(*tokens):
        database = make_table(mariadb, "8_0")
        with closing(mariadb.connect()) as db, db.cursor() as cursor:
            for number, each in enumerate(tokens, 1):
                names = ", ".join(each).replace("redirect_uri", "redirect_url")
                marks = ", ".join(["%s"] * len(each))
                cursor.execute(
                    f"insert into {database}.oauthtoken ({names}) values ({marks})",
                    [*(each | {"id": number}).values()],
                )
        return f"mysql://app@{mariadb.host}:{mariadb.port}/{database}"

    return _filled


@pytest.fixture
def run_table(mariadb, store):
    """Import a table; return for each row its number, action and reason."""

    def _run(url, *, dry_run=False, **defaults):
        defaults = Defaults(**defaults)
        with closing(open_table(url, password=mariadb.password, defaults=defaults)) as source:
            steps = Merge(source, store).steps(dry_run=dry_run)
            return [(step.row.number, step.action.value, step.reason) for step in steps]

    return _run


@pytest.mark.parametrize("generation", [*OLD, "5_0", "8_0"])
def test_its_own_table_is_taken_over(run_table, store, table, mariadb, generation):
    """Every token that the SDK's DBStore wrote arrives, once, and the table stays as it is."""
    url = table(generation, ANA, BOB)
    database = url.rpartition("/")[2]
    name = "oauthtokens" if generation == "1_0" else "oauthtoken"
    written = rows(mariadb, database, f"select * from {name}")
    options = {"data_center": "eu"} if generation in OLD else {}
    options |= {"client_id": "1000.CLIENT"} if generation == "1_0" else {}

    assert [(1, "new", None), (2, "new", None)] == run_table(url, dry_run=True, **options)
    assert store.get_tokens() == []
    assert [(1, "new", None), (2, "new", None)] == run_table(url, **options)
    assert {"already there"} == {action for _, action, _ in run_table(url, **options)}

    assert written == rows(mariadb, database, f"select * from {name}")
    assert 2 == len(store.get_tokens())
    token = store.find_token(Token(user=ANA["user_name"]))
    assert ("1000.access", "1000.refresh") == token.pair
    assert ("1000.CLIENT", 1764000000.123) == (token.client_id, token.expires_at)
    assert ("eu", "production") == (token.data_center, token.environment)
    if generation not in ("1_0", "2_0"):
        assert 'se"cret' == token.client_secret
        assert "https://example.com/back" == token.redirect_uri
    if generation != "1_0":
        assert "1000.grant" == token.grant_token
    assert "1000.bob" == store.find_token(Token(user="bob@example.com")).refresh_token


def test_what_older_stores_write_for_nothing(table, run_table, store):
    """2_1 writes the word None where it knows no expiry: that is none."""
    url = table("2_1", BOB | {"expiry_time": None, "access_token": None})

    assert [(1, "new", None)] == run_table(url, data_center="us")

    assert store.find_token(Token(user="bob@example.com")).expires_at is None


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        # Saved unchanged, the SDK's store adds a row: 10 is later than 9, though they are text.
        ([ANA] * 10, 10),
        ([ANA | {"access_token": "later", "expiry_time": "1764000000999"}, ANA], 2),
    ],
    ids=["of those that are the same, the highest id", "else the latest end"],
)
def test_which_row_counts(filled, run_table, store, rows, counts):
    """Of rows of one user it is the last one, and all others name it."""
    found = run_table(filled(*rows))

    same = [(n, "skipped", f"row {counts} is the same, and counts") for n in range(1, counts)]
    assert [*same, (counts, "new", None)] == found
    token = store.find_token(Token(user=ANA["user_name"]))
    assert max(rows, key=lambda row: row["expiry_time"])["access_token"] == token.access_token


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["8_0", "1_0"])
def test_memory_does_not_grow(mariadb, generation):
    """Invariant 13: the rows of a table ten times as long take no more memory."""
    name = "oauthtokens" if generation == "1_0" else "oauthtoken"
    values = "concat('u', seq), repeat('a', 100), repeat('r', 100), 1764000000123"
    if generation == "8_0":
        values = (
            "seq, concat('u', seq), 'c', 's', repeat('r', 255), repeat('a', 255), null, "
            "'1764000000123', null, 'https://www.zohoapis.com'"
        )
    peaks = []
    for count in (11_000, 55_000):
        database = make_table(mariadb, generation)
        with closing(mariadb.connect()) as db, db.cursor() as cursor:
            cursor.execute(f"insert into {database}.{name} select {values} from seq_1_to_{count}")
        url = f"mysql://app@{mariadb.host}:{mariadb.port}/{database}"
        with closing(open_table(url, password=mariadb.password)) as source:
            tracemalloc.start()
            assert count == sum(1 for _ in source.lines())
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    assert peaks[1] < 1.1 * peaks[0]


def test_a_snapshot(filled, mariadb):
    """What the SDK writes while the table is read is left for the next run."""
    url = filled(ANA)
    database = url.rpartition("/")[2]
    with closing(open_table(url, password=mariadb.password)) as source:
        with closing(mariadb.connect()) as db, db.cursor() as cursor:
            cursor.execute(f"update {database}.oauthtoken set id = '2', access_token = 'new'")

        assert ["1000.access"] == [row.token.access_token for row in source.rows(NOW, Providers())]


def test_a_name_with_percent_signs(filled, mariadb, run_table):
    """They are the table's own, nothing of a driver's."""
    url = filled(ANA, BOB)
    database = url.rpartition("/")[2]
    with closing(mariadb.connect()) as db, db.cursor() as cursor:
        cursor.execute(f"rename table {database}.oauthtoken to {database}.`a%s %% b`")

    found = run_table(f"{url}?table=a%25s%20%25%25%20b")

    assert [("new", None)] * 2 == [each[1:] for each in found]


def test_a_user_who_may_only_read(filled, mariadb):
    """SELECT on the one table is enough, and nothing is written even by who may."""
    url = filled(ANA)
    database = url.rpartition("/")[2]
    with closing(mariadb.connect()) as db, db.cursor() as cursor:
        cursor.execute("create or replace user reader identified by 'reader'")
        cursor.execute(f"grant select on {database}.oauthtoken to reader")

    with closing(open_table(url.replace("app@", "reader@"), password="reader")) as source:
        assert [ANA["user_name"]] == [values[1] for _, values in source.lines()]
    with (
        closing(open_table(url, password=mariadb.password)) as source,
        closing(mariadb.connect()) as db,
        db.cursor() as cursor,
    ):
        assert next(source.lines())
        of_it = f"in (select id from information_schema.processlist where db = '{database}')"
        cursor.execute(
            "select trx_is_read_only from information_schema.innodb_trx "
            f"where trx_mysql_thread_id {of_it}"
        )
        assert ((1,),) == cursor.fetchall()


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("mysql://app@{at}/{db}?table=x", ConfigurationError, "no table x"),
        ("mysql://app@{at}/{db}?table=other", ConfigurationError, "its columns are not there"),
        ("mysql://app@{at}/{empty}", ConfigurationError, "no table oauthtoken or oauthtokens"),
        ("mysql://app@{at}/", ConfigurationError, "names no database"),
        ("mysql://app@{at}/{db}?tables=x", ConfigurationError, "option of the MySQL URL"),
        ("mysql://app@{at}/mysql", StoreUnavailable, "lacks the privilege SELECT"),
        ("mysql://blind@{at}/{db}", StoreUnavailable, "lacks the privilege SELECT"),
        ("mysql://nobody@{at}/{db}", StoreUnavailable, "user or password"),
        ("mysql://app@127.0.0.1:1/{db}", StoreUnavailable, "can't be reached"),
    ],
)
def test_bad_input(mariadb, url, error, said):
    """What is wrong has a name and says what to do; the password is not in it."""
    database, empty = make_table(mariadb, "8_0"), mariadb.new_database()
    with closing(mariadb.connect()) as db, db.cursor() as cursor:
        cursor.execute(f"create table {database}.other (id int)")
        cursor.execute(f"create table {database}.unseen (id int)")
        cursor.execute(f"create or replace user blind identified by '{mariadb.password}'")
        cursor.execute(f"grant insert on {database}.* to blind")
    at = f"{mariadb.host}:{mariadb.port}"

    with pytest.raises(error, match=said) as caught:
        open_table(url.format(at=at, db=database, empty=empty), password=mariadb.password)

    assert caught.value.hint
    assert mariadb.password not in str(caught.value)


def test_it_reads_in_pages_until_the_server_goes_away(filled, mariadb, monkeypatch):
    """Each row comes once; a connection cut in the midst is a named error."""
    monkeypatch.setattr("tokenkeep.moving.official_table._PAGE", 2)
    url = filled(*[ANA] * 5)
    with closing(open_table(url, password=mariadb.password)) as source:
        assert [1, 2, 3, 4, 5] == [number for number, _ in source.lines()]
        lines = source.lines()
        next(lines)
        with closing(mariadb.connect()) as db, db.cursor() as cursor:
            name = url.rpartition("/")[2]
            cursor.execute(f"select id from information_schema.processlist where db = '{name}'")
            cursor.execute(f"kill {cursor.fetchone()[0]}")

        with pytest.raises(StoreUnavailable, match="was lost"):
            list(lines)
