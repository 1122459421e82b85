"""Renewals ahead of need: which tokens, when, and what is left alone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from fresh_stage import DAY, HOUR, MINUTE, NOON, Stage, Until, of_another_host

from tokenkeep import (
    Claim,
    ConfigurationError,
    Keeper,
    Policies,
    Policy,
    Status,
    StoreUnavailable,
    Token,
    errors,
    holder,
)
from tokenkeep.due import renewed_at
from tokenkeep.stores.list import ListStore


@pytest.fixture
def stage():
    return Stage()


def test_no_policy(stage):
    """Where no policy says which, it says what to do."""
    stage.here.store.set_policies(Policies())

    with pytest.raises(ConfigurationError, match="keep_fresh = true"):
        stage.here.keep_fresh()


def test_what_is_due(stage):
    """What will end is renewed, saved and not used by that; what has time is left alone."""
    soon, later = stage.login("soon"), stage.login("later", left=HOUR)

    done = stage.here.keep_fresh()

    assert (1, 0, 0) == (done.renewed, done.failed, done.login_needed)
    assert ["soon"] == stage.provider.calls
    assert stage.stored(soon).access_token == "new-1"
    assert stage.stored(soon).last_used_at == soon.last_used_at
    assert stage.stored(later) == later
    assert stage.here.keep_fresh().renewed == 0


def test_only_those_of_the_policy(stage):
    """Tokens that no rule with keep_fresh is for are left to who asks."""
    stage.login("a@example.com:1")
    stage.login("b@example.org:1")
    stage.rule(user="*@example.org:*")

    assert stage.here.keep_fresh().renewed == 1
    assert ["b@example.org:1"] == stage.provider.calls


def test_in_use_first(stage):
    """Those in use are due in the first half of the time before the end, the others later."""
    profile, policies = stage.provider.profile, stage.here.store.policies
    now = stage.clock.now()
    used = stage.login("used", left=2 * DAY)
    idle = used.but(last_used_at=now - 2 * DAY, logged_in_at=now - 9 * DAY, expires_at=now + HOUR)
    used = used.but(expires_at=now + HOUR)

    (first, second) = (renewed_at(each, now, policies, profile) for each in (used, idle))

    begins, ends = now + HOUR - 300, now + HOUR - 60
    assert begins <= first <= begins + 120 <= second <= ends


def test_spread(stage):
    """A thousand that end in the same second are due at a thousand times."""
    profile, policies = stage.provider.profile, stage.here.store.policies
    token, now = stage.login(left=HOUR), stage.clock.now()
    versions = (token.but(version=f"{number:032x}") for number in range(1000))

    due = sorted(renewed_at(each, now, policies, profile) for each in versions)

    each_second = Counter(int(at) for at in due)
    assert due[-1] - due[0] > 100
    assert max(each_second.values()) < 40


def test_budget_first():
    """One call of a limit is left for who asks; with one call more it would be renewed."""
    stage = Stage(mint_limit=3, mint_window=600.0)
    now = stage.clock.now()
    token = stage.login()
    stage.here.store.swap(token.with_renewal(mints=(now - 20, now - 10)))

    assert stage.here.keep_fresh().renewed == 0
    assert stage.here.renew(token.id).access_token == "new-1"
    stage.here.store.swap(stage.stored(token).but(expires_at=now + 100).with_renewal(mints=(now,)))
    assert stage.here.keep_fresh().renewed == 1


def test_quiet_hours(stage):
    """Nothing is renewed ahead in them, who asks is served, and after their end it goes on."""
    stage.rule(quiet_hours="13:00-15:00")
    ben, ana = stage.login("ben"), stage.login("ana", left=HOUR + 100)
    assert stage.here.keep_fresh().renewed == 1  # before they begin
    stage.clock.advance(HOUR + 10)

    assert stage.here.keep_fresh().renewed == 0
    assert stage.here.get(id=ana.id).access_token == "new-2"
    stage.clock.advance(2 * HOUR - 20)
    assert stage.here.keep_fresh().renewed == 0
    stage.clock.advance(20 + 4 * MINUTE)
    assert stage.here.keep_fresh().renewed == 2
    assert datetime.fromtimestamp(stage.clock.now(), UTC).hour == 15
    assert stage.stored(ben).expires_at > stage.clock.now()


@pytest.mark.parametrize(
    "left",
    [{"status": Status.LOGIN_NEEDED}, {"status": Status.REVOKED}, {"refresh_token": None},
     {"expires_at": None}],
    ids=["needs a login", "revoked", "nothing to renew with", "no end"],
)  # fmt: skip
def test_not_at_all(stage, left):
    """What can't be renewed, or has no end, is not due: no sweep meets it again and again."""
    token = stage.login()
    stage.here.store.swap(token.but(**left))

    assert stage.here.keep_fresh().renewed == 0
    assert [] == stage.provider.calls
    assert [] == list(stage.here.store.due(stage.clock.now()))


