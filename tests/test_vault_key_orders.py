"""While keys are rotated, hosts differ in which is the newest: they still see each other."""

from __future__ import annotations

import pytest
from faulty_backend import Faulty

from tokenkeep import KeyRing, StoreConflict, Token, Vault
from tokenkeep.token import Claim

OLD, NEW = bytes(32), bytes([1]) * 32
FULL = {"client_id": "c", "provider": "zoho", "data_center": "us", "environment": "production"}
ASKED = Token(refresh_token="r", **FULL)


def claim(name):
    return Claim(nonce=name, holder=name, taken_at=1.0, length=20.0)


@pytest.fixture
def backend():
    return Faulty()


@pytest.fixture
def hosts(backend):
    """One that seals with the new key already, and one that only opens with it."""
    return Vault(backend, KeyRing([NEW, OLD])), Vault(backend, KeyRing([OLD, NEW]))


@pytest.mark.parametrize("turn", [1, -1])
def test_one_logs_in(hosts, turn):
    """A first login that one host has begun is seen by the other."""
    one, other = hosts[::turn]
    pending = one.reserve(ASKED, claim("one"))

    with pytest.raises(StoreConflict):
        other.reserve(ASKED, claim("other"))

    assert pending.id == other.reserved(ASKED).id
    assert pending.id == other.save_token(ASKED).id
    assert [pending.id] == [row.id for row in one.iter_rows()]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_at_once_one_logs_in(hosts, backend, turn):
    """Both looked before either wrote: one row stays, and one of the two is told so."""
    one, other = hosts[::turn]
    results = []

    def reserve(vault, name):
        try:
            results.append(vault.reserve(ASKED, claim(name)).id)
        except StoreConflict:
            results.append(None)

    backend.before_write = lambda: reserve(other, "other")

    reserve(one, "one")

    (left,) = one.iter_rows()
    assert sorted(results, key=str) == sorted([left.id, None], key=str)


def test_a_login_without_a_name_is_one_row(hosts):
    """Saved on one host and on the other, and found on both."""
    one, other = hosts
    saved = one.save_token(ASKED)

    assert saved.id == other.save_token(ASKED.but(access_token="a")).id
    assert saved.id == one.find_token(ASKED).id
