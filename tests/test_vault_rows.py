"""The vault: nameless rows, pointers, races, and writes of unknown outcome."""

from __future__ import annotations

import pytest
from faulty_backend import Faulty, vault_over

from tokenkeep import (
    Status,
    StoreConflict,
    StoreUnavailable,
    Token,
)
from tokenkeep.token import Claim

CLAIM = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)


@pytest.fixture
def backend():
    return Faulty()


@pytest.fixture
def vault(backend):
    return vault_over(backend)


def test_a_nameless_row_becomes_its_users(vault):
    """The row keeps its id, and takes the identity of its user: a second save finds it."""
    nameless = vault.save_token(Token(client_id="c", refresh_token="r", access_token="a"))
    named = vault.save_token(nameless.but(user="ana"))

    assert (nameless.id, "ana") == (named.id, named.user)
    assert named.identity != nameless.identity
    again = vault.save_token(Token(user="ana", client_id="c", refresh_token="r2"))
    assert (named.id, [again]) == (again.id, vault.get_tokens())


def test_a_nameless_row_stays_as_a_pointer(vault):
    """If its user has a row, that one is written, and the old id goes on working."""
    owner = vault.save_token(Token(user="ana", client_id="c", refresh_token="r1"))
    nameless = vault.save_token(Token(client_id="c", refresh_token="r2", access_token="a2"))

    named = vault.save_token(nameless.but(user="ana"))

    assert (owner.id, "r2") == (named.id, named.refresh_token)
    for find in (vault.find_token_by_id, vault.reread):
        assert named == find(nameless.id) == find(owner.id)
    assert [named] == vault.get_tokens()
    assert {Status.OK, Status.MOVED} == {row.status for row in vault.iter_rows()}
    pointer = next(row for row in vault.iter_rows() if row.status is Status.MOVED)
    assert (None, None, None) == (pointer.access_token, pointer.refresh_token, pointer.user)


def test_a_save_by_the_pointers_id_writes_the_row_it_points_to(vault):
    """A process that knows the old id saves into the user's row."""
    owner = vault.save_token(Token(user="ana", client_id="c", refresh_token="r1"))
    nameless = vault.save_token(Token(client_id="c", refresh_token="r2"))
    vault.save_token(nameless.but(user="ana"))

    after = vault.save_token(Token(id=nameless.id, access_token="late", refresh_token="r2"))

    assert (owner.id, "late") == (after.id, after.access_token)
    assert [after] == vault.get_tokens()


def test_a_pointer_to_a_deleted_row_is_nothing(vault):
    """When the user's row is deleted, the old id means nothing, and nobody else."""
    owner = vault.save_token(Token(user="ana", client_id="c", refresh_token="r1"))
    nameless = vault.save_token(Token(client_id="c", refresh_token="r2"))
    vault.save_token(nameless.but(user="ana"))

    vault.delete_token(owner.id)

    assert vault.find_token_by_id(nameless.id) is None
    assert [] == vault.get_tokens()


def test_a_pending_row_is_seen_by_nobody(vault):
    """A first login under way is no answer, is not listed, and is taken once."""
    asked = Token(client_id="c", refresh_token="r")
    pending = vault.reserve(asked, CLAIM)

    assert vault.find_token(asked) is None
    assert vault.find_token_by_id(pending.id) is None
    assert [] == vault.get_tokens()
    assert pending == vault.reserved(asked)
    with pytest.raises(StoreConflict):
        vault.reserve(asked, CLAIM)
    saved = vault.save_token(asked.but(access_token="a", user="ana"))
    assert (pending.id, Status.OK) == (saved.id, saved.status)
    assert vault.reserved(asked) is None


@pytest.mark.parametrize("stored", [False, True], ids=["insert", "update"])
def test_a_write_whose_answer_was_lost(vault, backend, stored):
    """A save that was committed although it failed is found out, and not made twice."""
    if stored:
        vault.save_token(Token(user="ana", client_id="c", refresh_token="r1"))
    backend.faults = ["answer lost"]

    saved = vault.save_token(Token(user="ana", client_id="c", refresh_token="r2"))

    assert "r2" == saved.refresh_token
    assert [saved] == vault.get_tokens()
    assert saved == vault.find_token_by_id(saved.id)


@pytest.mark.parametrize("stored", [False, True], ids=["insert", "update"])
def test_a_write_that_was_lost(vault, backend, stored):
    """A save that did not happen is raised, and what was stored is unchanged."""
    if stored:
        vault.save_token(Token(user="ana", client_id="c", refresh_token="r1"))
    before = vault.get_tokens()
    backend.faults = ["lost"]

    with pytest.raises(StoreUnavailable):
        vault.save_token(Token(user="ana", client_id="c", refresh_token="r2"))

    assert before == vault.get_tokens()


def test_a_conflict_starts_over(vault, backend):
    """A save that loses a race is merged with what the other one wrote."""
    other = vault_over(backend)
    first = vault.save_token(Token(user="ana", client_id="c", refresh_token="r"))
    backend.before_write = lambda: other.save_token(Token(id=first.id, access_token="other"))

    saved = vault.save_token(Token(id=first.id, refresh_token="r", scope="mine"))

    assert ("other", "mine") == (saved.access_token, saved.scope)


def test_two_first_saves_make_one_row(vault, backend):
    """Two processes that save the same credential for the first time make one row."""
    other = vault_over(backend)
    token = Token(client_id="c", refresh_token="r", access_token="a")
    backend.before_write = lambda: other.save_token(token)

    saved = vault.save_token(token)

    assert [saved.id] == [each.id for each in vault.get_tokens()]


def test_a_save_never_undoes_a_revocation(vault, backend):
    """A revocation that comes between a save's reading and writing stays."""
    other = vault_over(backend)
    first = vault.save_token(Token(user="ana", refresh_token="r", access_token="a"))
    backend.before_write = lambda: other.save_token(first.but(status=Status.REVOKED))

    saved = vault.save_token(Token(id=first.id, refresh_token="r", access_token="late"))

    assert (Status.REVOKED, None) == (saved.status, saved.access_token)


def test_endless_conflicts_end(vault, backend, monkeypatch):
    """A save that loses every race ends in a named error, not in a loop."""

    def conflict(*_, **__):
        raise StoreConflict("somebody was faster")

    monkeypatch.setattr(backend, "write", conflict)

    with pytest.raises(StoreUnavailable, match="Try again"):
        vault.save_token(Token(user="ana", access_token="a"))