def test_client_alone():
    """Where nobody logs in, the client's own token is kept fresh too."""
    stage = Stage(needs_login=False)
    stage.login(refresh_token=None, grant_token=None)

    assert stage.here.keep_fresh().renewed == 1


def test_rotating():
    """What a rotating provider gives instead is stored, and counted once."""
    stage = Stage(rotates=True)
    token = stage.login()

    assert stage.here.keep_fresh().renewed == 1
    assert stage.stored(token).refresh_token == "r-ana.1"


def test_rejected(stage):
    """What the provider rejects needs a login, and is not due any more."""
    token = stage.login()
    stage.provider.trouble = errors.GrantRejected("Rejected", error="invalid_grant")

    done = [stage.here.keep_fresh() for _ in range(3)]

    assert [1, 0, 0] == [each.login_needed for each in done]
    assert len(stage.provider.calls) == 1
    assert stage.stored(token).status is Status.LOGIN_NEEDED


def test_provider_away(stage):
    """One that does not answer is asked for one token, and the others are left alone for now."""
    for number in range(20):
        stage.login(f"user{number}")
    away = errors.ProviderUnavailable("no answer", answered=False, passing=False)
    stage.provider.trouble, seen = away, []

    for _ in range(30):
        stage.here.keep_fresh(on_error=seen.append)
        stage.clock.advance(5)

    assert len(stage.provider.calls) == len(seen) == 30  # of 600
    stage.provider.trouble = None
    stage.clock.advance(MINUTE)
    assert stage.here.keep_fresh().renewed == 20


@pytest.mark.parametrize(
    "trouble",
    [errors.CoolingDown("Slow down"), errors.ProviderRefused("No", error="invalid_client"),
     errors.ProviderUnavailable("answered 503", passing=False)],
)  # fmt: skip
def test_provider_that_says_no(stage, trouble):
    """After three in a row the others of its tokens are left alone for a while."""
    for number in range(40):
        stage.login(f"user{number}")
    stage.provider.trouble = trouble

    stage.here.keep_fresh(workers=1)

    assert len(stage.provider.calls) == 3


def test_provider_of_ones_own_that_fails(stage):
    """An error that is none of ours is told as one, and the others are renewed."""
    for number in range(10):
        stage.login(f"user{number}")
    told = []

    def fails(token):
        if token.user == "user3":
            raise KeyError("secret")

    stage.provider.during = fails

    done = stage.here.keep_fresh(on_error=told.append)

    assert (9, 1) == (done.renewed, done.failed)
    assert ["The provider failed: KeyError"] == [each.what for each in told]


def test_throttled(stage):
    """A provider that throttles a token is left alone as long as it says."""
    stage.login()
    until = stage.clock.now() + 60
    stage.provider.trouble = errors.CoolingDown("Slow down", until=until)

    for _ in range(11):
        stage.here.keep_fresh()
        stage.clock.advance(5)
    assert len(stage.provider.calls) == 1
    stage.provider.trouble = None
    stage.clock.advance(5)
    assert stage.here.keep_fresh().renewed == 1


