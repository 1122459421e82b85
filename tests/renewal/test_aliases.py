"""A row that turns out to be its user's: nothing of either is lost, whoever comes between."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest
from interference import Crash, after_write, before_write, crash, let_be
from renewal_scenario import USER, ByOwner, World, failing
from reported import reported

from tokenkeep import Status, StoreConflict, StoreError, StoreUnavailable, Token, TokenRevoked
from tokenkeep.backends.base import HEADER


class Move:
    """A login whose user was not known as it was saved, and the save that says whose it is."""

    def __init__(self, *, has_row=True, by_owner=False, **provider):
        self.world = world = World(backend=ByOwner() if by_owner else None, **provider)
        if not has_row:
            world.vault.delete_token(world.id)
        self.login = Token(
            client_id="client",
            client_secret="s3cret",
            access_token="n1",
            refresh_token="login-7/0",
            expires_at=world.clock.now() - 1,
        )
        self.row = world.vault.save_token(self.login)

    def save(self, **changes):
        """Save it for its user, as another process does."""
        return self.world.vault.save_token(self.login.but(user=USER, **changes))

    def crash(self, number, call=None):
        """Save it for its user in a process that ends right after its n-th write, if it comes."""
        after_write(self.world, number, crash)
        with suppress(Crash):
            (call or self.save)()
        let_be(self.world)

    @property
    def users(self):
        """The user's row."""
        return self.world.vault.find_token(Token(user=USER))

    @property
    def nameless(self):
        """The row that its first id leads to."""
        return self.world.vault.reread(self.row.id)

    @property
    def kinds(self):
        """The kinds of the records there are, but for the store's own."""
        records = self.world.backend.scan(None, 100)
        return sorted(each.kind for each in records if each.id != HEADER)


@pytest.fixture(params=product([True, False], [False, True]), ids=str)
def move(request):
    """Stores that make their ids at random or of owners; the user has a row there, or none."""
    has_row, by_owner = request.param
    return Move(has_row=has_row, by_owner=by_owner, rotates=True, kills=True)


def test_a_renewal_goes_on_in_the_users_row(move):
    """Invariant 2: its claim goes along, and its answer lands there: exactly one call."""
    world, claims = move.world, []

    def becomes_known():
        claims.append(move.nameless.renewal.claim)
        move.save()
        claims.append(move.users.renewal.claim)

    world.provider.during.append(becomes_known)

    token = world.here.keeper.get(id=move.row.id)

    assert claims[0] == claims[1] is not None
    assert ["login-7/0"] == world.provider.sent
    assert (USER, "access-2", "login-7/1") == (token.user, *token.pair)
    assert [token] == world.vault.get_tokens()
    assert token == world.there.keeper.get(id=move.row.id) == world.there.keeper.get(user=USER)
    assert token.renewal.claim is None
    assert set() == world.provider.dead


def test_an_answer_meanwhile(move):
    """An answer that is saved just before the move is not lost with the row it was saved in."""
    vault = move.world.vault
    answer = {"refresh_token": "login-7/1", "access_token": "n2"}
    before_write(move.world, 1, lambda: vault.swap(move.nameless.but(**answer)))
    vault.save_token(Token(id=move.row.id, user=USER, client_id="client", access_token="x"))

    assert ("x", "login-7/1") == move.users.pair
    assert move.users.id == move.nameless.id


def test_the_users_own_claim_stays():
    """Invariant 2: when two rows of one login become one, nobody asks for it a second time."""
    move = Move()
    move.world.write(refresh_token="login-7/0", access_token="n1")
    claimed = move.world.claim()

    move.save()

    assert [move.users] == move.world.vault.get_tokens()
    assert claimed.renewal.claim == move.users.renewal.claim


def test_a_login_goes_into_a_row_once():
    """
    However late the alias is found that a crash has left: the row notes what went in.

    The login has gone on by then, further than a row remembers.
    """
    move = Move(rotates=True, revokes_grant=False)
    world = move.world
    move.crash(2)
    for _ in range(25):
        world.here.keeper.get(user=USER)
        world.expire()

    world.here.keeper.sweep()

    assert "login-7/25" == world.stored.refresh_token
    assert "login-7/0" not in world.provider.revoked


