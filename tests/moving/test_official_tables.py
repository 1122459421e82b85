"""The MySQL tables of the official SDK's DBStore, as each generation of it writes them."""

from __future__ import annotations

import tracemalloc
from contextlib import closing

import pytest
from moved_tokens import ANA, NEW, NOW
from sdk_tables import WRITTEN, make_table

from tokenkeep import ConfigurationError, StoreUnavailable, Token
from tokenkeep.moving import Defaults, Merge, open_table
from tokenkeep.providers import Providers

SAID = {"8_0": {}, "1_0": {"data_center": "eu", "client_id": "1000.CLIENT"}}
"""What has to be said of a generation's rows; of the others the data centre."""


@pytest.fixture
def do(mariadb):
    """Run a statement as somebody else, and return what it finds."""

    def _do(sql):
        with closing(mariadb.connect()) as db, db.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    return _do


@pytest.fixture
def url_of(mariadb):
    return lambda database: f"mysql://app@{mariadb.host}:{mariadb.port}/{database}"


@pytest.fixture
def filled(mariadb):
    """Fill a new table of the newest generation; return its database."""

    def _filled(*tokens):
        rows = [[n, *map(each.get, NEW[1:])] for n, each in enumerate(tokens, 1)]
        return make_table(mariadb, rows=rows)

    return _filled


@pytest.fixture
def opened(mariadb, url_of):
    """Open the table in a database; *more* goes behind its URL."""

    def _opened(database, more="", **defaults):
        defaults = Defaults(**defaults)
        url = url_of(database) + more
        return closing(open_table(url, password=mariadb.password, defaults=defaults))

    return _opened


@pytest.fixture
def run_table(opened, store):
    """Import a table; return for each row its number, action and reason."""

    def _run(*place, dry_run=False, **defaults):
        with opened(*place, **defaults) as source:
            steps = Merge(source, store).steps(dry_run=dry_run)
            return [(step.row.number, step.action.value, step.reason) for step in steps]

    return _run


@pytest.mark.parametrize("generation", WRITTEN)
def test_its_own_table_is_taken_over(run_table, store, mariadb, generation):
    """Every token that the SDK's DBStore wrote arrives, once."""
    table = make_table(mariadb, generation, WRITTEN[generation])
    said = SAID.get(generation, {"data_center": "eu"})

    assert [(1, "new", None), (2, "new", None)] == sorted(run_table(table, dry_run=True, **said))
    assert store.get_tokens() == []
    assert [(1, "new", None), (2, "new", None)] == run_table(table, **said)
    assert {"already there"} == {action for _, action, _ in run_table(table, **said)}

    ana, bob = (store.find_token(Token(user=f"{name}@example.com")) for name in ("ana", "bob"))
    assert (("1000.access", "1000.refresh"), "1000.CLIENT") == (ana.pair, ana.client_id)
    assert (1764000000.123, "eu", "production") == (
        ana.expires_at, ana.data_center, ana.environment,
    )  # fmt: skip
    knows_all = generation in ("2_1", "8_0")
    assert ('se"cret' if knows_all else None) == ana.client_secret
    assert ("https://example.com/back" if knows_all else None) == ana.redirect_uri
    assert (None if generation == "1_0" else "1000.grant") == ana.grant_token
    assert ("1000.bob", None) == (bob.refresh_token, bob.grant_token)
    assert (None if generation == "2_1" else 1764000000.123) == bob.expires_at


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
def test_memory_does_not_grow(mariadb, opened, do):
    """Invariant 13: the rows of a table ten times as long take no more memory."""
    values = "concat('u', seq), repeat('a', 100), repeat('r', 100), 1764000000123"
    peaks = []
    for count in (11_000, 55_000):
        table = make_table(mariadb, "1_0")
        do(f"insert into {table}.oauthtokens select {values} from seq_1_to_{count}")
        with opened(table) as source:
            tracemalloc.start()
            assert count == sum(1 for _ in source.lines())
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    assert peaks[1] < 1.1 * peaks[0]


def test_a_snapshot_that_is_only_read(filled, opened, do):
    """What the SDK writes meanwhile is left for the next run; nothing is written by who may."""
    table = filled(ANA)
    with opened(table) as source:
        do(f"update {table}.oauthtoken set id = '2', access_token = 'new'")

        assert ["1000.access"] == [row.token.access_token for row in source.rows(NOW, Providers())]
        of_it = f"(select id from information_schema.processlist where db = '{table}')"
        of_it = f"innodb_trx where trx_mysql_thread_id in {of_it}"
        assert ((1,),) == do(f"select trx_is_read_only from information_schema.{of_it}")


def test_a_name_with_percent_signs(filled, do, run_table):
    """They are the table's own, nothing of a driver's."""
    table = filled(ANA)
    do(f"rename table {table}.oauthtoken to {table}.`a%s %% b`")

    assert [(1, "new", None)] == run_table(table, "?table=a%25s%20%25%25%20b")


def test_a_user_who_may_only_read(filled, url_of, do):
    """SELECT on the one table is enough."""
    table = filled(ANA)
    do("create or replace user reader identified by 'reader'")
    do(f"grant select on {table}.oauthtoken to reader")

    url = url_of(table).replace("app@", "reader@")
    with closing(open_table(url, password="reader")) as source:
        assert [ANA["user_name"]] == [values[1] for _, values in source.lines()]


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("mysql://app@{at}/{db}?table=x", ConfigurationError, "no table x"),
        ("mysql://app@{at}/{db}?table=other", ConfigurationError, "its columns are not there"),
        ("mysql://app@{at}/{empty}", ConfigurationError, "no table oauthtoken or oauthtokens"),
        ("mysql://app@{at}/", ConfigurationError, "names no database"),
        ("mysql://app@{at}/{db}?tables=x", ConfigurationError, "can't be followed.*tables"),
        ("mysql://blind@{at}/{db}", StoreUnavailable, "lacks the privilege SELECT"),
        ("mysql://nobody@{at}/{db}", StoreUnavailable, "user or password"),
        ("mysql://app@127.0.0.1:1/{db}", StoreUnavailable, "can't be reached"),
    ],
)
def test_bad_input(mariadb, do, url, error, said):
    """What is wrong has a name and says what to do; the password is not in it."""
    database, empty = make_table(mariadb), mariadb.new_database()
    do(f"create table {database}.other (id int)")
    do(f"create or replace user blind identified by '{mariadb.password}'")
    do(f"grant insert on {database}.* to blind")
    at = f"{mariadb.host}:{mariadb.port}"

    with pytest.raises(error, match=said) as caught:
        open_table(url.format(at=at, db=database, empty=empty), password=mariadb.password)

    assert caught.value.hint
    assert mariadb.password not in str(caught.value)


def test_it_reads_in_pages_until_the_server_goes_away(filled, opened, do, monkeypatch):
    """Each row comes once; a connection cut in the midst is a named error."""
    monkeypatch.setattr("tokenkeep.moving.official_table._PAGE", 2)
    table = filled(*[ANA] * 5)
    with opened(table) as source:
        assert [1, 2, 3, 4, 5] == [number for number, _ in source.lines()]
        lines = source.lines()
        next(lines)
        ((its,),) = do(f"select id from information_schema.processlist where db = '{table}'")
        do(f"kill {its}")

        with pytest.raises(StoreUnavailable, match="was lost"):
            list(lines)