def test_provider_not_configured(stage):
    """A token whose provider is not known here is tried once in each round, and told."""
    stage.login("gone")
    stage.login("known")
    stage.providers.unknown.add("gone")
    told = []

    done = stage.here.keep_fresh(on_error=told.append)

    assert (1, 1) == (done.renewed, done.failed)
    assert ["There is no provider 'gone'"] == [each.what for each in told]


def test_deleted_meanwhile(stage):
    """What was deleted or revoked while its call was under way does not come back."""
    gone, dead = stage.login("gone"), stage.login("dead")
    ends = {"gone": stage.here.delete, "dead": stage.here.revoke}
    ids = {"gone": gone.id, "dead": dead.id}
    stage.provider.during = lambda token: ends[token.user](ids[token.user])

    assert stage.here.keep_fresh(workers=1).renewed == 0
    assert stage.stored(gone) is None
    assert stage.stored(dead).status is Status.REVOKED


def test_ended_by_policy(stage):
    """A session that is over is not renewed."""
    stage.login()
    stage.rule(max_session=HOUR)
    stage.clock.advance(2 * HOUR)

    assert stage.here.keep_fresh().renewed == 0
    assert [] == stage.provider.calls


def test_claimed(stage):
    """What another process renews is left alone, and taken over once that is gone."""
    token = stage.login(left=50)
    now = stage.clock.now()
    claim = Claim(nonce="n", holder=holder.me(), taken_at=now, length=20.0)
    claimed = stage.here.store.swap(token.with_renewal(claim=claim))

    assert stage.here.keep_fresh().renewed == 0
    gone = holder.me().replace('"started": "', '"started": "0')
    left = Claim(nonce="left", holder=gone, taken_at=now - 30, length=20.0)
    stage.here.store.swap(claimed.with_renewal(claim=left))
    assert stage.here.keep_fresh().renewed == 1


def test_who_is_at_it_is_not_waited_for(stage):
    """Nobody needs the token yet: what another process renews is left to it, at once."""
    token = stage.login(left=50)
    now = stage.clock.now()
    claim = Claim(nonce="n", holder=of_another_host(holder.me()), taken_at=now - 25, length=20.0)
    stage.here.store.swap(token.with_renewal(claim=claim))

    assert stage.here.keep_fresh().renewed == 0
    assert stage.clock.now() == now


def test_six_methods(stage):
    """A store of six methods is kept fresh within its process."""
    keeper = Keeper(ListStore(), providers=stage.providers, clock=stage.clock)
    keeper.store.set_policies(Policies([Policy(name="fresh", keep_fresh=True)]))
    keeper.save(Token(user="ana", client_id="c", refresh_token="r", access_token="a",
                      issuer="https://provider.example/token", expires_at=NOON + 10))  # fmt: skip

    assert keeper.keep_fresh().renewed == 1
    assert ["ana"] == stage.provider.calls


def test_one_thread_at_a_quick_provider(stage):
    """A provider that answers at once keeps one thread busy; one that takes its time, many."""
    for number in range(40):
        stage.login(f"user{number}")
    stage.provider.takes = 0.2

    stage.here.keep_fresh(workers=8)

    assert 4 <= stage.provider.at_once <= 8
    assert len({*stage.provider.calls}) == len(stage.provider.calls) == 40


def test_what_is_not_due_is_not_read(stage):
    """Of many that are stored only those that are due are opened, and each once."""
    for number in range(300):
        stage.login(f"later{number}", left=HOUR)
    for number in range(20):
        stage.login(f"soon{number}")
    stage.here.sweep()
    read = Counter()
    due = stage.backend.due

    def counted(before, limit, *, after=None):
        found = due(before, limit, after=after)
        read["records"] += len(found)
        return found

    stage.backend.due = counted
    stage.clock.advance(130)  # policies are applied for good
    stage.here.sweep()
    read.clear()

    assert stage.here.keep_fresh().renewed == 20
    assert read["records"] < 100


