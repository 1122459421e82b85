"""One login in two rows, with a name and without: it is kept, renewed and revoked as one."""

from __future__ import annotations

import pytest
from faulty_backend import Faulty, vault_over

from tokenkeep import Keeper, Status, Token, TokenRevoked
from tokenkeep.token import Claim

CLAIM = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)
FULL = {"client_id": "c", "provider": "zoho", "data_center": "us", "environment": "production"}
LATER = {"access_token": "a2", "refresh_token": "r2", "expires_at": 4e9}


@pytest.fixture
def backend():
    return Faulty()


@pytest.fixture
def vault(backend):
    return vault_over(backend)


@pytest.fixture
def ana(vault):
    """A user's row with an earlier login."""
    return vault.save_token(Token(user="ana", access_token="a1", refresh_token="r1", **FULL))


@pytest.mark.parametrize("field", ["refresh_token", "grant_token", "access_token"])
def test_the_row_without_a_name_leads_to_its_users(vault, ana, field):
    """Whatever the two share, and in whatever order they were saved: one row is left."""
    nameless = vault.save_token(Token(**{field: "shared"}, **FULL))

    named = vault.save_token(Token(user="ana", **{field: "shared"}, **FULL))

    assert ana.id == named.id
    assert [named] == vault.get_tokens()
    assert named == vault.find_token_by_id(nameless.id)


def test_revoking_ends_both(vault, ana):
    """Neither the id from before nor a token of the login brings it back."""
    nameless = vault.save_token(Token(**LATER, **FULL))
    vault.save_token(Token(user="ana", **LATER, **FULL))
    keeper = Keeper(vault)

    vault.swap(saved := vault.reread(ana.id).but(status=Status.REVOKED, access_token=None))

    assert saved.user == "ana"
    for question in ({"id": nameless.id}, {"id": ana.id}, {"user": "ana"}):
        with pytest.raises(TokenRevoked):
            keeper.get(**question)
    assert vault.find_token(Token(access_token="a2")) is None


@pytest.mark.usefixtures("ana")
def test_a_renewal_under_way_goes_on_in_the_users_row(vault):
    """The claim goes along: the same refresh token is not sent twice."""
    nameless = vault.save_token(Token(**LATER, **FULL))
    vault.swap(nameless.with_renewal(claim=CLAIM, mints=(5.0,)))

    named = vault.save_token(Token(user="ana", **LATER, **FULL))

    assert CLAIM == named.renewal.claim
    assert 5.0 in named.renewal.mints


def test_revoked_without_a_name_stays_revoked(vault, ana):
    """The revoked refresh token is no new login of the user whose row has another."""
    nameless = vault.save_token(Token(**LATER, **FULL))
    vault.swap(nameless.but(status=Status.REVOKED, access_token=None))

    after = vault.save_token(Token(user="ana", **LATER, **FULL))

    assert Status.REVOKED is after.status
    assert ana == vault.reread(ana.id)


@pytest.mark.parametrize("first", ["named", "nameless"])
def test_both_are_saved_at_once(backend, vault, first):
    """Neither has seen the other before its write; the later one sees both."""
    named = Token(user="ana", **LATER, **FULL)
    nameless = named.but(user=None)
    one, other = (named, nameless) if first == "named" else (nameless, named)
    backend.before_write = lambda: vault_over(backend).save_token(other)

    vault.save_token(one)

    assert [("ana", "r2")] == [(t.user, t.refresh_token) for t in vault.get_tokens()]


def test_revoked_while_it_gets_a_name(backend, vault, ana):
    """A revocation that comes between the look and the write holds for the user's row."""
    nameless = vault.save_token(Token(**LATER, **FULL))
    dead = nameless.but(status=Status.REVOKED, access_token=None)
    backend.before_write = lambda: vault_over(backend).swap(dead)

    after = vault.save_token(Token(user="ana", **LATER, **FULL))

    assert (Status.REVOKED, None) == (after.status, after.access_token)
    assert Status.REVOKED is vault.reread(ana.id).status


