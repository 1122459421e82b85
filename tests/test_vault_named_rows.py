"""The vault over a store whose ids are made of identities, and which finds late."""

from __future__ import annotations

import threading

import pytest
from faulty_backend import Faulty, vault_over

from tokenkeep import Status, StoreConflict, Token
from tokenkeep.token import Claim

CLAIM = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)
FULL = {"client_id": "c", "provider": "zoho", "data_center": "us", "environment": "production"}


class Named(Faulty):
    """The id is made of the identity; a row of another id must not come."""

    strict = True

    def id_for(self, identity):
        return f"of {identity}"

    def write(self, record, *, replaces):
        assert not self.strict or record.id == self.id_for(record.identity)
        super().write(record, replaces=replaces)


class Late(Named):
    """Nothing is found but by identity."""

    finds_late = True

    def find(self, field, values):
        return super().find(field, values) if field == "identity" else []


@pytest.fixture(params=[Named, Late])
def backend(request):
    return request.param()


@pytest.fixture
def vault(backend):
    return vault_over(backend)


def statuses(vault):
    return sorted(row.status.value for row in vault.iter_rows())


def test_the_same_thing_has_the_same_id(vault, backend):
    """Whoever saves a user's token makes the same row, again after it was deleted."""
    one = vault.save_token(Token(user="ana", refresh_token="r1", **FULL))
    vault.delete_token(one.id)
    again = vault_over(backend).save_token(Token(user="ana", refresh_token="r2", **FULL))

    assert one.id == again.id == f"of {again.identity}"
    assert one.version != again.version
    with pytest.raises(StoreConflict):
        vault.swap(one)
    assert "r2" == vault.reread(one.id).refresh_token


def test_a_nameless_row_leads_to_its_users(vault):
    """A row can't take its user's identity: that row is made, and the old id leads there."""
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))
    named = vault.save_token(nameless.but(user="ana"))

    assert nameless.id != named.id
    assert ("ana", "r", "a") == (named.user, named.refresh_token, named.access_token)
    assert named == vault.find_token_by_id(nameless.id)
    assert [named] == vault.get_tokens()
    assert ["moved", "ok"] == statuses(vault)
    assert named == vault.save_token(Token(user="ana", refresh_token="r", **FULL))


def test_a_renewal_goes_on_in_the_users_row(vault):
    """The claim and the calls that were counted go with the row, so nobody renews it twice."""
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))
    claimed = vault.swap(nameless.with_renewal(claim=CLAIM, mints=(5.0,)))

    named = vault.save_token(Token(id=nameless.id, user="ana", access_token="a", **FULL))

    assert CLAIM == named.renewal.claim
    assert claimed.renewal.mints == named.renewal.mints


def test_a_pending_row_leads_to_the_login(vault):
    """A first login that brings the user makes its row; what was reserved leads there."""
    asked = Token(refresh_token="r", **FULL)
    pending = vault.reserve(asked, CLAIM)
    saved = vault.save_token(asked.but(user="ana", access_token="a"))

    assert vault.reserved(asked) is None
    assert saved == vault.find_token(asked)
    assert saved == vault.find_token(Token(user="ana", **FULL))
    assert saved == vault.find_token_by_id(pending.id)
    with pytest.raises(StoreConflict):
        vault.reserve(asked, CLAIM)


def test_two_learn_the_user_at_once(vault, backend):
    """One row is made of it, whoever is first; both ids lead there."""
    other = vault_over(backend)
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))
    backend.before_write = lambda: other.save_token(nameless.but(user="ana"))

    named = vault.save_token(nameless.but(user="ana"))

    assert [named] == vault.get_tokens()
    assert ["moved", "ok"] == statuses(vault)


def test_the_user_logs_in_meanwhile(vault, backend):
    """The user's own row, made in between, is the one; what it holds is merged, not lost."""
    other = vault_over(backend)
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))
    login = Token(user="ana", refresh_token="r2", access_token="a2", **FULL)
    backend.before_write = lambda: other.save_token(login)

    named = vault.save_token(nameless.but(user="ana"))

    assert [named.id] == [each.id for each in vault.get_tokens()]
    assert named.id == vault.find_token_by_id(nameless.id).id


def test_many_threads_learn_the_user(vault, backend):
    """However many race, one row and one pointer are left."""
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))
    start = threading.Barrier(8)
    ids = []

    def learn():
        mine = vault_over(backend)
        start.wait(10)
        ids.append(mine.save_token(nameless.but(user="ana")).id)

    threads = [threading.Thread(target=learn) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8 == len(ids)
    assert 1 == len(set(ids))
    assert ["moved", "ok"] == statuses(vault)


def test_a_revocation_in_between_stands(vault, backend):
    """The nameless row revoked while its user's row is made: what is revoked is not handed out."""
    other = vault_over(backend)
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))

    def revoke_before_the_pointer():
        backend.before_write = lambda: other.save_token(nameless.but(status=Status.REVOKED))

    backend.before_write = revoke_before_the_pointer

    named = vault.save_token(Token(id=nameless.id, user="ana", access_token="a", **FULL))

    assert Status.REVOKED == named.status
    assert all(each.status is not Status.OK for each in vault.get_tokens())


def test_a_copied_row_keeps_its_id(backend, vault):
    """A row with a random id, from another store, is saved over and not made a second time."""
    elsewhere = Faulty()
    one = vault_over(elsewhere).save_token(Token(user="ana", refresh_token="r1", **FULL))
    backend.strict = False
    backend.write(elsewhere.read(one.id), replaces=None)

    after = vault.save_token(Token(user="ana", refresh_token="r2", **FULL))

    assert (one.id, [after]) == (after.id, vault.get_tokens())


def test_what_is_listed_late_is_found_by_what_it_is_for():
    """A lookup that names all that makes a token unique does not wait for lists."""
    late = Late()
    saved = vault_over(late).save_token(Token(user="ana", refresh_token="r", **FULL))
    vault = vault_over(late)

    assert saved == vault.find_token(Token(user="ana", **FULL))
    assert vault.find_token(Token(user="bea", **FULL)) is None
    assert vault.find_token(Token(user="ana", client_id="other")) is None
