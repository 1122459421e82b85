"""Keeper: what a program asks for."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

import pytest
from renewal_scenario import USER, World, away, failing

from tokenkeep import (
    EmptyLookup,
    ProviderUnavailable,
    RenewalTimeout,
    StoreConflict,
    StoreUnavailable,
    Token,
    TokenNotFound,
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


@pytest.fixture
def refused(world, keeper):
    """An access token that the API refuses, too old for its address to be the reason."""
    token = keeper.get(id=world.id)
    world.clock.advance(61)
    return token.access_token


@pytest.mark.parametrize("answers", ["access-3", "access-2"], ids=["another", "the same again"])
def test_rejected(world, keeper, refused, answers):
    """What the API refused is renewed, once for all who report it, whatever the answer is."""
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
    """
    A deleted token is gone here; the provider keeps its grant, a missing id is silent.

    A login that came after the version that is to be deleted stays. A logout is both: revoked
    at the provider, and gone here.
    """
    older = world.stored.version
    world.login("login-2")
    with pytest.raises(StoreConflict):
        keeper.delete(world.id, replaces=older)
    assert world.stored.refresh_token == "login-2/0"

    version = world.stored.version
    assert keeper.delete(world.id, replaces=version).refresh_token == "login-2/0"
    assert keeper.delete(world.id, replaces=version) is keeper.delete(world.id) is None

    assert list(keeper.tokens()) == []
    assert (world.provider.revoked, world.here.names()) == ([], ["deleted"])
    with pytest.raises(TokenNotFound):
        keeper.end(world.id)
    ends = world.login("login-3")
    keeper.end(ends.id)
    assert list(keeper.tokens()) == []
    assert world.provider.revoked == ["login-3/0"]
    assert world.here.names() == ["deleted", "revoked", "deleted"]


def called(monkeypatch, thing, name):
    """Return a list of what each call of a method will return from now on."""
    answers, method = [], getattr(thing, name)

    def calling(*given, **by):
        answers.append(method(*given, **by))
        return answers[-1]

    monkeypatch.setattr(thing, name, calling)
    return answers


def test_tokens_stream(world, keeper, monkeypatch):
    """Invariant 13: tokens are read page by page, as they are asked for."""
    for n in range(600):
        world.login(f"login-{n}x", f"access of {n}", user=f"user{n}@example.com:1")
    pages = called(monkeypatch, world.backend, "scan")

    assert len(list(islice(keeper.tokens(), 10))) == 10
    assert [len(page) for page in pages] == [500]
    assert len(list(keeper.tokens())) == 601


@pytest.mark.parametrize("by", ["id", "user", "both"])
def test_touched_at_most_hourly(world, keeper, monkeypatch, by):
    """That a token is in use is noted once an hour, however it is asked for."""
    touched = called(monkeypatch, world.backend, "touch")
    world.write(expires_at=world.clock.now() + 1_000_000)
    asked = {"id": [{"id": world.id}], "user": [{"user": USER}]}
    asked["both"] = asked["id"] + asked["user"]

    for seconds, noted in ((3600, 1), (3599, 1), (1, 2)):
        world.clock.advance(seconds)
        for each in asked[by] * 5:
            keeper.get(**each)
        assert len(touched) == noted

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
    """
    Invariant 12: who is told of a token may ask for it, and is answered at once.

    One that fails costs nobody a token (invariant 4).
    """
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
