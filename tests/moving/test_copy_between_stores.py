"""From SQLite to any kind of store: what arrives is the same, and goes on working."""

from __future__ import annotations

import pytest
from moved_tokens import copied, fill, login

from tokenkeep import Token
from tokenkeep.backends.base import HEADER

AWS = ("secretsmanager", "dynamodb")
"""As it is emulated it takes half a minute for so many."""


@pytest.fixture(
    params=[
        *("file", "mariadb", "postgres", "redis_server"),
        *(pytest.param(kind, marks=pytest.mark.slow(part="ci")) for kind in AWS),
    ]
)
def other(request, open_store):
    """An empty store of each kind."""
    kind = request.param
    if kind == "file":
        return open_store("file")
    if kind in AWS:
        return open_store(request.getfixturevalue("aws").url(kind))
    return open_store(request.getfixturevalue(kind).url())


def content(store):
    """Return the rows of a store by whose they are, without what is the store's own."""
    own = {"id": None, "version": None, "owner": None, "last_used_at": None}
    rows = {row.user or row.refresh_token: row.but(**own) for row in store.get_tokens()}
    return {name: row.with_renewal(claim=None) for name, row in rows.items()}


def test_there_and_back(source, other, open_store):
    """SQLite to it and back again: nothing is lost on either way, and a second run is idle."""
    rows, ids = fill(source)
    for number in range(20):
        source.save_token(login(f"u{number}"))
    back = open_store()

    copied(source, other)
    copied(other, back)

    assert content(source) == content(other) == content(back)
    again = {step.row.token.user: step.action.value for step in copied(source, other)}
    # A deleted row, whose revocation the provider has not confirmed, is for the source's sweep.
    assert "skipped" == again.pop("gone")
    assert {"already there"} == {*again.values()}
    ours, theirs = (each.backend.scan(None, 1000) for each in (source, back))
    assert "lease" not in {record.kind for record in theirs}
    # Each seals under keys of its own, and its digests are its own: nothing is comparable.
    for field in ("owner", "sealed", "user", "refresh"):
        both = [{getattr(each, field) for each in records} for records in (ours, theirs)]
        assert both[0] & both[1] <= {None, HEADER}
    for store in (other, back):
        assert {None} == {row.renewal.claim for row in store.get_tokens()}
        leads = {row.id: row.user for row in rows.values()}
        leads |= {ids["former"]: "ok", ids["callers"]: "busy"}
        assert leads == {each: store.find_token_by_id(each).user for each in leads}
        assert "refresh x" == store.find_token(Token(access_token="access x")).refresh_token
