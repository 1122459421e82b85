"""What policies end as tokens are asked for: the answer, what is written, and from when on."""

from __future__ import annotations

import pytest
from policy_stage import ANA, DAY, HOUR, ISSUER, MINUTE, NOON, Stage, ruled

from tokenkeep import Policies, PolicyEnded, Status, StoreUnavailable, Token, TokenRevoked
from tokenkeep.decision import Verdict, decide
from tokenkeep.providers import Profile
from tokenkeep.token import Claim

KNOWN = Token(
    user=ANA,
    access_token="a",
    refresh_token="r",
    logged_in_at=NOON,
    last_used_at=NOON,
    expires_at=NOON + 5 * DAY,
)
CLAIM = Claim(nonce="n", holder="{}", taken_at=NOON, length=20.0)

VERDICTS = {
    "long before": (KNOWN, NOON, Verdict.USE),
    "just before": (KNOWN, NOON + DAY - 1, Verdict.USE),
    "from then on": (KNOWN, NOON + DAY, Verdict.ENDED),
    "expired too": (KNOWN.but(expires_at=NOON), NOON + DAY, Verdict.ENDED),
    "being renewed": (KNOWN.with_renewal(claim=CLAIM), NOON + DAY, Verdict.ENDED),
    "no refresh token": (KNOWN.but(refresh_token=None), NOON + DAY, Verdict.ENDED),
    "revoked": (KNOWN.but(status=Status.REVOKED), NOON + DAY, Verdict.REVOKED),
    "dead": (KNOWN.but(status=Status.LOGIN_NEEDED), NOON + DAY, Verdict.LOGIN_NEEDED),
}


