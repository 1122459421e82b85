"""From SQLite to any kind of store: what arrives is the same, and goes on working."""

from __future__ import annotations

import time

import pytest
from moved_tokens import fill, login

from tokenkeep import Keeper, Token
from tokenkeep.moving import Copier
from tokenkeep.token import Status

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
    """An empty store: ids are free in the one, and made of identities in the other."""
    kind = request.param
    if kind == "file":
        return open_store("file")
    server = request.getfixturevalue(_SERVERS.get(kind, "aws"))
    return open_store(server.url() if kind in _SERVERS else server.url(kind))


def content(store):
    """Return the rows of a store by their ids, without what is the store's own."""
    rows = {row.id: row.but(version=None, last_used_at=None) for row in store.iter_rows()}
    return {
        row_id: row.with_renewal(claim=None)
        for row_id, row in rows.items()
        if row.status is not Status.PENDING
    }


@each_kind
def test_there_and_back(source, other, open_store):
    """SQLite to it and back again: nothing is lost on either way, and a second run is idle."""
    rows = fill(source)
    for number in range(120):
        source.save_token(login(f"u{number}"))
    back = open_store()

    list(Copier(source, other).steps())
    list(Copier(other, back).steps())

    assert content(source) == content(other) == content(back)
    idle = {step.action.value for step in Copier(source, other).steps()}
    assert {"already there", "skipped"} == idle
    assert rows["ok"].id == other.find_token_by_id(rows["moved"].id).id
    assert rows["nameless"].id == other.find_token(Token(access_token="access x")).id


def test_a_later_run_brings_what_is_new(source, other):
    """What was renewed, revoked or logged in again in the source since gets there."""
    kept = source.save_token(login("kept"))
    gone = source.save_token(login("gone"))
    list(Copier(source, other).steps())
    at = kept.updated_at + 1
    source.swap(kept.but(access_token="later", updated_at=at))
    source.swap(gone.but(status=Status.REVOKED, access_token=None, updated_at=at))

    assert ["update", "update"] == [step.action.value for step in Copier(source, other).steps()]

    assert content(source) == content(other)


def test_a_token_too_large_for_the_target(source, aws, open_store):
    """It is told, and holds none of the others up."""
    for name in "abcd":
        source.save_token(login(name, scope="s" * (500_000 if name == "b" else 5)))
    other = open_store(aws.url("dynamodb"))

    done = {step.user: step for step in Copier(source, other).steps()}

    failed = done.pop("b")
    assert "failed" == failed.action
    assert "bytes" in failed.reason
    assert {"new"} == {step.action.value for step in done.values()}
    assert {"a", "c", "d"} == {token.user for token in other.get_tokens()}


def test_a_row_learns_its_user(source, other):
    """Copied without a name, then with one: found by its user, and by the id it always had."""
    row = source.save_token(login(user=None))
    list(Copier(source, other).steps())
    source.save_token(login(id=row.id))

    assert ["update"] == [step.action.value for step in Copier(source, other).steps()]

    assert row.id == other.find_token(Token(user="ana")).id
    assert "ana" == other.find_token_by_id(row.id).user


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
    list(Copier(source, other).steps())

    valid = Keeper(other).get(id=stored.id)

    assert zoho.is_active(valid.access_token)
    assert valid.access_token == other.find_token(Token(user=zoho.user.name)).access_token