@pytest.mark.usefixtures("ana")
def test_strangers_stay_apart(vault):
    """Another client's login with the same refresh token, and another login, are not joined."""
    vault.save_token(Token(**LATER, **{**FULL, "client_id": "other"}))
    vault.save_token(Token(access_token="a2", refresh_token="r3", **FULL))

    vault.save_token(Token(user="ana", **LATER, **FULL))

    assert len(vault.get_tokens()) == 3


class Between(Faulty):
    """Lets somebody in after a row is written for the first time."""

    def __init__(self):
        super().__init__()
        self.after = {}

    def write(self, record, *, replaces):
        super().write(record, replaces=replaces)
        if record.id in self.after:
            self.after.pop(record.id)()


@pytest.fixture
def between():
    return Between()


def joined(between, meanwhile, **login):
    """
    Save a login with a nameless row's id and a user who has a row already.

    *meanwhile* is called with both rows once the login is in the user's row,
    and before the nameless one leads there. Return what was saved, and a vault.
    """
    vault = vault_over(between)
    ana = vault.save_token(Token(user="ana", access_token="a0", refresh_token="r0", **FULL))
    nameless = vault.save_token(Token(access_token="a1", refresh_token="r1", **FULL))
    between.after[ana.id] = lambda: meanwhile(
        vault, vault.reread(ana.id), vault.reread(nameless.id)
    )
    return vault.save_token(Token(id=nameless.id, user="ana", **login, **FULL)), vault


def test_a_new_login_is_not_overwritten_by_the_nameless_rows(between):
    """The nameless row's own login is renewed meanwhile: the user's new one stands."""

    def renewed(vault, _, nameless):
        vault.swap(nameless.but(access_token="a1b").with_renewal(renewed_at=5.0))

    saved, _ = joined(between, renewed, **LATER)

    assert (("a2", "r2"), Status.OK) == (saved.pair, saved.status)


def test_a_new_login_does_not_end_with_the_nameless_rows(between):
    """The nameless row's login is revoked meanwhile: what the provider has to revoke is kept."""
    pending = (("refresh_token", "r1"),)

    def revoked(vault, _, nameless):
        dead = nameless.but(status=Status.REVOKED, access_token=None)
        vault.swap(dead.with_renewal(to_revoke=pending))

    saved, vault = joined(between, revoked, **LATER)

    assert (("a2", "r2"), Status.OK) == (saved.pair, saved.status)
    assert pending == saved.renewal.to_revoke
    assert [saved.id] == [token.id for token in vault.get_tokens()]


def test_another_login_meanwhile_stands(between):
    """The user logs in anew, and the nameless row is renewed: the newest login is left."""

    def both(vault, _, nameless):
        vault.save_token(Token(user="ana", access_token="a9", refresh_token="r9", **FULL))
        vault.swap(nameless.but(access_token="a1b"))

    saved, _ = joined(between, both, access_token="a1", refresh_token="r1")

    assert ("a9", "r9") == saved.pair


def test_a_renewal_of_the_users_row_stands(between):
    """The user's row is renewed, and the nameless one written: the older pair does not return."""

    def both(vault, ana, nameless):
        vault.swap(ana.but(access_token="a3", refresh_token="r3"))
        vault.swap(nameless.with_renewal(mints=(7.0,)))

    saved, _ = joined(between, both, **LATER)

    assert ("a3", "r3") == saved.pair


def test_the_living_refresh_token_lifts_the_users_row(between):
    """The nameless row's renewal has rotated, and the spent token was rejected for the user's."""

    def rotated(vault, ana, nameless):
        vault.swap(nameless.but(access_token="a2", refresh_token="r2"))
        vault.swap(ana.but(status=Status.LOGIN_NEEDED))

    saved, vault = joined(between, rotated, access_token="a1", refresh_token="r1")

    assert (("a2", "r2"), Status.OK) == (saved.pair, saved.status)
    assert saved == vault.find_token(Token(user="ana"))
