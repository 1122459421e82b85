"""decide(): pure and total, its rules in one table."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenkeep import Claim, Failure, Renewal, Status, Token
from tokenkeep.decision import (
    Decision,
    Verdict,
    cool_down,
    counted,
    credential_digest,
    current_failure,
    decide,
    is_usable,
)
from tokenkeep.providers import Profile

NOW = 1_800_000_000.0
PROFILE = Profile(mint_limit=10, mint_window=600.0)
CLAIM = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)

USE, SOON, RENEW = Verdict.USE, Verdict.RENEW_SOON, Verdict.RENEW_NOW
WAIT, COOL, LOGIN = Verdict.WAIT, Verdict.COOL_DOWN, Verdict.LOGIN_NEEDED
DEAD = {Status.REVOKED: Verdict.REVOKED, Status.LOGIN_NEEDED: LOGIN}


def token(left=3600.0, *, refresh_token="r", access_token="a", status=Status.OK, **renewal):
    expires_at = None if left is None else NOW + left
    made = Token(
        access_token=access_token,
        refresh_token=refresh_token,
        client_secret="s",
        issuer="https://provider.example/token",
        expires_at=expires_at,
        status=status,
    )
    return made.with_renewal(**renewal)


def failure(seconds):
    """Make a failure for which the provider is left alone that long from now."""
    return Failure(
        kind="transient",
        error="no answer",
        at=NOW - 1,
        until=NOW + seconds,
        count=1,
        credential=credential_digest(token()),
    )


def called(*ages):
    return tuple(sorted(NOW - age for age in ages))


def verdict(stored, **rejected):
    return decide(stored, NOW, PROFILE, **rejected).verdict


RULES = {
    "above 300 s left it is used, above 30 s one caller renews, below that all wait": [
        (token(3600), USE),
        (token(300), USE),
        (token(299), SOON),
        (token(30), SOON),
        (token(29), RENEW),
        (token(-1), RENEW),
    ],
    "what lives shorter has shorter windows, so that each is used for a while": [
        (token(299, lifetime=3600), SOON),
        (token(151, lifetime=600), USE),  # advisory: a quarter of its life
        (token(149, lifetime=600), SOON),
        (token(29, lifetime=600), RENEW),
        (token(31, lifetime=60), USE),  # mandatory 30 s, more than a quarter
        (token(29, lifetime=60), RENEW),
        (token(11, lifetime=20), USE),  # mandatory: half its life
        (token(9, lifetime=20), RENEW),
        (token(0.6, lifetime=1), USE),
        (token(0.4, lifetime=1), RENEW),
    ],
    "an end further away than it lives was written by a clock that was wrong": [
        (token(3900, lifetime=3600.0), USE),
        (token(3901, lifetime=3600.0), RENEW),
    ],
    "an end that is not known is learned once": [
        (token(None), RENEW),
        (token(None, renewed_at=NOW - 1e9), USE),  # asked, and still not said: until rejected
    ],
    "what can't be renewed is used to its last second": [
        (token(None, refresh_token=None), USE),
        (token(3600, refresh_token=None), USE),
        (token(10, refresh_token=None), USE),
        (token(-1, refresh_token=None), LOGIN),
    ],
    "a refresh token alone is renewed, nothing at all needs a login": [
        (token(access_token=None), RENEW),
        (token(access_token=""), RENEW),
        (token(access_token=None, refresh_token=None), LOGIN),
        (token(access_token=None, refresh_token=""), LOGIN),
    ],
    "a dead token is dead, however long its access token would have lived": [
        (token(left, status=status), expected)
        for left in (3600, 100, -1, None)
        for status, expected in DEAD.items()
    ],
    "while somebody else renews, callers go on with what has 30 s left, else wait": [
        (token(3600, claim=CLAIM), USE),
        (token(299, claim=CLAIM), USE),
        (token(30, claim=CLAIM), USE),
        (token(29, claim=CLAIM), WAIT),
        (token(-1, claim=CLAIM), WAIT),
    ],
    "after a failure a token that still works is used, an expired one has to wait": [
        (token(100, failure=failure(5)), USE),
        (token(5, failure=failure(5)), USE),
        (token(-1, failure=failure(5)), COOL),
        (token(-1, failure=failure(0)), RENEW),
        (token(-1, failure=failure(-5)), RENEW),
        (token(100, failure=failure(-5)), SOON),
    ],
    "ten calls within any ten minutes, then none until the first of them is that old": [
        (token(-1, mints=called(*range(9))), RENEW),
        (token(-1, mints=called(*range(10))), COOL),
        (token(-1, mints=called(*[599.0] * 10)), COOL),
        (token(-1, mints=called(*[600.0] * 10)), RENEW),
        (token(-1, mints=called(600.0, *[1.0] * 9)), RENEW),  # the window rolls
        (token(-1, mints=called(*[1.0] * 25)), COOL),
    ],
}


@pytest.mark.parametrize(
    ("rule", "stored", "expected"),
    [(rule, *case) for rule, cases in RULES.items() for case in cases],
)
def test_rules(rule, stored, expected):
    """Each row is a token as it is stored, and what is done with it now."""
    assert verdict(stored) is expected, rule


@pytest.mark.parametrize(
    ("rejected", "refresh_token", "expected"),
    [("a", "r", RENEW), ("another", "r", USE), (None, "r", USE), ("", "r", USE),
     ("a", None, LOGIN)],
)  # fmt: skip
def test_rejected(rejected, refresh_token, expected):
    """A refused access token counts as expired, if it is still the stored one."""
    assert verdict(token(refresh_token=refresh_token), rejected=rejected) is expected


@pytest.mark.parametrize("field", ["refresh_token", "client_secret", "issuer"])
def test_failure_of_another_credential(field):
    """A failure belongs to refresh token, client secret and issuer; another of them voids it."""
    stored = token(-1, failure=failure(5)).but(**{field: "another"})

    assert current_failure(stored) is None
    assert verdict(stored) is RENEW


def test_until_when():
    """The end of a pause is named, of two the longer one; and how long a token stays as it is."""
    full = tuple(NOW - 300 + n for n in range(12))
    both = token(-1, mints=called(*[590.0] * 10), failure=failure(60))

    assert decide(token(-1, failure=failure(60)), NOW, PROFILE) == Decision(COOL, NOW + 60)
    assert decide(token(-1, mints=full), NOW, PROFILE).until == full[2] + 600.0
    assert decide(both, NOW, PROFILE).until == NOW + 60
    assert decide(token(3600), NOW, PROFILE) == Decision(USE, NOW + 3300)
    assert decide(token(None, refresh_token=None), NOW, PROFILE) == Decision(USE)


def test_counted():
    """A call is added to those that still count; without a limit they are never waited for."""
    stored = token(-1, mints=(NOW - 601, NOW - 599, NOW - 1))

    assert counted(stored, NOW, PROFILE) == (NOW - 599, NOW - 1, NOW)
    many = token(-1, mints=(NOW,) * 1000)
    assert decide(many, NOW, Profile(mint_limit=None)).verdict is RENEW


@pytest.mark.parametrize(
    ("kind", "count", "seconds"),
    [("transient", 1, 1), ("transient", 2, 2), ("transient", 7, 60), ("transient", 2000, 60),
     ("configuration", 1, 60)],
)  # fmt: skip
def test_cool_down(kind, count, seconds):
    """Failures in a row double the pause up to a minute; a refused client waits that long."""
    assert cool_down(kind, count) == seconds


# Whatever is stored, whatever the time, whoever the provider

numbers = st.floats(allow_nan=False, min_value=-1e12, max_value=1e12)
texts = st.one_of(st.none(), st.sampled_from(["", "a", "b"]))
credentials = st.sampled_from(
    [credential_digest(Token(refresh_token="a", client_secret="s")), "another"]
)
failures = st.builds(Failure, at=numbers, until=numbers, credential=credentials)
claims = st.builds(Claim, taken_at=numbers, length=numbers)
renewals = st.builds(
    Renewal,
    claim=st.none() | claims,
    mints=st.lists(numbers, max_size=15).map(lambda times: tuple(sorted(times))),
    failure=st.none() | failures,
    renewed_at=st.none() | numbers,
    lifetime=st.none() | numbers,
)
tokens = st.builds(
    Token,
    access_token=texts,
    refresh_token=texts,
    client_secret=st.just("s"),
    expires_at=st.none() | numbers,
    status=st.sampled_from(Status),
    renewal=renewals,
)
profiles = st.builds(
    Profile,
    mandatory=st.floats(0, 1e6),
    advisory=st.floats(0, 1e6),
    mint_limit=st.none() | st.integers(1, 20),
    mint_window=st.floats(0.001, 1e6),
    rotates=st.booleans(),
)


# How long a busy machine takes to make one up says nothing of the rules.
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@at_leisure
@given(tokens, numbers, profiles, texts)
def test_total(stored, now, profile, rejected):
    """There is an answer for everything, and it never contradicts what is stored."""
    decision = decide(stored, now, profile, rejected=rejected)

    usable = is_usable(stored, now, rejected=rejected)
    if stored.status is Status.OK:
        assert decision.verdict is not Verdict.REVOKED
    else:
        assert decision.verdict is DEAD[stored.status]
    if decision.verdict in (USE, SOON):
        assert usable
    if decision.verdict in (SOON, RENEW, WAIT, COOL):
        assert stored.refresh_token
    if decision.verdict is COOL:
        assert not usable
        assert decision.until is not None
        assert decision.until > now or math.isclose(decision.until, now)
    assert (decision.verdict is WAIT) <= (stored.renewal.claim is not None)
    assert (decision.verdict in (SOON, RENEW)) <= (stored.renewal.claim is None)


@at_leisure
@given(tokens, numbers, profiles)
def test_what_is_handed_out_stays_good_until_then(stored, now, profile):
    """Before ``until`` a token that is used goes on being used, so nobody has to look again."""
    decision = decide(stored, now, profile)

    if decision.verdict is USE and decision.until is not None and decision.until > now:
        later = now + (decision.until - now) / 2
        assert decide(stored, later, profile).verdict is USE
        assert is_usable(stored, later)
