"""What a successful answer changes in the stored token, and what it leaves alone."""

from __future__ import annotations

import pytest
from renewal_scenario import World

from tokenkeep import ProviderUnavailable, holder

EU = "https://api.example.eu"
BESIDES = {"scope": "granted", "refresh_expires_in": 100.0, "extra": {"realm": "new"}}


def test_changes(world):
    """The access token, its end and life from when it was asked for on, and who renewed it."""
    asked = world.clock.now()
    world.provider.during.append(lambda: world.clock.advance(8))

    world.get()

    after = world.stored
    assert after.pair == ("access-2", "login-1/0")
    assert asked + 3600 == after.expires_at  # a slow answer gives no extra life
    assert (3600.0, asked) == (after.renewal.lifetime, after.renewal.renewed_at)
    assert "/" in after.renewal.renewed_by


def test_no_refresh_token_in_the_answer(rotating):
    """Invariant 3: where the answer has no refresh token the old one stays; so does all else."""
    before = rotating.write(scope="all", extra={"realm": "7"}, refresh_expires_at=2e9)
    rotating.provider.extra = {"refresh_token": None}

    rotating.get()

    assert rotating.stored.pair == ("access-2", "login-1/0")
    for name in ("scope", "extra", "refresh_expires_at", "api_domain", "client_secret", "issuer"):
        assert getattr(before, name) == getattr(rotating.stored, name)


@pytest.mark.parametrize(
    ("environment", "names", "place"),
    [
        (None, EU, (EU, "eu", "production")),
        ("sandbox", EU, ("https://api.example", None, "sandbox")),
        (None, "https://elsewhere.example", ("https://api.example", None, None)),
    ],
    ids=["a known place", "another environment's host", "one that nobody knows"],
)
def test_what_an_answer_says_besides(world, environment, names, place):
    """Scope, when the refresh token ends, what else there was; a place that may be believed."""
    world.write(extra={"kept": 1, "realm": "old"}, environment=environment)
    world.provider.places = {EU: ("eu", "production")}
    world.provider.extra = BESIDES | {"api_domain": names}

    world.get()

    after = world.stored
    assert place == (after.api_domain, after.data_center, after.environment)
    assert (world.id, "granted") == (after.id, after.scope)
    assert world.clock.now() + 100 == after.refresh_expires_at
    assert {"kept": 1, "realm": "new"} == after.extra


@pytest.mark.parametrize("unsaved", [False, True], ids=["saved at once", "by the journal"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_secret", "new"),
        ("scope", "new"),
        ("api_domain", "https://new.example"),
        ("extra", {"new": 1}),
        ("refresh_expires_at", 3e9),
        ("issuer", "https://new.example/token"),
    ],
)
def test_saved_by_somebody_else_meanwhile(rotating, name, value, unsaved):
    """A write changes only its own fields: what was stored during a renewal stays."""
    world = rotating
    world.provider.places = {EU: ("eu", "production")}
    world.provider.extra = BESIDES | {"api_domain": EU}
    world.provider.during.append(lambda: world.write(**{name: value}))
    if unsaved:
        world.here.store.before["save"].append(world.here.store.goes_down)

    world.here.keeper.get(id=world.id, client_secret="the caller's")
    world.here.store.down = False
    world.here.keeper.sweep()

    learnt = {"client_secret": "the caller's", "scope": "granted", "extra": {"realm": "new"}}
    stored = {each: getattr(world.stored, each) for each in {*learnt, name}}
    assert stored == {**learnt, name: value}
    assert ("access-2", "login-1/1") == world.stored.pair


def test_history(world):
    """The last events of its life, by whom; equal ones in a row are one."""
    me = holder.name(holder.me())
    world.down(times=2)
    for outcome in (ProviderUnavailable, ProviderUnavailable, ("access-2", "login-1/0")):
        assert outcome == world.outcome()
        world.clock.advance(10)
    world.here.keeper.revoke(world.id)

    happened = [(each.what, each.by, each.count) for each in world.stored.history]

    once = [("renewed", me, 1), ("revoked", me, 1)]
    assert happened == [("login", None, 1), ("failed", me, 2), *once]


def test_lifetime_not_told(world):
    """Without ``expires_in`` the end is not known, and the token is used until it is rejected."""
    world.provider.extra = {"expires_in": None}

    world.get()
    world.clock.advance(1_000_000)

    assert world.stored.expires_at is None
    assert world.get().access_token == "access-2"
    assert world.calls == 1


@pytest.mark.parametrize(("offset", "correction"), [(29.0, 0.0), (31.0, 31.0), (-120.0, -120.0)])
def test_clock_offset(world, offset, correction):
    """A clock that is off by more than 30 s corrects the end, and is reported; less is noise."""
    world.provider.extra = {"clock_offset": offset}

    world.get()

    assert world.clock.now() + 3600 + correction == world.stored.expires_at
    assert bool(correction) is ("clock_off" in world.here.names())


@pytest.mark.parametrize("provider", [{"rotates": True, "mint_limit": 10}, {}])
def test_mint_times_with_another_refresh_token(provider):
    """The limit is one of the refresh token: another one starts anew; none is kept without one."""
    world = World(**provider)
    world.write_renewal(mints=(world.clock.now() - 1,))

    world.get()

    assert world.stored.renewal.mints == ()


def test_same_access_token_again_after_a_conflict(world):
    """Its late save is not taken for one that was made already: the end is written, too."""
    world.provider.extra = {"access_token": "access-1"}
    world.provider.during.append(lambda: world.write(scope="all"))

    world.get()

    assert world.stored.expires_at == world.clock.now() + 3600
    assert world.stored.renewal.claim is None