@pytest.mark.parametrize(("token", "now", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_decide(token, now, verdict):
    """A token that works is over from the moment on that a policy says, whatever else it is."""
    decision = decide(token, now, Profile(), policies=ruled(max_session=DAY))

    assert decision.verdict is verdict
    assert (decision.end is not None) == (verdict is Verdict.ENDED)


def test_until():
    """A token is not said to be good for longer than a policy lets it be."""
    ends = {
        settings: decide(KNOWN, NOON, Profile(advisory=60.0), policies=policies).until
        for settings, policies in (
            ("none", Policies()),
            ("session", ruled(max_session=DAY)),
            ("long session", ruled(max_session=30 * DAY)),
            ("idle", ruled(idle=DAY)),
        )
    }

    last = NOON + 5 * DAY - 60
    assert ends == {
        "none": last,
        "session": NOON + DAY,
        "long session": last,
        "idle": NOON + DAY + HOUR,
    }


def test_asked_for(stage):
    """Who asks is told which policy has ended it and when, and from then on so is everybody."""
    here, there = stage.here, stage.host()
    stage.rule(name="sessions", max_session=12 * HOUR)
    token = here.login()
    stage.clock.advance(12 * HOUR - 1)
    assert here.get(token) == "ok"

    stage.clock.advance(1)
    ended = here.get(token)

    assert isinstance(ended, PolicyEnded)
    assert isinstance(ended, TokenRevoked)
    assert (ended.policy, ended.since) == ("sessions", NOON + 12 * HOUR)
    assert "Policy 'sessions' has ended this session, at 2027-01-1" in str(ended)
    row = there.vault.reread(token.id)
    assert row.status is Status.REVOKED
    assert row.access_token is None
    assert ("refresh_token", token.refresh_token) in row.renewal.to_revoke
    last = row.history[-1]
    assert (last.what, last.by, last.at) == ("revoked", "policy sessions", NOON + 12 * HOUR)
    for host in (here, there):
        assert (again := host.get(token)).since == ended.since
        assert again.policy == "sessions"
    (event,) = [each for each in here.events if each.name == "revoked"]
    assert event.details == {"policy": "sessions"}
    assert stage.revoked == []  # nobody who asks waits for that

    assert here.keeper.sweep().revoked == 1
    assert token.refresh_token in stage.revoked


@pytest.mark.parametrize("call", ["renew", "rejected", "valid"])
def test_however_it_is_asked_for(stage, call):
    """No way to get an access token leads past the end of its session."""
    stage.rule(max_session=12 * HOUR)
    token = stage.here.login()
    stage.clock.advance(12 * HOUR)
    keeper = stage.here.keeper

    with pytest.raises(PolicyEnded):
        {
            "renew": lambda: keeper.renew(token.id),
            "rejected": lambda: keeper.rejected(token.id, token.access_token),
            "valid": lambda: keeper.valid(stage.here.vault.reread(token.id)),
        }[call]()
    assert stage.here.vault.reread(token.id).status is Status.REVOKED


def test_store_that_can_not_be_written(stage, monkeypatch):
    """Refused it is in any case, also where that can't be written now."""
    stage.rule(max_session=12 * HOUR)
    token = stage.here.login()
    stage.clock.advance(12 * HOUR)

    def down(*_, **__):
        raise StoreUnavailable("down")

    monkeypatch.setattr(stage.backend, "write", down)

    assert isinstance(stage.here.get(token), PolicyEnded)
    monkeypatch.undo()
    assert stage.here.vault.reread(token.id).status is Status.OK
    assert isinstance(stage.here.get(token), PolicyEnded)
    assert stage.here.vault.reread(token.id).status is Status.REVOKED


def test_tightened(stage):
    """What is tightened holds from the next minute on, in this process and in others."""
    here, there = stage.here, stage.host()
    token, other = here.login(), here.login(user="ben@example.com:1")
    stage.clock.advance(10 * HOUR)
    assert here.get(token) == there.get(token) == there.get(other) == "ok"

    stage.rule(name="short", max_session=9 * HOUR)
    stage.clock.advance(MINUTE)

    assert here.get(token).policy == "short"
    assert there.get(other).policy == "short"


def test_within_a_minute(stage):
    """However a process's looks at the store and at a token fall, a minute is enough."""
    other = stage.host()
    tokens = [stage.here.login(user=f"u{n}@x:1") for n in range(6)]
    stage.clock.advance(10 * HOUR)
    for token in tokens:
        assert other.get(token) == "ok"
        stage.clock.advance(11)
    stage.rule(max_session=9 * HOUR)
    for token in tokens:
        other.get(token)
    stage.clock.advance(59)
    other.get(tokens[0])
    stage.clock.advance(1)

    assert all(isinstance(other.get(each), PolicyEnded) for each in tokens)


@pytest.mark.parametrize("first", [0, 14, 29])
def test_looks_that_fall_badly(stage, first):
    """Also where the store was looked at right before, and the token right after."""
    other, token = stage.host(), stage.here.login()
    stage.clock.advance(10 * HOUR)
    assert other.get(stage.here.login(user="ben@example.com:1")) == "ok"
    stage.rule(max_session=9 * HOUR)
    stage.clock.advance(first)
    other.get(token)

    stage.clock.advance(MINUTE - first)

    assert isinstance(other.get(token), PolicyEnded)


def test_loosened(stage):
    """What is loosened, or gone, takes nothing back that it has ended."""
    stage.rule(name="short", max_session=HOUR)
    token, later = stage.here.login(), None
    stage.clock.advance(HOUR)
    assert stage.here.get(token).policy == "short"
    later = stage.here.login(user="ben@example.com:1")

    for policies in (ruled(name="short", max_session=5 * HOUR), Policies()):
        stage.here.vault.set_policies(policies)
        stage.clock.advance(HOUR)
        stage.here.keeper.sweep()
        for host in (stage.here, stage.host()):
            assert host.get(token).policy == "short"
            assert host.get(later) == "ok"


def test_logged_in_again(stage):
    """A login after an end begins a new session, which is as long as the first."""
    stage.rule(max_session=12 * HOUR)
    token = stage.here.login()
    for _ in range(3):
        stage.clock.advance(12 * HOUR)
        assert isinstance(stage.here.get(token), PolicyEnded)
        stage.clock.advance(3 * HOUR)

        again = stage.here.login()

        assert again.id == token.id
        stage.clock.advance(12 * HOUR - 1)
        assert stage.here.get(token) == "ok"
        assert stage.here.keeper.sweep().ended == 0
        stage.here.login()


def test_in_the_midst_of_a_renewal(stage):
    """An answer that comes for a token which a policy has ended meanwhile is not handed out."""
    stage.rule(max_session=12 * HOUR)
    token = stage.here.login()
    other = stage.host()
    stage.clock.advance(12 * HOUR - 1)
    provider = stage.here.keeper.providers.one
    refresh = provider.refresh

    def late(asked):
        answer = refresh(asked)
        stage.clock.advance(1)
        assert isinstance(other.get(token), PolicyEnded)
        return answer

    provider.refresh = late

    assert isinstance(stage.here.get(token), PolicyEnded)
    row = other.vault.reread(token.id)
    assert (row.status, row.access_token) == (Status.REVOKED, None)


def test_other_users(stage):
    """Nobody else's session ends with it, and no other client's."""
    stage.rule(max_session=HOUR, user="ana@*", client_id="app")
    mine = stage.here.login(client_id="app")
    others = stage.here.login(), stage.here.login(user="ben@example.com:1", client_id="app")
    stage.clock.advance(2 * HOUR)

    assert isinstance(stage.here.get(mine), PolicyEnded)
    assert [stage.here.get(each) for each in others] == ["ok", "ok"]


def test_one_line_program():
    """A program that knows nothing of policies is held to them: they are in the store."""
    stage = Stage()
    token = stage.here.login()
    stage.rule(max_session=HOUR)
    stage.clock.advance(HOUR)

    assert isinstance(stage.host().get(token), PolicyEnded)
    assert token.issuer == ISSUER
