"""A profile holds what it has to, or is not made."""

from __future__ import annotations

import math

import pytest

from tokenkeep.errors import ConfigurationError
from tokenkeep.providers import Profile

POSITIVE = ["call_timeout", "claim_length", "wait_timeout"]
FROM_ZERO = ["mandatory", "advisory", "mint_window"]
NEVER_A_TIME = ["x", "5", None, True, -5, -0.1, math.nan, math.inf, 1e10, 10**400, [], {}]


@pytest.mark.parametrize("name", POSITIVE + FROM_ZERO)
@pytest.mark.parametrize("value", NEVER_A_TIME, ids=lambda value: repr(value)[:10])
def test_times(name, value):
    """A time is a number of seconds, at most ten years; anything else is named."""
    with pytest.raises(ConfigurationError, match=f"^{name} has to be a number of seconds"):
        Profile(**{name: value})


def test_zero():
    """Windows may be 0, what is waited for may not."""
    assert 0 == Profile(**dict.fromkeys(FROM_ZERO, 0)).advisory
    for name in POSITIVE:
        with pytest.raises(ConfigurationError, match=f"{name} has to be .* more than 0"):
            Profile(**{name: 0})


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "10", math.inf])
def test_mint_limit(value):
    """A limit is a whole number from 1, or None."""
    with pytest.raises(ConfigurationError, match="mint_limit has to be a whole number"):
        Profile(mint_limit=value)

    assert (None, 1) == (Profile(mint_limit=None).mint_limit, Profile(mint_limit=1).mint_limit)


@pytest.mark.parametrize("name", ["rotates", "revokes_grant"])
@pytest.mark.parametrize("value", [0, 1, "no", None])
def test_yes_or_no(name, value):
    """A bool is a bool: "no" would count as yes."""
    with pytest.raises(ConfigurationError, match=f"{name} has to be true or false"):
        Profile(**{name: value})


def test_a_claim_outlasts_its_call():
    """Others must not take a renewal over while its call is under way."""
    with pytest.raises(ConfigurationError, match="longer than"):
        Profile(call_timeout=20, claim_length=20)
