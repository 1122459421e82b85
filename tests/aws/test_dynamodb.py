"""DynamoDB: what is asked of it, what lies in the table, and what becomes of failures."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nextafter
from threading import Barrier, Lock

import pytest
from aws_proxy import COMING, GOING, refusal
from aws_records import found, row

from tokenkeep import StoreConflict, StoreForeign, StoreUnavailable
from tokenkeep.backends import open_backend
from tokenkeep.backends.base import MARKS
from tokenkeep.backends.rows import in_order
from tokenkeep.testing.records import digits


@pytest.fixture
def service():
    return "dynamodb"


def cancelled(*codes):
    status, answer = refusal("TransactionCanceledException", f"Transaction cancelled {codes}")
    return status, {**answer, "CancellationReasons": [{"Code": code} for code in codes]}


# What is asked


def test_every_read_is_consistent(watched, proxy):
    """No read may be answered with what was: neither of records nor of indexes."""
    watched.write(row(access="a", user="u"), replaces=None)
    watched.write(row(version="2", access="b", user="u"), replaces=digits("1"))
    watched.find([("user", digits("u")), ("owner", row().owner)])
    watched.scan(None, 10)
    watched.scan(None, 10, mark=("user", digits("u")))
    watched.due(5.0, 10)

    asked = proxy.sent("GetItem") + proxy.sent("Query")
    assert len(asked) > 5
    assert all(each["ConsistentRead"] for each in asked)


def test_only_what_changed_is_written(watched, proxy):
    """A claim on a token costs one item; a renewal the new access token's and the old one's."""
    some = {**{mark: mark for mark in MARKS}, "due_at": 5.0}
    watched.write(row(**some), replaces=None)
    assert {"TransactWriteItems"} == set(proxy.operations())  # whole with its index items
    watched.write(row(version="2", **some), replaces=digits("1"))
    watched.write(row(version="3", **some | {"access": "b"}), replaces=digits("2"))
    watched.write(row(version="4", **some | {"access": "b", "due_at": 6.0}), replaces=digits("3"))

    kinds = [
        sorted(kind for each in sent["TransactItems"] for kind in each)
        for sent in proxy.sent("TransactWriteItems")
    ]
    changed = ["Delete", "Put", "Put"]
    assert [["Put"] * (2 + len(MARKS) + 1), ["Put"], changed, changed] == kinds


def test_any_number_of_marks_is_found_in_two_trips(watched, proxy):
    """Indexes are asked all at once, and so are records: nobody waits for one after another."""
    watched.write(row(user="u", refresh="r"), replaces=None)
    watched.write(row("two", user="u"), replaces=None)
    marks = [("owner", row().owner), ("id", row().id)]
    marks += [(mark, digits(mark[0])) for mark in MARKS]
    indexes, records = Barrier(len(MARKS) + 1), Barrier(2)

    proxy.faults.update(
        Query=(lambda: (indexes.wait(10), None)[1],),
        GetItem=(lambda: (records.wait(10), None)[1],),
    )

    assert {row(user="u", refresh="r"), row("two", user="u")} == set(watched.find(marks))


@pytest.mark.parametrize(
    "ask",
    [
        lambda at: found(at, "user", "u"),
        lambda at: at.scan(None, 3, mark=("user", digits("u"))),
        lambda at: at.due(5.0, 3),
    ],
    ids=["find", "scan", "due"],
)
def test_what_was_written_since_its_index_was_read(watched, proxy, backend, ask):
    """It is not found by what it is no longer, and a page is full nevertheless."""
    first, *rest = sorted((row(each, user="u", due_at=5.0) for each in "abcd"), key=by_id)
    for each in (first, *rest):
        backend.write(each, replaces=None)
    changed = replace(first, version=digits("2"), user=digits("v"), due_at=4.0)
    lock, done = Lock(), []

    def change():
        with lock:  # before any of them is read
            if not done:
                backend.write(changed, replaces=first.version)
                done.append(True)

    proxy.faults["GetItem"] = (change,)

    assert rest == sorted(ask(watched), key=by_id)


def by_id(each):
    return each.id


def test_nothing_is_due_before_what_was_seen(backend):
    """Who goes on behind what is later than all that is asked for gets nothing, and no error."""
    backend.write(row(due_at=5.0), replaces=None)

    assert [] == backend.due(4.5, 10) == backend.due(4.5, 10, after=(4.75, row().id))


def test_times_lie_in_their_order():
    """Also before the epoch, to the last bit, and up to the end of time."""
    times = [-1e300, -2.5, -0.1, 0.0, 5e-324, 0.1, 1.0, 1.7e9, nextafter(1.7e9, 2e9), inf]

    assert times == sorted(times, key=in_order)
    assert len(set(map(in_order, times))) == len(times)


def test_nothing_is_left_over(backend, client, place):
    """Whatever is written and deleted, the table holds what belongs to its records."""

    def items():
        return client.scan(TableName=place, ConsistentRead=True)["Items"]

    backend.write(row(access="a", user="u", due_at=4.0), replaces=None)
    backend.write(row(version="2", access="b", due_at=5.0, owner="new"), replaces=digits("1"))
    backend.write(row("other", refresh="r"), replaces=None)
    with pytest.raises(StoreConflict):
        backend.write(row("third", owner="new", access="x"), replaces=None)
    backend.touch(row().id, 5.0)

    assert 4 + 3 == len(items())
    backend.delete(row().id)
    assert 1 == backend.clear()
    assert [] == items()


# Failures


# moto's server does not know requests again by their tokens: {} is what AWS would answer.
@pytest.mark.parametrize(
    ("faults", "sent", "tokens"),
    [
        ([COMING, COMING], 3, 1),
        ([GOING, {}], 2, 1),
        ([GOING, refusal("TransactionInProgressException"), {}], 3, 1),
        ([cancelled("TransactionConflict", None)], 2, 2),
    ],
    ids=["request lost", "answer lost", "still being done", "others in the way"],
)
def test_a_write_is_sent_again(watched, proxy, faults, sent, tokens):
    """Under its token, by which AWS knows it again; as a new one if it met another transaction."""
    proxy.faults.update(TransactWriteItems=faults, GetItem=[COMING])

    watched.write(row(), replaces=None)

    requests = [each["ClientRequestToken"] for each in proxy.sent("TransactWriteItems")]
    assert (sent, tokens) == (len(requests), len(set(requests)))
    assert row() == watched.read(row().id)


@pytest.mark.parametrize(
    ("faults", "error", "said", "stored"),
    [
        ((GOING,), StoreUnavailable, "can't be asked|did not answer", True),
        ((cancelled("None", "TransactionConflict"),), StoreUnavailable, "others kept", False),
        ([cancelled("ConditionalCheckFailed", "TransactionConflict")], StoreConflict, None, False),
        (
            [cancelled("ValidationError")],
            StoreUnavailable,
            "refused the transaction .ValidationError",
            False,
        ),
    ],
    ids=["no answer", "others in the way for ever", "a condition", "refused for itself"],
)
@pytest.mark.usefixtures("no_waiting")
def test_a_write_that_fails(watched, proxy, faults, error, said, stored):  # noqa: PLR0917
    """Only a condition is a conflict, and that is not tried again."""
    proxy.faults["TransactWriteItems"] = faults

    with pytest.raises(error, match=said):
        watched.write(row(), replaces=None)

    assert stored == (watched.read(row().id) is not None)
    assert isinstance(faults, tuple) or 1 == len(proxy.sent("TransactWriteItems"))


def test_another_programs_table(client, url, place):
    """A table with other keys is refused as what it is."""
    client.create_table(
        TableName=f"{place}2",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )

    with pytest.raises(StoreForeign, match="other keys"):
        open_backend(url.replace(place, f"{place}2")).read(row().id)
