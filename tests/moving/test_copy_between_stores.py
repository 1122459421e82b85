"""From SQLite to any kind of store: what arrives is the same, and goes on working."""

from __future__ import annotations

import time

import pytest
from moved_tokens import copied, fill, login

from tokenkeep import Keeper, Token
from tokenkeep.backends.base import HEADER

KINDS = (
    "file", "mysql", "postgresql", "redis", "aws-secretsmanager", "dynamodb",
)  # fmt: skip
_SERVERS = {"mysql": "mariadb", "postgresql": "postgres", "redis": "redis_server"}


@pytest.fixture(params=["postgresql", "aws-secretsmanager"])
def other(request, open_store):
    """An empty store: ids are free in the one, and made of owners in the other."""
    kind = request.param
    if kind == "file":
        return open_store("file")
    server = request.getfixturevalue(_SERVERS.get(kind, "aws"))
    return open_store(server.url() if kind in _SERVERS else server.url(kind))


def content(store):
    """Return the rows of a store by whose they are, without what is the store's own."""
    own = {"id": None, "version": None, "owner": None, "last_used_at": None}
    rows = {row.user or row.refresh_token: row.but(**own) for row in store.get_tokens()}
    return {name: row.with_renewal(claim=None) for name, row in rows.items()}


@pytest.mark.parametrize(
    "other",
    # AWS as it is emulated takes half a minute for so many.
    [*KINDS[:4], *(pytest.param(kind, marks=pytest.mark.slow(part="ci")) for kind in KINDS[4:])],
    indirect=True,
)
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


def test_it_goes_on_working(source, other, zoho):
    """A copied token is renewed in its new place, by its old id, without a new login."""
    stored = source.save_token(
        Token(
            user=zoho.user.name,
            client_id=zoho.client.client_id,
            client_secret=zoho.client.client_secret,
            refresh_token=zoho.refresh_token(),
            access_token="expired",
            expires_at=time.time() - 60,
            api_domain=zoho.us.api_url,
            issuer=zoho.us.token_url,
        )
    )
    copied(source, other)

    valid = Keeper(other).get(id=stored.id)

    assert zoho.is_active(valid.access_token)
    assert valid.access_token == other.find_token(Token(user=zoho.user.name)).access_token