def test_revoked_meanwhile():
    """Invariant 7: the revocation stands, and the login that came too late ends with it."""
    move = Move()
    world = move.world
    before_write(world, 2, lambda: world.here.keeper.revoke(world.id))
    with suppress(StoreError):
        move.save()

    assert (Status.REVOKED, None) == (world.stored.status, world.stored.access_token)
    world.here.keeper.sweep()
    assert {"login-1", "login-7"} == world.provider.dead
    with pytest.raises(TokenRevoked):
        world.here.keeper.get(id=move.row.id)


def test_deleted_meanwhile():
    """Invariant 7: a deleted row is not made anew; what it was to be given is revoked."""
    move = Move()
    world = move.world
    # Whoever deletes has looked for aliases before there was one.
    before_write(world, 1, lambda: move.crash(1))
    world.here.store.delete_token(world.id)

    assert move.nameless is None
    assert ["ended"] == move.kinds
    world.here.keeper.sweep()
    assert ["login-7/0"] == world.provider.revoked
    assert [] == move.kinds


def test_moved_while_it_is_deleted(move):
    """Invariant 7: the row is judged again."""
    before_write(move.world, 1, move.save)

    move.world.here.store.delete_token(move.row.id)

    assert [] == move.world.vault.get_tokens()


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("by", ["the user's id", "its first id"])
def test_deleted_after_a_crash(move, by, number):
    """Invariant 7: what a crash has left of the move does not make the deleted row anew."""
    vault = move.world.vault
    move.crash(2)
    deleted = move.users.id if by == "the user's id" else move.row.id
    move.crash(number, lambda: vault.delete_token(deleted))  # whoever deletes may end, too
    is_deleted = not move.users

    move.world.here.keeper.sweep()

    assert (move.nameless is None) is is_deleted
    assert (vault.get_tokens() == []) is is_deleted


def test_it_becomes_somebody_elses(move):
    """Invariant 8: a login that became another user's on the way stays that user's."""
    vault, bob = move.world.vault, move.login.but(user="bob", id=move.row.id)
    before_write(move.world, 1, lambda: vault.save_token(bob))

    with pytest.raises(StoreError):
        move.save()

    assert "bob" == move.nameless.user
    assert move.nameless.id == vault.find_token(Token(user="bob")).id
    assert "login-7/0" not in (move.users.refresh_token if move.users else "")


@pytest.mark.parametrize("user", [USER, None])
def test_delete_by_its_first_id(move, user):
    """
    Invariant 7: it leads to the user's row, goes with that, and a version is that one's.

    What led to it is in nobody's way who logs in again, with a name and without.
    """
    vault, keeper = move.world.vault, move.world.here.keeper
    saved = move.save()
    now = vault.save_token(saved.but(access_token="n2"))
    with pytest.raises(StoreConflict):
        keeper.store.delete_version(move.row.id, saved.version)
    assert "n2" == move.nameless.access_token

    keeper.store.delete_version(move.row.id, now.version)

    assert [] == vault.get_tokens()
    assert "row" not in move.kinds
    saved = vault.save_token(move.login.but(user=user))
    assert [saved] == vault.get_tokens()
    assert vault.find_token_by_id(saved.id).refresh_token == "login-7/0"


def test_no_secret_in_a_frame_while_the_store_is_down():
    """Invariant 9: a crash report of a failed lookup or save shows no refresh token."""
    move = Move()
    world = move.world
    world.backend.find = world.backend.write = failing(StoreUnavailable("It did not answer"))
    world.clock.advance(61)  # a renewal looks for other rows by then
    renew = lambda: world.here.keeper.get(id=move.row.id)  # noqa: E731
    find = lambda: world.vault.find_token(move.login.but(access_token=None))  # noqa: E731
    for call in (move.save, find, renew):
        with pytest.raises(StoreUnavailable) as caught:
            call()

        assert "login-7/0" not in reported(caught.value)
