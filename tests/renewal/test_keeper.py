"""Keeper: what a program asks for; what it deletes and revokes stays so."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from unittest.mock import Mock

import pytest
from interference import after_write
from renewal_scenario import USER, World, away, failing

from tokenkeep import (
    EmptyLookup,
    ProviderUnavailable,
    RenewalTimeout,
    Status,
    StoreConflict,
    StoreUnavailable,
    Token,
    TokenNotFound,
    TokenRevoked,
)
from tokenkeep.renewal import Ask


def test_get_and_renew(world, keeper):
    """A token is found by its user, and renewed if it has to be, or has been asked for."""
    assert keeper.get(user=USER).access_token == "access-2"
    assert keeper.get(Token(user=USER)).id == world.id
    assert world.calls == 1

    assert keeper.renew(world.id).access_token == "access-3" == world.stored.access_token
    event = world.here.events[-1]
    assert (event.name, event.token_id, event.user) == ("renewed", world.id, USER)
    assert event.at == world.clock.now()


def test_get_nothing(keeper):
    """An unknown user, an unknown id, an empty question and two at once are named errors."""
    with pytest.raises(TokenNotFound, match="tokenkeep list"):
        keeper.get(user="nobody")
    with pytest.raises(TokenNotFound):
        keeper.get(id="no such id")
    with pytest.raises(EmptyLookup):
        keeper.get()
    # What would be left out may have been meant to tell two users apart.
    with pytest.raises(TypeError, match="not both"):
        keeper.get(Token(refresh_token="r", client_id="c"), user=USER)


@pytest.mark.parametrize("answers", ["access-3", "access-2"], ids=["another", "the same again"])
def test_rejected(world, keeper, answers):
    """What the API refused is renewed, once for all who report it, whatever the answer is."""
    refused = keeper.get(id=world.id).access_token
    world.clock.advance(61)  # else it is too young to be the reason
    world.provider.extra = {"access_token": answers}
    theirs = []
    world.here.store.before["claim"].append(
        lambda: theirs.append(world.there.keeper.rejected(world.id, refused))
    )

    assert keeper.rejected(world.id, refused).access_token == theirs[0].access_token == answers
    assert world.calls == 2
    ask = Ask(rejected=refused, client_secret="hidden")
    assert not any(secret in repr(ask) for secret in (refused, "hidden"))


def test_delete(world, keeper):
    """Deleted, it is gone here, if it is that version; a logout revokes it as well."""
    older = world.stored.version
    world.login("login-2")
    with pytest.raises(StoreConflict):
        keeper.store.delete_version(world.id, older)
    assert keeper.delete(world.id).refresh_token == "login-2/0"
    assert keeper.delete(world.id) is None
    keeper.store.delete_version(world.id, older)
    assert list(keeper.tokens()) == []
    assert (world.provider.revoked, world.here.names()) == ([], ["deleted"])

    with pytest.raises(TokenNotFound):
        keeper.end(world.id)
    keeper.end(world.login("login-3").id)
    assert list(keeper.tokens()) == []
    assert world.provider.revoked == ["login-3/0"]
    assert world.here.names() == ["deleted", "revoked", "deleted"]


def test_tokens_stream(world, keeper):
    """Invariant 13: tokens are read page by page, as they are asked for."""
    for n in range(501):
        world.login(f"login-{n}x", f"access of {n}", user=f"user{n}@example.com:1")
    scan = world.backend.scan = Mock(wraps=world.backend.scan)

    assert len(list(islice(keeper.tokens(), 10))) == 10
    assert scan.call_count == 1
    assert len(list(keeper.tokens())) == 502
    assert scan.call_count == 1 + 2


@pytest.mark.parametrize("asked", [["id"], ["user"], ["id", "user"]])
def test_touched_at_most_hourly(world, keeper, asked):
    """That a token is in use is noted once an hour, however it is asked for."""
    touch = world.backend.touch = Mock(wraps=world.backend.touch)
    world.write(expires_at=world.clock.now() + 1_000_000)

    for seconds, noted in ((3600, 1), (3599, 1), (1, 2)):
        world.clock.advance(seconds)
        for by in asked * 5:
            keeper.get(**{by: {"id": world.id, "user": USER}[by]})
        assert touch.call_count == noted

    assert world.stored.last_used_at == world.clock.now()


def test_save():
    """What a login replaces is revoked at once if it was got here; out of reach, by a sweep."""
    world = World(revokes_grant=False)
    keeper = world.here.keeper
    login = Token(user=USER, client_id="client")
    for number in (2, 3, 4):
        world.provider.unreachable = number == 4
        keeper.save(login.but(refresh_token=f"login-{number}/0", grant_token=f"code {number}"))

    assert world.provider.revoked == ["login-2/0"]
    world.provider.unreachable = False
    assert keeper.sweep().revoked == 1
    assert world.provider.dead == {"login-2", "login-3"}


@pytest.mark.parametrize("last", ["transient", "store", "unjournaled"])
def test_listener_that_asks_for_the_same_token(killing, last):
    """Invariant 12: who is told of a token may ask for it, or fail, and holds nobody up."""
    world, told = killing, {}
    if last == "unjournaled":
        world.here.journal.put = failing(StoreUnavailable("The disk is full"))
        world.provider.extra = {"clock_offset": 3600.0}
    else:
        world.down()
    if last == "store":  # the claim stays
        world.here.store.before["release"].append(away)

    def ask(event):
        began = world.clock.monotonic()
        with suppress(RenewalTimeout, ProviderUnavailable):
            world.get()
        told[event.details.get("kind", event.name)] = world.clock.monotonic() - began
        raise RuntimeError(event.name)

    world.here.listeners.append(ask)

    expected = ("access-2", "login-1/1") if last == "unjournaled" else ProviderUnavailable
    assert expected == world.outcome()
    assert told[last] == 0.0
    assert last != "unjournaled" or {"clock_off", "renewed"} <= told.keys()


# REVOKER: revoked here at once, and at the provider until it confirms.


@pytest.mark.parametrize("refresh_token", ["login-1/0", None])
def test_revoke(world, keeper, refresh_token):
    """Invariant 7: when `revoke` returns nobody hands the token out, warm caches or not."""
    world.write(refresh_token=refresh_token, expires_at=world.clock.now() + 3600)
    world.get(world.there)
    seen, revoke = [], world.provider.revoke
    world.provider.revoke = lambda token: (seen.append(world.stored.status), revoke(token))

    revoked = keeper.revoke(world.id)

    assert seen == [Status.REVOKED]
    assert (revoked.status, revoked.access_token) == (Status.REVOKED, None)
    assert revoked.renewal.to_revoke == ()
    assert world.provider.revoked == [refresh_token or "access-1"]
    for actor in (world.here, world.there):
        with pytest.raises(TokenRevoked):
            world.get(actor)


def test_revoke_starts_over_on_a_conflict(world, keeper):
    """A renewal that is saved just before does not keep its tokens alive."""
    world.here.store.before["revoke"].append(world.step("log in"))

    keeper.revoke(world.id)
    keeper.revoke(world.id)  # has nothing left to do

    assert world.stored.status is Status.REVOKED
    assert world.provider.revoked == ["login-1/0", "login-2/0"]


def test_revoke_that_is_no_success(world, keeper):
    """What is not there, or can't be written, is an error: somebody expects it to be gone."""
    with pytest.raises(TokenNotFound):
        keeper.revoke("no such id")
    world.here.store.before["revoke"].append(away)
    with pytest.raises(StoreUnavailable):
        keeper.revoke(world.id)

    assert world.provider.revoked == []


# RE-LOGIN: a save that brings tokens of another login.


def test_committed_and_then_revoked(world):
    """Invariant 7: a driver that tries again by itself lifts no revocation that came after it."""
    fails = failing(StoreConflict("Another version"))
    after_write(world, 1, lambda: (world.step("revoke")(), fails()))

    saved = world.login("login-2", "newer", left=3600)

    assert saved.status is world.stored.status is Status.REVOKED
    assert world.stored.access_token is None


def test_outcome_unknown_then_another_login(world):
    """Invariant 7: what another login has written is not taken for one's own, nor written over."""
    after_write(world, 1, lambda: (world.login("login-3", "newest", left=3600), away()))

    with pytest.raises(StoreUnavailable):
        world.login("login-2", "newer", left=3600)

    assert world.stored.pair == ("newest", "login-3/0")
