"""What a successful answer changes in the stored token, and what it leaves alone."""

from __future__ import annotations

import pytest
from renewal_scenario import World

from tokenkeep import ProviderRefused, ProviderUnavailable


def test_changes(world):
    """The access token, its end and life, and who renewed it when."""
    world.get()

    after = world.stored
    assert after.pair == ("access-2", "login-1/0")
    assert world.clock.now() + 3600 == after.expires_at
    assert (3600.0, world.clock.now()) == (after.renewal.lifetime, after.renewal.renewed_at)
    assert "/" in after.renewal.renewed_by


def test_no_refresh_token_in_the_answer(rotating):
    """Invariant 3: where the answer has no refresh token the old one stays."""
    rotating.provider.extra = {"refresh_token": None}

    rotating.get()

    assert rotating.stored.pair == ("access-2", "login-1/0")


def test_api_domain_of_an_answer(world):
    """What an answer says about the API never changes whose and where a token is."""
    before = world.stored
    world.provider.extra = {"api_domain": "https://elsewhere.example", "scope": "other"}

    world.get()

    after = world.stored
    assert before.api_domain == after.api_domain
    assert before.identity == after.identity
    assert before.data_center == after.data_center


def test_lifetime_not_told(world):
    """Without ``expires_in`` the end is not known, and the token is used until it is rejected."""
    world.provider.extra = {"expires_in": None}

    world.get()
    world.clock.advance(1_000_000)

    assert world.stored.expires_at is None
    assert world.get().access_token == "access-2"
    assert len(world.provider.sent) == 1


@pytest.mark.parametrize(("offset", "correction"), [(29.0, 0.0), (31.0, 31.0), (-120.0, -120.0)])
def test_clock_offset(world, offset, correction):
    """A clock that is off by more than 30 s corrects the end, and is reported; less is noise."""
    world.provider.extra = {"clock_offset": offset}

    world.get()

    assert world.clock.now() + 3600 + correction == world.stored.expires_at
    assert bool(correction) is ("clock_off" in world.here.names())


def test_expiry_counts_from_before_the_call(world):
    """The end is counted from when the provider was asked: a slow answer gives no extra life."""
    asked = world.clock.now()
    world.provider.during.append(lambda: world.clock.advance(8))

    world.get()

    assert asked + 3600 == world.stored.expires_at


def test_mint_times_with_the_same_refresh_token(world):
    """Invariant 6: mint times go on where the refresh token stays."""
    world.get()
    world.expire()
    world.get()

    assert len(world.stored.renewal.mints) == 1  # the first is out of the window by now
    world.write(expires_at=world.clock.now() - 1)
    world.get()
    assert len(world.stored.renewal.mints) == 2


def test_mint_times_with_another_refresh_token(rotating):
    """The limit is one of the refresh token: another one starts with an empty count."""
    rotating.get()

    assert rotating.stored.renewal.mints == ()


def test_caller_s_secret_is_saved_if_it_works(world):
    """A differing client secret is used for the renewal, and saved with its success."""
    world.here.keeper.get(id=world.stored.id, client_secret="rotated secret")

    assert world.provider.secrets == ["rotated secret"]
    assert world.stored.client_secret == "rotated secret"


@pytest.mark.parametrize(
    "error",
    [ProviderUnavailable("no answer"), ProviderRefused("refused", error="invalid_client")],
)
def test_caller_s_secret_is_not_saved_if_it_fails(world, error):
    """A secret that did not work does not replace the one that did."""
    world.provider.trouble.append(error)

    with pytest.raises(type(error)):
        world.here.keeper.get(id=world.stored.id, client_secret="wrong")

    assert world.stored.client_secret == "client secret"


def test_login_without_access_token():
    """A refresh token alone is enough: the first caller gets an access token."""
    world = World()
    world.write(access_token=None, expires_at=None)

    assert world.get().access_token == "access-2"


def test_provider_is_asked_with_the_token_as_it_is_stored(world):
    """What another process wrote before the claim is what is sent."""
    world.here.store.find_token_by_id(world.id)
    world.login("login-2", "access-of-login-2")

    world.get()

    assert world.provider.sent == ["login-2/0"]


def test_same_access_token_again(world):
    """A provider may answer the stored access token with another end; that is a success."""
    world.provider.extra = {"access_token": "access-1"}

    world.get()
    world.get()

    assert world.stored.expires_at == world.clock.now() + 3600
    assert len(world.provider.sent) == 1


def test_same_access_token_again_after_a_conflict(world):
    """Its late save is not taken for one that was made already: the end is written, too."""
    world.provider.extra = {"access_token": "access-1"}
    world.provider.during.append(lambda: world.write(scope="all"))

    world.get()

    assert world.stored.expires_at == world.clock.now() + 3600
    assert world.stored.renewal.claim is None
