"""The MySQL table of the official SDK's DBStore."""

from __future__ import annotations

from contextlib import closing

import pytest
from moved_tokens import ANA, NEW
from reported import reported
from sdk_tables import make_table

from tokenkeep import ConfigurationError, StoreUnavailable, Token
from tokenkeep.moving import Merge, open_source

BOB = ANA | {"user_name": "bob@example.com", "refresh_token": "b", "grant_token": None}
THERE = "already there"


@pytest.fixture
def do(mariadb):
    """Run a statement as somebody else, and return what it finds."""

    def _do(sql):
        with closing(mariadb.connect()) as db, db.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    return _do


@pytest.fixture
def filled(mariadb):
    """Fill a new table; return its database."""

    def _filled(*tokens):
        rows = [[n, *map(each.get, NEW[1:])] for n, each in enumerate(tokens, 1)]
        return make_table(mariadb, rows)

    return _filled


@pytest.fixture
def opened(mariadb):
    """Open the table in a database; *more* goes behind its URL."""

    def _opened(database, more="", user="app", password=mariadb.password):
        url = f"mysql://{user}@{mariadb.host}:{mariadb.port}/{database}{more}"
        return open_source(url, password=password)

    return _opened


@pytest.fixture
def run_table(opened, store):
    """Import a table; return for each row its number, action and reason."""

    def _run(*place, dry_run=False):
        steps = Merge(opened(*place), store).steps(dry_run=dry_run)
        return [(step.row.number, step.action.value) for step in steps]

    return _run


def test_it_is_taken_over(filled, run_table, store, do):
    """Every token arrives, once; columns that were added are no matter."""
    table = filled(ANA, BOB | {"expiry_time": None})
    do(f"alter table {table}.oauthtoken add column mine int first")

    assert [(1, "new"), (2, "new")] == sorted(run_table(table, dry_run=True))
    assert store.get_tokens() == []
    assert [(1, "new"), (2, "new")] == sorted(run_table(table))
    assert {THERE} == {action for _, action in run_table(table)}

    ana, bob = (store.find_token(Token(user=f"{name}@example.com")) for name in ("ana", "bob"))
    fields = {"redirect_uri", "api_domain", "client_id", "client_secret", "grant_token"}
    assert {name: ANA[name] for name in fields} == {name: getattr(ana, name) for name in fields}
    assert (("1000.access", "1000.refresh"), 1764000000.123) == (ana.pair, ana.expires_at)
    assert ("b", None, None) == (bob.refresh_token, bob.grant_token, bob.expires_at)


def test_which_row_counts(filled, opened, store):
    """Of rows of one user the one that ends last, then has the highest id, though that is text."""
    rows = [ANA | {"refresh_token": f"r{n}", "grant_token": None} for n in range(10)]
    rows[4]["expiry_time"] = "1764000000999"
    rows[3]["expiry_time"] = "999"  # fewer digits

    source = opened(filled(*rows))
    assert [4, 1, 2, 3, 6, 7, 8, 9, 10, 5] == [int(values[0]) for _, values in source.lines()]
    assert 10 == sum(1 for _ in Merge(source, store).steps())
    assert "r4" == store.find_token(Token(user=ANA["user_name"])).refresh_token


def test_columns_of_bytes(filled, opened, store, do):
    """They are no text: nothing like b'…' is taken over."""
    table = filled(ANA)
    do(f"alter table {table}.oauthtoken modify refresh_token varbinary(255)")

    (step,) = Merge(opened(table), store).steps()

    assert ("skipped", "it holds bytes where text belongs") == (step.action.value, step.reason)
    assert [] == store.get_tokens()


def test_a_name_with_percent_signs_that_may_only_be_read(filled, do, opened):
    """They are the table's own, nothing of a driver's; SELECT on the one table is enough."""
    table = filled(ANA)
    do(f"rename table {table}.oauthtoken to {table}.`a%s %% b`")
    do("create or replace user reader identified by 'reader'")
    do(f"grant select on {table}.`a%s %% b` to reader")

    source = opened(table, "?table=a%25s%20%25%25%20b", "reader", "reader")

    assert [ANA["user_name"]] == [values[1] for _, values in source.lines()]


@pytest.mark.parametrize(
    ("user", "place", "error", "said"),
    [
        ("app", "{db}?table=x", ConfigurationError, "no table x"),
        ("app", "{db}?table=other", ConfigurationError, "from zohocrmsdk5_0 on"),
        ("app", "{empty}", ConfigurationError, "no table oauthtoken in"),
        ("app", "", ConfigurationError, "names no database"),
        ("app", "{db}?tables=x", ConfigurationError, "can't be followed.*tables"),
        ("blind", "{db}", StoreUnavailable, "lacks the privilege SELECT"),
        ("nobody", "{db}", StoreUnavailable, "user or password"),
    ],
)
def test_bad_input(*, mariadb, opened, do, user, place, error, said):
    """What is wrong has a name and says what to do; the password is not in it."""
    database, empty = make_table(mariadb), mariadb.new_database()
    do(f"create table {database}.other (id int)")
    do(f"create or replace user blind identified by '{mariadb.password}'")
    do(f"grant insert on {database}.* to blind")

    with pytest.raises(error, match=said) as caught:
        opened(place.format(db=database, empty=empty), user=user)

    assert caught.value.hint
    assert mariadb.password not in str(caught.value)


def test_the_table_goes_away(filled, opened, do):
    """Each row comes once, however often it is read; a table that is gone is a named error."""
    table = filled(*[ANA] * 5)
    source = opened(table)
    for _ in range(2):
        assert [1, 2, 3, 4, 5] == [number for number, _ in source.lines()]

    do(f"drop table {table}.oauthtoken")
    with pytest.raises(ConfigurationError, match="no table oauthtoken"):
        list(source.lines())


def test_no_password_in_a_report():
    """Neither of the URL nor as an argument, be the server away or an option wrong."""
    for url, error in (
        ("mysql://app:hunter2@127.0.0.1:1/x", StoreUnavailable),
        ("mysql://app:hunter2@127.0.0.1:1/x?nix=1", ConfigurationError),
    ):
        with pytest.raises(error) as caught:
            open_source(url, password="hunter2")
        assert "hunter2" not in reported(caught.value)
