"""decide() is total: whatever is stored, whatever the time, whoever the provider."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tokenkeep import Claim, Failure, Renewal, Status, Token
from tokenkeep.decision import Verdict, counted, credential_digest, decide, is_usable
from tokenkeep.providers import Profile

USE, SOON, RENEW = Verdict.USE, Verdict.RENEW_SOON, Verdict.RENEW_NOW
WAIT, COOL, LOGIN = Verdict.WAIT, Verdict.COOL_DOWN, Verdict.LOGIN_NEEDED
STORED = Token(refresh_token="a", client_secret="s")

numbers = st.floats(allow_nan=False, min_value=-1e12, max_value=1e12)
texts = st.one_of(st.none(), st.sampled_from(["", "a", "b"]))
failures = st.builds(
    Failure,
    kind=st.sampled_from(["transient", "throttled", "configuration", "rejected"]),
    error=st.just("e"),
    at=numbers,
    until=numbers,
    count=st.integers(1, 2000),
    credential=st.sampled_from([credential_digest(STORED), "another"]),
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
