"""The vault: what becomes of a row between two writes, whatever the backend makes ids of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faulty_backend import PLACE, Faulty, Late, Named, vault_over

from tokenkeep import (
    DuplicateRefreshToken,
    LookupFailed,
    StaleToken,
    Status,
    StoreConflict,
    StoreUnavailable,
    Token,
)
from tokenkeep.backends.base import HEADER
from tokenkeep.lookup import first_login_of
from tokenkeep.saver import UNDER_WAY
from tokenkeep.saving import died
from tokenkeep.testing import FakeClock
from tokenkeep.token import Claim

CLAIM = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)
OTHERS = Claim(nonce="o", holder="o", taken_at=2.0, length=20.0)
ANA = Token(user="ana", refresh_token="r1", access_token="a1", **PLACE)
LATER = {"refresh_token": "r2", "access_token": "a2"}
TO_REVOKE = (("refresh_token", "r0"),)


@pytest.fixture(params=[Faulty, Named])
def backend(request):
    return request.param()


@pytest.fixture
def vault(backend):
    return vault_over(backend, clock=FakeClock())


def left(backend):
    """Return the kinds of the records that there are, but for the header."""
    return sorted(each.kind for each in backend.scan(None, 100) if each.id != HEADER)


# Somebody writes in between


@pytest.mark.parametrize("fault", ["lost", "answer lost"])
@pytest.mark.parametrize(
    ("before", "saved"),
    [(None, ANA), (ANA, ANA.but(refresh_token="r2")), (ANA, ANA.but(scope="more"))],
    ids=["insert", "login", "update"],
)
def test_a_write_without_an_answer(vault, backend, before, saved, fault):
    """One that was made is found out, and not made twice; else it is raised, and nothing was."""
    if before:
        vault.save_token(before)
    were = vault.get_tokens()
    backend.faults = [fault]

    if fault == "lost":
        with pytest.raises(StoreUnavailable):
            vault.save_token(saved)
        assert were == vault.get_tokens()
    row = vault.save_token(saved)
    assert (saved.refresh_token, saved.scope) == (row.refresh_token, row.scope)
    assert [row] == vault.get_tokens() == [vault.find_token_by_id(row.id)]


@pytest.mark.parametrize("since", ["nothing", "a note of a sweep", "a newer login"])
def test_a_refresh_token_is_in_one_row(vault, backend, monkeypatch, since):
    """
    Two users who save it at once: the later one is told, and has the login from before.

    Over a note that came in between its login goes all the same; a newer login stays.
    """
    bob = vault.save_token(ANA.but(user="bob", **LATER))
    other, find, writes = vault_over(backend), backend.find, []
    if since == "a newer login":
        writes = [lambda _: other.save_token(Token(user="bob", refresh_token="r5", **PLACE))]
    if since == "a note of a sweep":
        writes = [lambda row: other.swap(row.with_renewal(mints=(1.0,)))]

    def found_and_written(marks):
        found = find(marks)
        now = other.reread(bob.id) if writes else bob
        if now.refresh_token == "r1":
            writes.pop()(now)
        return found

    def save_anas():
        other.save_token(ANA)
        monkeypatch.setattr(backend, "find", found_and_written)

    backend.before_write = save_anas
    with pytest.raises(DuplicateRefreshToken):
        vault.save_token(Token(user="bob", refresh_token="r1", **PLACE))

    assert not writes
    assert ["ana"] == [row.user for row in other.get_tokens() if row.refresh_token == "r1"]
    after = other.reread(bob.id)
    if since == "nothing":
        assert bob.but(version=None) == after.but(version=None)
    else:
        stays = (Status.OK, "r5") if since == "a newer login" else (Status.LOGIN_NEEDED, None)
        assert stays == (after.status, after.refresh_token)


def test_endless_conflicts_end(vault, backend, monkeypatch):
    """A save that loses every race ends in a named error, not in a loop."""

    def conflict(*_, **__):
        raise StoreConflict("somebody was faster")

    monkeypatch.setattr(backend, "write", conflict)

    with pytest.raises(StoreUnavailable, match="Try again"):
        vault.save_token(ANA)


# What is no row


def test_a_first_login_under_way(vault, backend):
    """Who comes second is told whose it is; it is no token, and goes when it is given up."""
    asked = Token(refresh_token="r", **PLACE)
    version, mine = vault.hold(first_login_of(asked), CLAIM)
    other = vault_over(backend)

    assert CLAIM == mine
    assert (version, CLAIM) == other.hold(first_login_of(asked), OTHERS)
    assert vault.find_token(asked) is None
    assert [] == vault.get_tokens()
    with pytest.raises(StoreConflict):
        other.let_go(first_login_of(asked), "0" * 32)
    saved = vault.save_token(asked.but(user="ana", access_token="a"))
    vault.let_go(first_login_of(asked), version)
    vault.let_go(first_login_of(asked), version)
    assert [saved] == vault.get_tokens()
    assert ["row"] == left(backend)
    # Left by a process that ended, it is tidied up once its time is over, not before.
    vault.hold(first_login_of(asked.but(refresh_token="left")), CLAIM)
    assert [0, 1] == [vault.tidy(CLAIM.taken_at + later) for later in (19.0, 21.0)]
    assert ["row"] == left(backend)


def test_a_note(vault, backend):
    """It is written by who has read it last, is no token, and goes when it is over."""
    other = vault_over(backend)

    assert vault.note("head") is None
    first = vault.put_note("head", {"n": "1"}, replaces=None)
    with pytest.raises(StoreConflict):
        other.put_note("head", {"n": "2"}, replaces=None)
    second = other.put_note("head", {"n": "2"}, replaces=first, until=20.0)
    with pytest.raises(StoreConflict):
        vault.put_note("head", {"n": "3"}, replaces=first)
    assert (second, {"n": "2"}) == vault.note("head")
    assert [] == vault.get_tokens()
    assert not vault.drop_note("head", first)
    assert [0, 1] == [vault.tidy(at) for at in (19.0, 21.0)]
    assert not vault.drop_note("head", second)
    with pytest.raises(StoreConflict):
        vault.put_note("head", {"n": "3"}, replaces=second)
    last = vault.put_note("head", {"n": "4"}, replaces=None)
    assert vault.drop_note("head", last)
    assert [] == left(backend)


def test_a_deleted_login_of_nobody_known(vault):
    """Its credential is refused as long as the provider is to be told, a code alone too."""
    row = vault.save_token(Token(grant_token="g", access_token="a", **PLACE))
    vault.delete_token(vault.swap(died(row, Status.REVOKED, 1.0)).id)

    with pytest.raises(StaleToken):
        vault.save_token(Token(grant_token="g", access_token="a2", **PLACE))


def test_all_are_deleted_with_one_that_does_not_open(vault, backend):
    """What is to be revoked of the others is kept."""
    row = vault.swap(died(vault.save_token(ANA), Status.REVOKED, 1.0))
    other = vault.swap(
        died(vault.save_token(ANA.but(user="bob", refresh_token="r9")), Status.REVOKED, 1.0)
    )
    record = backend.read(row.id.removeprefix("tk_"))
    backend.write(replace(record, sealed=record.sealed[:-1]), replaces=record.version)

    vault_over(backend).delete_tokens()

    assert [] == vault_over(backend).get_tokens()
    assert [other.refresh_token] == [each.refresh_token for each in vault_over(backend).due(9e9)]


# Listing


def test_goes_on_behind_an_id(vault):
    """Page by page, with marks too, whether or not the last token is still there."""
    for number in range(9):
        token = ANA.but(user=f"u{number}", client_id=f"c{number % 2}")
        vault.save_token(token.but(refresh_token=f"r{number}", access_token=f"a{number}"))
    every = vault.get_tokens()
    ids = [token.id for token in every]

    for marks in ({}, {"client_id": "c1"}, {"client_id": "c1", "status": Status.OK}):
        mine = [each.id for each in every if not marks or each.client_id == "c1"]
        for at, last in enumerate(ids):
            behind = [token.id for token in vault.iter_tokens(after=last, **marks)]
            assert [each for each in mine if each in ids[at + 1 :]] == behind
    vault.delete_token(ids[3])
    assert ids[4:] == [token.id for token in vault.iter_tokens(after=ids[3])]
    for odd in ("2", "tk_0123", ""):
        with pytest.raises(LookupFailed, match="no id that a list can go on behind"):
            next(vault.iter_tokens(after=odd))


# Ids made of what a row is for


def test_what_is_listed_late():
    """It is found by all that makes it unique; what nobody could see is made one by a renewal."""
    backend, clock = Late(), FakeClock()
    ana = vault_over(backend, clock=clock).save_token(ANA)
    vault = vault_over(backend, clock=clock)
    assert ana == vault.find_token(Token(user="ana", **PLACE))
    assert vault.find_token(Token(user="bea", **PLACE)) is None
    vault.save_token(ANA.but(user=None))
    assert 2 == len(vault.get_tokens())

    backend.is_late = False
    clock.advance(UNDER_WAY)
    assert not vault.make_sole(vault.reread(ana.id))

    assert ["ana"] == [row.user for row in vault.get_tokens()]


def test_who_may_take_it_back_is_left_alone():
    """Two rows that contradict: a renewal leaves them for the minute in which one may go."""
    backend, clock = Late(), FakeClock()
    vault = vault_over(backend, clock=clock)
    vault.save_token(ANA.but(user="bob", **LATER))
    clock.advance(1.0)
    ana = vault.save_token(ANA)
    clock.advance(UNDER_WAY)
    vault.save_token(Token(user="bob", refresh_token="r1", **PLACE))
    backend.is_late = False

    assert vault.make_sole(vault.reread(ana.id))
    clock.advance(UNDER_WAY)
    assert not vault.make_sole(vault.reread(ana.id))

    assert Status.LOGIN_NEEDED is vault.reread(ana.id).status
