"""From SQLite to any kind of store: what arrives is the same, and goes on working."""

from __future__ import annotations

import time

import pytest
from moved_tokens import NOW, copied, fill, login

from tokenkeep import Keeper, Token

KINDS = (
    "file", "mysql", "postgresql", "redis", "aws-secretsmanager", "dynamodb",
)  # fmt: skip
ON_AWS = KINDS[-2:]
_SERVERS = {"mysql": "mariadb", "postgresql": "postgres", "redis": "redis_server"}


each_kind = pytest.mark.parametrize(
    "other",
    [
        # AWS as it is emulated takes half a minute for so many.
        pytest.param(kind, marks=pytest.mark.slow(part="ci") if kind in ON_AWS else ())
        for kind in KINDS
    ],
    indirect=True,
)


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
    rows = {
        row.user or row.refresh_token: row.but(
            id=None, version=None, owner=None, last_used_at=None
        )
        for row in store.get_tokens()
    }
    return {name: row.with_renewal(claim=None) for name, row in rows.items()}


@each_kind
def test_there_and_back(source, other, open_store):
    """SQLite to it and back again: nothing is lost on either way, and a second run is idle."""
    rows, ids = fill(source)
    for number in range(20):
        source.save_token(login(f"u{number}"))
    back = open_store()

    copied(source, other)
    copied(other, back)

    assert content(source) == content(other) == content(back)
    assert {"already there"} == {step.action.value for step in copied(source, other)}
    for store in (other, back):
        leads = {row.id: row.user for row in rows.values()}
        leads |= {ids["former"]: "ok", ids["callers"]: "busy"}
        assert leads == {each: store.find_token_by_id(each).user for each in leads}
        assert (
            rows["nameless"].refresh_token
            == store.find_token(Token(access_token="access x")).refresh_token
        )
        ended = [row.renewal.to_revoke for row in store.due(NOW * 2) if row.ended]
        assert [(("refresh_token", "refresh gone"),)] == ended


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
