"""The vault: how often it asks the backend, its cache, and where a token is valid."""

from __future__ import annotations

from base64 import b64encode

import pytest
from emulated import login
from faulty_backend import PLACE, Faulty, Server, vault_over

from tokenkeep import Keeper, KeyRing, Token
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.integrations.zoho_sdk import SDKStore

LOGIN = {"access_token": "a", "refresh_token": "r"}
BOB = Token(user="bob", refresh_token="r2", **PLACE)


@pytest.fixture
def backend():
    return Faulty()


@pytest.fixture
def vault(backend):
    return vault_over(backend)


def test_a_found_token_is_not_read_again(vault, backend):
    """Without a commit in between, a token is handed out from memory."""
    saved = vault.save_token(Token(user="ana", access_token="a"))
    for ask in (Token(id=saved.id), Token(user="ana")):
        vault.find_token(ask)
        backend.trips.clear()
        assert saved == vault.find_token(ask)
        assert [] == backend.trips


def saved(sdk, token_id):
    """Save what the SDK has read, with another access token."""
    token = sdk.find_token_by_id(token_id)
    token.set_access_token("another")
    sdk.save_token(token)


TRIPS = {
    "find by user": (lambda vault, _: vault.find_token(Token(user="ana")), "find"),
    "find by credential": (lambda vault, _: vault.find_token(Token(access_token="a")), "find"),
    "find by id": (lambda vault, row: vault.find_token_by_id(row.id), "read"),
    "reread": (lambda vault, row: vault.reread(row.id), "read"),
    "first save": (lambda vault, _: vault.save_token(BOB), "find write find"),
    "login": (lambda vault, _: vault.save_token(BOB.but(user="ana")), "find write find"),
    "update": (lambda vault, row: vault.save_token(row.but(id=None, version=None, scope="x")),
               "find write"),
    "update by id": (lambda vault, row: vault.save_token(row.but(scope="x")), "read write"),
    "nothing new": (lambda vault, row: vault.save_token(row), "read"),
    "swap": (lambda vault, row: vault.swap(row.but(scope="x")), "write"),
    "delete": (lambda vault, row: vault.delete_token(row.id), "read find delete"),
    "the SDK's look and save": (lambda vault, row: saved(SDKStore(vault), row.id),
                                "read read write"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "trips"), TRIPS.values(), ids=TRIPS)
def test_trips(call, trips):
    """A server is asked no more often than it takes."""
    backend = Server()
    row = vault_over(backend).save_token(Token(user="ana", expires_at=4e9, **LOGIN, **PLACE))
    vault = vault_over(backend)
    backend.trips.clear()

    call(vault, row)

    assert trips.split() == backend.trips


def test_trips_of_a_renewal(zoho):
    """A lookup, the claim, and the answer."""
    backend = Server()
    row = vault_over(backend).save_token(login(zoho, access_token="a", expires_at=1.0))
    for asked, looks in (({"id": row.id}, "read"), ({"user": row.user}, "find")):
        vault, keeper = vault_over(backend), Keeper(vault_over(backend))
        vault.swap(vault.reread(row.id).but(expires_at=1.0))
        backend.trips.clear()

        keeper.get(**asked)

        assert [looks, "write", "write"] == backend.trips


def test_the_cache_is_bounded(backend):
    """No more tokens are kept than were allowed: those that were asked for last."""
    vault = vault_over(backend, cache_size=3)
    ids = [vault.save_token(Token(user=f"{n}", access_token="a")).id for n in range(10)]
    for each in ids:
        vault.find_token_by_id(each)
    backend.trips.clear()

    for each in ids[::-1]:
        vault.find_token_by_id(each)

    assert ["read"] * 7 == backend.trips


def test_no_plaintext_on_disk(tmp_path):
    """No file a store leaves shows a secret, a user, an id or a key, in whatever encoding."""
    names = ("id", "user", "client_secret", "access_token", "refresh_token", "grant_token")
    token = Token(**{name: f"the-mark-{name}" for name in names}, client_id="c")
    ring = KeyRing([b"the-key-of-these-users--32-bytes"])
    with vault_over(SQLiteBackend(tmp_path / "t.db"), ring) as vault:
        saved = vault.save_token(token)
        vault.swap(saved.with_renewal(to_revoke=(("refresh_token", "the-mark-to-revoke"),)))
        open_ones = [path.read_bytes() for path in tmp_path.iterdir()]

    for data in (*open_ones, *(path.read_bytes() for path in tmp_path.iterdir())):
        for secret in (b"the-mark-", b"the-key-", b"production"):
            for form in (secret, secret.hex().encode(), b64encode(secret)[:-2]):
                assert form not in data


def test_found_by_its_api_domain(vault):
    """Known hosts and their aliases are one place; an unknown one is its own, with its port."""
    hosts = ("https://www.zohoapis.eu", "http://127.0.0.1:8001", "http://127.0.0.1:8002/crm")
    saved = [
        vault.save_token(Token(user="ana", access_token="a", api_domain=each)) for each in hosts
    ]

    asked = ("api.zoho.eu", "http://127.0.0.1:8001/", "127.0.0.1:8002")
    found = [vault.find_token(Token(user="ana", api_domain=each)) for each in asked]

    assert saved == found