def test_store_away(stage):
    """A service outlives an outage of its store; who wants it once is told."""
    token = stage.login()
    stop, told, due = threading.Event(), [], stage.backend.due

    def away(*_, **__):
        raise StoreUnavailable("The database did not answer")

    def heard(exc):
        told.append(exc.what)
        stage.backend.due = due

    stage.backend.due = away
    with pytest.raises(StoreUnavailable):
        stage.here.keep_fresh()
    service = threading.Thread(
        target=stage.here.keep_fresh, args=(stop,), kwargs={"on_error": heard}
    )
    service.start()
    deadline = threading.Event()
    for _ in range(200):
        if stage.provider.calls:
            break
        deadline.wait(0.1)
    stop.set()
    service.join(20)

    assert not service.is_alive()
    assert ["The database did not answer"] == told
    assert stage.stored(token).access_token.startswith("new-")


def test_stopped(stage):
    """What is under way as it is stopped is saved, and nothing more is begun."""
    tokens = [stage.login(f"user{number}") for number in range(30)]
    stop = threading.Event()
    stage.provider.during = lambda _: stop.set()

    done = stage.here.keep_fresh(stop, workers=4)

    assert 1 == done.renewed == len(stage.provider.calls)
    assert 1 == sum(stage.stored(each).access_token == "new-1" for each in tokens)


def test_a_day_ahead(stage):
    """A clock that jumps a day forward: the first answer says so, and nothing else is renewed."""
    for number in range(50):
        stage.login(f"user{number}", left=HOUR)
    stage.clock.advance(130)
    stage.here.sweep()
    truth = stage.clock.now()
    stage.clock.set(truth + DAY)
    stage.provider.offset = lambda: truth - stage.clock.now()

    stage.here.keep_fresh(workers=1)

    assert len(stage.provider.calls) == 1


def test_a_day_behind(stage):
    """A clock that is set back a day renews nothing ahead; callers are served, others go on."""
    token = stage.login()
    other = stage.host(type(stage.clock)(stage.clock.now()))
    stage.clock.set(stage.clock.now() - DAY)

    assert stage.here.keep_fresh().renewed == 0
    assert stage.here.get(id=token.id).access_token
    assert other.keep_fresh().renewed == 1


def test_suspended(stage):
    """After a suspend what has come due is renewed, once."""
    token = stage.login(left=HOUR)
    assert stage.here.keep_fresh().renewed == 0
    stage.clock.set(stage.clock.now() + 8 * HOUR)  # the monotonic clock stood still

    assert stage.here.keep_fresh().renewed == 1
    assert stage.here.keep_fresh().renewed == 0
    assert stage.stored(token).expires_at == stage.clock.now() + HOUR


def test_renewed_elsewhere(stage):
    """What another host has claimed since it was read is not counted here, and not waited for."""
    token = stage.login()
    assert stage.here.keep_fresh().renewed == 1
    stage.here.store.swap(stage.stored(token).but(expires_at=stage.clock.now() - 1))
    due = stage.here.store.some_due
    claim = Claim(nonce="n", holder=of_another_host(holder.me()), taken_at=NOON, length=20.0)

    def claimed_meanwhile(now, most, on_error=None):
        rows = due(now, most, on_error)
        if rows:
            stage.here.store.some_due = due
            stage.here.store.swap(rows[0].with_renewal(claim=claim))
        return rows

    stage.here.store.some_due = claimed_meanwhile

    assert stage.here.keep_fresh().renewed == 0
    assert len(stage.provider.calls) == 1
    assert [] == stage.clock.slept


def test_left_behind_elsewhere(stage):
    """What a host that is gone had claimed is taken over within a minute; nothing waits for it."""
    token = stage.login(left=-1)
    gone = Claim(nonce="gone", holder=of_another_host(holder.me()), taken_at=NOON, length=20.0)
    stage.here.store.swap(token.with_renewal(claim=gone))
    stop = Until(stage.clock, NOON + MINUTE)

    assert stage.here.keep_fresh(stop).renewed == 1


