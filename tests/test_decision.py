"""decide(): pure and total, a table for every rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
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


def failure(until, of=None):
    return Failure(
        kind="transient",
        error="no answer",
        at=NOW - 1,
        until=until,
        count=1,
        credential=credential_digest(of or token()),
    )


def verdict(stored, **rejected):
    return decide(stored, NOW, PROFILE, **rejected).verdict


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [
        (None, 3600, USE),
        (None, 300, USE),
        (None, 299, SOON),
        (None, 30, SOON),
        (None, 29, RENEW),
        (None, 0, RENEW),
        (None, -1, RENEW),
        (None, -1e9, RENEW),
        (3600, 299, SOON),
        (600, 151, USE),  # advisory: a quarter of its life
        (600, 149, SOON),
        (600, 29, RENEW),
        (60, 31, USE),  # mandatory 30 s, more than a quarter
        (60, 29, RENEW),
        (20, 11, USE),  # mandatory: half its life
        (20, 9, RENEW),
        (1, 0.6, USE),
        (1, 0.4, RENEW),
    ],
)
def test_windows(lifetime, left, expected):
    """
    Above 300 s left it is used, above 30 s one caller renews, below that all wait for it.

    A token that lives shorter has shorter windows, so that each is used for a while.
    """
    assert verdict(token(left, lifetime=lifetime)) is expected


@pytest.mark.parametrize(
    ("left", "renewed_at", "refresh_token", "expected"),
    [
        (None, None, "r", RENEW),  # nobody said: renew once, to learn
        (None, NOW - 1e9, "r", USE),  # asked, and still not said: until it is rejected
        (None, None, None, USE),  # as is
        (3600, None, None, USE),
        (10, None, None, USE),  # nothing to renew it with: to its last second
        (-1, None, None, LOGIN),
    ],
)
def test_unknown_expiry_and_no_refresh_token(left, renewed_at, refresh_token, expected):
    """What is not known is learned once; what can't be renewed is used while it lasts."""
    stored = token(left, refresh_token=refresh_token, renewed_at=renewed_at)

    assert verdict(stored) is expected


@pytest.mark.parametrize(
    ("access_token", "refresh_token", "expected"),
    [(None, "r", RENEW), ("", "r", RENEW), (None, None, LOGIN), (None, "", LOGIN)],
)
def test_no_access_token(access_token, refresh_token, expected):
    """A refresh token alone is renewed at once; nothing at all needs a login."""
    assert verdict(token(access_token=access_token, refresh_token=refresh_token)) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(Status.REVOKED, Verdict.REVOKED), (Status.LOGIN_NEEDED, LOGIN)],
)
@pytest.mark.parametrize("left", [3600, 100, -1, None])
def test_status(status, expected, left):
    """A dead token is dead, however long its access token would have lived."""
    assert verdict(token(left, status=status)) is expected


@pytest.mark.parametrize(
    ("rejected", "refresh_token", "expected"),
    [
        ("a", "r", RENEW),
        ("another", "r", USE),
        (None, "r", USE),
        ("", "r", USE),
        ("a", None, LOGIN),
    ],
)
def test_rejected(rejected, refresh_token, expected):
    """A refused access token counts as expired, if it is still the stored one."""
    assert verdict(token(refresh_token=refresh_token), rejected=rejected) is expected


@pytest.mark.parametrize(
    ("left", "expected"), [(3600, USE), (299, USE), (30, USE), (29, WAIT), (-1, WAIT)]
)
def test_another_s_claim(left, expected):
    """While somebody else renews, callers go on with a token that has 30 s left, else wait."""
    assert verdict(token(left, claim=CLAIM)) is expected


@pytest.mark.parametrize(
    ("left", "until", "expected"),
    [(100, 5, USE), (5, 5, USE), (-1, 5, COOL), (-1, 0, RENEW), (-1, -5, RENEW), (100, -5, SOON)],
)
def test_failure(left, until, expected):
    """After a failure a token that still works is used, an expired one has to wait."""
    assert verdict(token(left, failure=failure(NOW + until))) is expected


@pytest.mark.parametrize("field", ["refresh_token", "client_secret", "issuer"])
def test_failure_of_another_credential(field):
    """A failure belongs to refresh token, client secret and issuer; another of them voids it."""
    stored = token(-1, failure=failure(NOW + 5)).but(**{field: "another"})

    assert current_failure(stored) is None
    assert verdict(stored) is RENEW


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        (range(9), RENEW),
        (range(10), COOL),
        ([599.0] * 10, COOL),
        ([600.0] * 10, RENEW),
        ([600.0] + [1.0] * 9, RENEW),  # the window rolls
        ([1.0] * 25, COOL),
    ],
)
def test_budget(ages, expected):
    """Ten calls within any ten minutes, then none until the first of them is that old."""
    mints = tuple(sorted(NOW - age for age in ages))

    assert verdict(token(-1, mints=mints)) is expected


