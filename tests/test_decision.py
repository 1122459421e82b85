"""decide(): pure and total, a table for every rule."""

from __future__ import annotations

import pytest

from tokenkeep import Claim, Failure, Status, Token
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


def verdict(given_token, **given):
    return decide(given_token, NOW, PROFILE, **given).verdict


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (3600, USE),
        (300, USE),
        (299, SOON),
        (30, SOON),
        (29, RENEW),
        (0, RENEW),
        (-1, RENEW),
        (-1e9, RENEW),
    ],
)
def test_windows(left, expected):
    """Above 300 s left it is used, above 30 s one caller renews, below that all wait for it."""
    assert verdict(token(left)) is expected


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [
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
def test_windows_of_short_lived_tokens(lifetime, left, expected):
    """A token that lives shorter has shorter windows, so that each is used for a while."""
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
    ("rejected", "expected"), [("a", RENEW), ("another", USE), (None, USE), ("", USE)]
)
def test_rejected(rejected, expected):
    """A refused access token counts as expired, if it is still the stored one."""
    assert verdict(token(), rejected=rejected) is expected


def test_rejected_without_a_refresh_token():
    """A refused token that can't be renewed needs a login."""
    assert verdict(token(refresh_token=None), rejected="a") is LOGIN


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


def test_failure_says_until_when():
    """The end of the cool-down is named."""
    decision = decide(token(-1, failure=failure(NOW + 5)), NOW, PROFILE)

    assert decision == Decision(COOL, NOW + 5)


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


def test_budget_says_until_when():
    """The budget is free again when the tenth call from the end is ten minutes old."""
    mints = tuple(NOW - 300 + n for n in range(12))

    assert decide(token(-1, mints=mints), NOW, PROFILE).until == mints[2] + 600.0


def test_budget_and_failure():
    """Of two reasons to wait the longer one counts."""
    mints = tuple(NOW - 590.0 for _ in range(10))
    stored = token(-1, mints=mints, failure=failure(NOW + 60))

    assert decide(stored, NOW, PROFILE).until == NOW + 60


def test_no_budget():
    """A provider without a limit is never waited for."""
    stored = token(-1, mints=(NOW,) * 1000)

    assert decide(stored, NOW, Profile(mint_limit=None)).verdict is RENEW


def test_counted():
    """A call is added to those that still count; older ones are forgotten."""
    stored = token(mints=(NOW - 601, NOW - 599, NOW - 1))

    assert counted(stored, NOW, PROFILE) == (NOW - 599, NOW - 1, NOW)


def test_use_says_until_when():
    """For as long as the token has more than the advisory window left nothing changes."""
    assert decide(token(3600), NOW, PROFILE) == Decision(USE, NOW + 3300)
    assert decide(token(None, refresh_token=None), NOW, PROFILE) == Decision(USE)


@pytest.mark.parametrize(
    ("kind", "count", "seconds"),
    [("transient", 1, 1), ("transient", 2, 2), ("transient", 7, 60), ("configuration", 1, 60)],
)
def test_cool_down(kind, count, seconds):
    """Failures in a row double the pause up to a minute; a refused client waits that long."""
    assert cool_down(kind, count) == seconds


def test_cool_down_of_very_many():
    """A fleet that failed all weekend is no overflow."""
    assert cool_down("transient", 2000) == 60.0


@pytest.mark.parametrize(("ahead", "verdict"), [(300, Verdict.USE), (301, Verdict.RENEW_NOW)])
def test_more_time_than_it_was_given(ahead, verdict):
    """An end further away than an access token lives was written by a clock that was wrong."""
    token = Token(access_token="a", refresh_token="r", expires_at=NOW + 3600 + ahead)

    decision = decide(token.with_renewal(lifetime=3600.0), NOW, PROFILE)

    assert verdict is decision.verdict
    assert is_usable(token, NOW)
