"""A nameless row that turns out to be a user's: nothing of either is lost on the way."""

from __future__ import annotations

import traceback

import pytest
from renewal_scenario import ELSEWHERE, USER, World

from tokenkeep import Claim, Status, StoreConflict, StoreUnavailable, Token, saving
from tokenkeep.lookup import Lookup

NAMELESS = Token(client_id="client", client_secret="client secret", access_token="n1")


def a_claim(world, nonce):
    return Claim(nonce=nonce, holder=ELSEWHERE, taken_at=world.clock.now(), length=20.0)


def nameless_row(world, refresh_token="login-7/0"):
    """Store a login whose user is not known."""
    token = NAMELESS.but(refresh_token=refresh_token, expires_at=world.clock.now() - 1)
    return world.here.store.vault.save_token(token)


def test_claim_between_the_owners_write_and_the_pointer():
    """Invariant 2: the claim and the mint time move to the user's row."""
    world = World(rotates=True, kills=True)
    vault = world.here.store.vault
    row = nameless_row(world)
    point, claims = vault._rows.point, [a_claim(world, "late")]

    def interrupted(*arguments):
        if claims:
            now = world.clock.now()
            stored = vault.reread(row.id)
            mints = (*stored.renewal.mints, now)
            vault.swap(stored.with_renewal(claim=claims.pop(), mints=mints))
        point(*arguments)

    vault._rows.point = interrupted
    vault.save_token(Token(id=row.id, user=USER, client_id="client", access_token="n1"))

    assert world.stored.renewal.claim.nonce == "late"
    assert world.stored.refresh_token == "login-7/0"
    assert world.clock.now() in world.stored.renewal.mints


def test_claim_that_ended_on_the_nameless_row_does_not_stay():
    """A claim carried over by a first try goes when its holder saved before the pointer."""
    world = World()
    vault = world.here.store.vault
    row = nameless_row(world)
    vault.swap(vault.reread(row.id).with_renewal(claim=a_claim(world, "early")))
    point, answers = vault._rows.point, ["n2"]

    def interrupted(*arguments):
        if answers:
            stored = vault.reread(row.id)
            done = stored.but(access_token=answers.pop()).with_renewal(claim=None)
            vault.swap(done)
        point(*arguments)

    vault._rows.point = interrupted
    vault.save_token(Token(id=row.id, user=USER, client_id="client", access_token="n1"))

    assert world.stored.access_token == "n2"
    assert world.stored.renewal.claim is None


def test_the_owners_own_claim_stays():
    """Invariant 2: a join is no reason to ask with a refresh token that is being used."""
    world = World()
    world.write(refresh_token="login-7/0")
    world.claim()
    vault = world.here.store.vault
    now = world.clock.now()
    token = vault._locate(NAMELESS.but(refresh_token="login-7/0"))
    [identity, *_] = vault._rows.identities(token)
    row = vault._rows.insert(saving.first(token, login="another", now=now), identity)

    vault.save_token(Token(id=row.id, user=USER, client_id="client", access_token="n1"))

    assert world.stored.renewal.claim is not None


def test_what_another_refresh_token_was_used_for_does_not_count():
    """Budget and claim belong to a refresh token; a new login starts anew."""
    world = World()
    row = nameless_row(world, "login-6/0")
    vault = world.here.store.vault
    stored = vault.reread(row.id)
    vault.swap(stored.with_renewal(claim=a_claim(world, "old"), mints=(1.0, 2.0)))

    vault.save_token(
        Token(
            id=row.id,
            user=USER,
            client_id="client",
            access_token="n9",
            refresh_token="login-9/0",
        )
    )

    assert world.stored.renewal.claim is None
    assert 1.0 not in world.stored.renewal.mints


def test_revocation_of_a_dead_nameless_row_is_finished():
    """Invariant 7: what the provider has not revoked yet moves to the user's row."""
    world = World(revokes_grant=False)
    row = nameless_row(world)
    world.provider.unreachable = True
    world.here.keeper.revoke(row.id)
    world.here.store.vault.save_token(
        Token(
            id=row.id,
            user=USER,
            client_id="client",
            refresh_token="login-8/0",
            access_token="n8",
            expires_at=world.clock.now() + 1000,
        )
    )
    world.provider.unreachable = False

    assert world.here.keeper.sweep().revoked == 1
    assert world.provider.revoked == ["login-7/0"]


def test_delete_by_the_id_a_login_had_first():
    """Invariant 7: deleting by an id that has become a pointer deletes the user's row too."""
    world = World()
    row = nameless_row(world)
    vault = world.here.store.vault
    vault.save_token(Token(id=row.id, user=USER, client_id="client", access_token="n1"))

    world.here.keeper.delete(row.id)

    assert vault.find_token(Token(user=USER)) is None
    assert list(vault.iter_rows()) == []


def test_delete_a_version_by_the_id_a_login_had_first():
    """The version is that of the user's row; another one there stays, and so does the pointer."""
    world = World()
    row = nameless_row(world)
    vault = world.here.store.vault
    owner = vault.save_token(Token(id=row.id, user=USER, client_id="client", access_token="n1"))
    vault.save_token(owner.but(access_token="n2"))
    with pytest.raises(StoreConflict):
        vault.delete_token(row.id, replaces=owner.version)
    assert vault.find_token_by_id(row.id).access_token == "n2"

    vault.delete_token(row.id, replaces=vault.find_token_by_id(row.id).version)

    assert list(vault.iter_rows()) == []


def test_delete_a_version_of_pointers_in_a_circle():
    """However somebody made them, they end."""
    world = World()
    vault = world.here.store.vault
    first, second = nameless_row(world), vault.save_token(Token(user="other", refresh_token="r"))
    for row, other in ((first, second), (second, first)):
        vault._rows.swap(row.but(status=Status.MOVED, moved_to=other.id))

    with pytest.raises(StoreConflict):
        vault.delete_token(first.id, replaces="another")


def test_delete_of_a_row_that_becomes_a_pointer_meanwhile():
    """Invariant 7: the row is judged again."""
    world = World()
    row = nameless_row(world)
    vault = world.here.store.vault
    delete = vault._rows.delete

    def interrupted(token_id, *, replaces):
        vault._rows.delete = delete
        vault.save_token(Token(id=row.id, user=USER, client_id="client", access_token="n1"))
        delete(token_id, replaces=replaces)

    vault._rows.delete = interrupted
    vault.delete_token(row.id)

    assert list(vault.iter_rows()) == []


def test_no_secret_in_a_frame_while_the_store_is_down():
    """Invariant 9: a crash report of a failed lookup shows no refresh token."""
    world = World()

    def down(*_):
        raise StoreUnavailable("The database did not answer")

    world.backend.find = down
    with pytest.raises(StoreUnavailable) as caught:
        world.here.store.vault._rows.having(Lookup("refresh", "login-1/0"))

    frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb)]
    shown = [repr(value) for one in frames for value in one.values() if one is not frames[0]]
    assert not any("login-1/0" in each for each in shown)