def test_until_when():
    """The end of a pause is named, of two the longer one; and how long a token stays as it is."""
    failed = failure(NOW + 60)
    full = tuple(NOW - 300 + n for n in range(12))
    soon_free = (NOW - 590.0,) * 10

    assert decide(token(-1, failure=failed), NOW, PROFILE) == Decision(COOL, NOW + 60)
    assert decide(token(-1, mints=full), NOW, PROFILE).until == full[2] + 600.0
    assert decide(token(-1, mints=soon_free, failure=failed), NOW, PROFILE).until == NOW + 60
    assert decide(token(3600), NOW, PROFILE) == Decision(USE, NOW + 3300)
    assert decide(token(None, refresh_token=None), NOW, PROFILE) == Decision(USE)


def test_no_budget():
    """A provider without a limit is never waited for."""
    stored = token(-1, mints=(NOW,) * 1000)

    assert decide(stored, NOW, Profile(mint_limit=None)).verdict is RENEW


def test_counted():
    """A call is added to those that still count; older ones are forgotten."""
    stored = token(mints=(NOW - 601, NOW - 599, NOW - 1))

    assert counted(stored, NOW, PROFILE) == (NOW - 599, NOW - 1, NOW)


@pytest.mark.parametrize(
    ("kind", "count", "seconds"),
    [
        ("transient", 1, 1),
        ("transient", 2, 2),
        ("transient", 7, 60),
        ("transient", 2000, 60),
        ("configuration", 1, 60),
    ],
)
def test_cool_down(kind, count, seconds):
    """Failures in a row double the pause up to a minute; a refused client waits that long."""
    assert cool_down(kind, count) == seconds


@pytest.mark.parametrize(("ahead", "expected"), [(300, USE), (301, RENEW)])
def test_more_time_than_it_was_given(ahead, expected):
    """An end further away than an access token lives was written by a clock that was wrong."""
    stored = token(3600 + ahead, lifetime=3600.0)

    assert verdict(stored) is expected
    assert is_usable(stored, NOW)


# Whatever is stored, whatever the time, whoever the provider

numbers = st.floats(allow_nan=False, min_value=-1e12, max_value=1e12)
texts = st.one_of(st.none(), st.sampled_from(["", "a", "b"]))
failures = st.builds(
    Failure,
    kind=st.sampled_from(["transient", "throttled", "configuration", "rejected"]),
    error=st.just("e"),
    at=numbers,
    until=numbers,
    count=st.integers(1, 2000),
    credential=st.sampled_from(
        [credential_digest(Token(refresh_token="a", client_secret="s")), "another"]
    ),
)
claims = st.builds(
    Claim, nonce=st.just("n"), holder=st.just("h"), taken_at=numbers, length=numbers
)
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


@given(tokens, numbers, profiles, texts)
def test_total(stored, now, profile, rejected):
    """There is an answer for everything, and it never contradicts what is stored."""
    decision = decide(stored, now, profile, rejected=rejected)

    usable = is_usable(stored, now, rejected=rejected)
    if stored.status is Status.REVOKED:
        assert decision.verdict is Verdict.REVOKED
    elif stored.status is not Status.OK:
        assert decision.verdict is LOGIN
    else:
        assert decision.verdict is not Verdict.REVOKED
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


@given(tokens, numbers, profiles)
def test_what_is_handed_out_stays_good_until_then(stored, now, profile):
    """Before ``until`` a token that is used goes on being used, so nobody has to look again."""
    decision = decide(stored, now, profile)

    if decision.verdict is USE and decision.until is not None and decision.until > now:
        later = now + (decision.until - now) / 2
        assert decide(stored, later, profile).verdict is USE
        assert is_usable(stored, later)


@given(tokens, numbers, profiles)
def test_counting_fills_the_budget(stored, now, profile):
    """After as many counted calls as the limit allows nobody is asked."""
    for _ in range(profile.mint_limit or 0):
        stored = stored.with_renewal(mints=counted(stored, now, profile))

    if profile.mint_limit and profile.mint_window > 1:
        assert decide(stored, now, profile).verdict not in (SOON, RENEW)