def test_budget_and_a_second_call():
    """After a fault that may pass it is asked once more, but not with a caller's last call."""
    stage = Stage(mint_limit=3, mint_window=600.0)
    token = stage.login()
    stage.here.store.swap(token.with_renewal(mints=(stage.clock.now() - 10,)))
    stage.provider.trouble = errors.ProviderUnavailable("no sense in it")

    assert stage.here.keep_fresh().failed == 1
    assert len(stage.provider.calls) == 1
    assert len(stage.stored(token).renewal.mints) == 2


def test_budget_and_a_lost_race():
    """Who has lost a race does not take a caller's last call in the second round."""
    stage = Stage(mint_limit=3, mint_window=600.0)
    token = stage.login(left=-1)
    due, mints = stage.here.store.some_due, (stage.clock.now() - 20, stage.clock.now() - 10)

    def overtaken(now, most, on_error=None):
        rows = due(now, most, on_error)
        stage.here.store.some_due = due
        stage.here.store.swap(rows[0].with_renewal(mints=mints))
        return rows

    stage.here.store.some_due = overtaken

    assert stage.here.keep_fresh().renewed == 0
    assert [] == stage.provider.calls
    assert stage.here.get(id=token.id).access_token == "new-1"


def test_quiet_hours_while_it_runs(stage):
    """Their begin and end are kept by one that runs through them; what piled up is spread."""
    stage.rule(quiet_hours="13:00-15:00")
    begins, ends = NOON + HOUR, NOON + 3 * HOUR
    for number in range(60):
        stage.login(f"user{number}", left=HOUR + 20 * number)
    times = []
    stage.provider.during = lambda _: times.append(stage.clock.now())

    done = stage.here.keep_fresh(Until(stage.clock, ends + 10 * MINUTE), workers=1)

    after = [at for at in times if at >= ends]
    assert done.renewed == len(times)
    assert len(after) == len({*stage.provider.calls}) == 60
    assert [] == [at for at in times if begins <= at < ends]
    assert max(Counter(int(at // 10) for at in after).values()) < len(after) / 2
    assert max(after) < ends + 5 * MINUTE


def test_who_waits_after_quiet_hours(stage):
    """After quiet hours nobody's turn comes later than a caller would have to wait for it."""
    profile, ends = stage.provider.profile, NOON + 3 * HOUR
    stage.rule(quiet_hours="13:00-15:00")
    token, policies = stage.login(left=HOUR), stage.here.store.policies
    turns = {}
    for left in (0, 70, 100, 200):
        each = token.but(expires_at=ends + left)
        versions = (each.but(version=f"{number:032x}") for number in range(100))
        turns[left] = [renewed_at(one, NOON, policies, profile) - ends for one in versions]

    assert 0 < min(turns[0]) < 60 < max(turns[0]) < 120
    assert 10 == max(turns[70])
    assert 40 == max(turns[100])
    assert max(turns[200]) < 120


def test_public_client(stage):
    """A client without a secret is renewed like any other."""
    assert stage.login().client_secret is None

    assert stage.here.keep_fresh().renewed == 1


def test_without_the_provider(stage):
    """Of one that is away no more than two calls a minute are made, whatever is due; then all."""
    for number in range(50):
        stage.login(f"user{number}")
    stage.provider.trouble = errors.ProviderUnavailable("no", answered=False, passing=False)

    stage.here.keep_fresh(Until(stage.clock, NOON + 20 * MINUTE))

    assert 20 / 2 < len(stage.provider.calls) <= 20 * 2
    stage.provider.trouble = None
    stage.clock.advance(MINUTE)
    assert stage.here.keep_fresh().renewed == 50


@pytest.mark.parametrize(
    "trouble",
    [
        errors.ProviderUnavailable("Status 503"),
        errors.ProviderRefused("The client is refused", error="invalid_client"),
    ],
    ids=["errors", "refuses the client"],
)
def test_one_that_answers_with_errors(stage, trouble):
    """A provider that fails for whoever comes is left alone, too; another client's go on."""
    for number in range(50):
        stage.login(f"user{number}")
    stage.provider.trouble = trouble
    stage.here.keep_fresh(Until(stage.clock, NOON + 15 * MINUTE), workers=1)

    assert 15 < len(stage.provider.calls) < 100  # of 900


def test_another_client(stage):
    """Where one client is refused, another's tokens at the same issuer are renewed."""
    for number in range(20):
        stage.login(f"user{number}")
        stage.login(f"other{number}", client_id="another")

    def refuse(token):
        stage.provider.trouble = None
        if token.client_id == "client":
            stage.provider.trouble = errors.ProviderRefused("No", error="invalid_client")

    stage.provider.during = refuse

    done = stage.here.keep_fresh(workers=1)

    assert (20, 3) == (done.renewed, done.failed)


def test_one_bad_token(stage):
    """A token that always fails holds the others up in nothing."""
    stage.login("bad")
    for number in range(30):
        stage.login(f"user{number}")

    def fail(token):
        stage.provider.trouble = (
            errors.ProviderUnavailable("Status 500") if token.user == "bad" else None
        )

    stage.provider.during = fail

    assert stage.here.keep_fresh(workers=1).renewed == 30


def test_misconfigured(stage):
    """What only another configuration helps is written about now and then, not all the time."""
    for number in range(5):
        stage.login(f"user{number}")
    stage.provider.trouble, told = errors.ConfigurationError("No token endpoint"), []

    stage.here.keep_fresh(Until(stage.clock, NOON + HOUR), on_error=told.append)

    assert 5 * 5 <= len(stage.provider.calls) == len(told) <= 5 * 7


def test_what_stays_due_is_not_read_all_the_time(stage, monkeypatch):
    """Many that are due to something else are looked at the more seldom the longer it takes."""
    looks, due = [], stage.here.store.due

    def slow(now, on_error=None):
        looks.append(now)
        time.sleep(1.0)
        return due(now, on_error)

    monkeypatch.setattr(stage.here.store, "due", slow)

    stage.here.keep_fresh(Until(stage.clock, NOON + 2 * MINUTE))

    assert 4 <= len(looks) <= 13  # every twenty seconds, more or less by half


def test_a_handler_may_set_it(stage):
    """It never waits within the event, whose lock a signal handler would wait for for ever."""

    class Unwaited(Until):
        def wait(self, timeout=None):
            raise AssertionError(timeout)

    assert stage.here.keep_fresh(Unwaited(stage.clock, NOON + MINUTE)).renewed == 0


def test_a_listener_that_fails(stage):
    """What `on_error` raises ends it, and is not swallowed by a thread."""
    stage.login("gone")
    stage.providers.unknown.add("gone")

    def fail(exc):
        raise ZeroDivisionError from exc

    with pytest.raises(ZeroDivisionError):
        stage.here.keep_fresh(threading.Event(), on_error=fail)


def test_logged(stage, caplog):
    """Without `on_error` it is in the log: once for each outage of the store."""
    stage.login("gone")
    stage.providers.unknown.add("gone")
    due, stop = stage.backend.due, Until(stage.clock, NOON + HOUR)

    def away(*args, **kwargs):
        if NOON + 600 < stage.clock.now() < NOON + 1200:
            raise StoreUnavailable("The database did not answer")
        return due(*args, **kwargs)

    stage.backend.due = away
    stage.here.keep_fresh(stop)

    said = [each.getMessage() for each in caplog.records]
    assert 1 == sum("keep_fresh: The database did not answer" in each for each in said)
    assert 1 <= sum("keep_fresh: There is no provider" in each for each in said) <= 7


def test_a_store_that_can_only_be_read(stage):
    """Where nothing can be written nobody is asked, and not each token is tried."""
    tokens = [stage.login(f"user{number}") for number in range(20)]
    write, told, tried = stage.backend.write, [], []

    def refused(*args, **_):
        tried.append(args)
        raise StoreUnavailable("It may only be read")

    stage.backend.write = refused
    stage.here.keep_fresh(Until(stage.clock, NOON + 20), on_error=told.append, workers=1)

    assert [] == stage.provider.calls
    assert len(tried) <= 10
    assert 1 == len(told)
    stage.backend.write = write
    assert stage.here.keep_fresh().renewed == len(tokens)
