"""What is told outside: deaths, recoveries and outages, each once by the fleet, and only if so."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

import pytest
from receivers import redirect, slow
from renewal_scenario import USER, World, failing, landed
from test_claims import journaled

from tokenkeep import (
    Keeper,
    LoginNeeded,
    Notices,
    ProviderUnavailable,
    Status,
    StoreUnavailable,
    Token,
    notices,
)
from tokenkeep.moving import Merge, StoreSource
from tokenkeep.providers import Reply
from tokenkeep.stores.list import ListStore

HOUR, DAY = 3600.0, 86_400.0


class Host:
    """A process with somebody to tell; *actor* is whose eyes it has."""

    def __init__(self, world, whom, actor=None, clock=None):
        actor = actor or world.there
        self.seen = []
        self.keeper = Keeper(
            actor.store,
            providers=actor.providers,
            clock=clock or world.clock,
            on_event=self.seen.append,
            notices=whom,
        )

    def sweep(self):
        swept = self.keeper.sweep()
        return swept.told, swept.untold

    def names(self):
        return [event.name for event in self.seen]


def quiet():
    """Wait until nothing is being told in this process any more."""
    for thread in threading.enumerate():
        if thread.name == "tokenkeep-notices":
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def host(world, receiver):
    """A process on another host than *here*, with the receiver to tell."""
    return Host(world, receiver.notices(login_link="https://desk.example/?u={user}"))


def die(world, actor=None):
    """Let a renewal meet that consent was withdrawn."""
    world.provider.dead.add("login-1")
    assert LoginNeeded is world.outcome(partial(world.get, actor))


def rise(world):
    """Let the provider take the refresh token again, and somebody ask."""
    world.provider.dead.clear()
    world.here.keeper.renew(world.id)


def log_in(world):
    """Let the user log in again, in the process that is watched."""
    return world.here.keeper.save(
        Token(
            user=USER,
            client_id="client",
            client_secret="s3cret",
            access_token="newer",
            refresh_token="login-2/0",
            expires_at=world.clock.now() + 3600,
            issuer="https://provider.example/token",
            api_domain="https://api.example",
        )
    )


def notice(world):
    return world.stored.renewal.notice


# A death


def test_at_once(world, receiver):
    """Who meets it tells it at once, by itself, once; it says whose it is and what to do."""
    mine = Host(world, receiver.notices(login_link="https://desk.example/?u={user}"), world.here)
    died_at = world.clock.now()
    world.provider.dead.add("login-1")

    for _ in range(2):
        with pytest.raises(LoginNeeded):
            mine.keeper.get(id=world.id)

    receiver.wait(1)
    quiet()
    (facts,) = receiver.facts
    assert facts.pop("id")
    assert facts == {
        "event": "login_needed",
        "at": died_at,
        "token_id": world.id,
        "user": USER,
        "provider": "scripted",
        "issuer": "https://provider.example/token",
        "error": "invalid",
        "lasted": None,
        "hint": "Let this user log in again",
        "login_link": "https://desk.example/?u=ana%40example.com%3A1",
    }
    assert receiver.is_signed(0, died_at)
    assert notice(world).next_at is None
    world.clock.advance(HOUR)
    assert (0, 0) == mine.sweep()
    assert ["login_needed"] == [name for name in mine.names() if name != "renewal_failed"]


def test_slow_webhook_holds_nobody(world, receiver):
    """Invariant 12: a caller has its answer at once, whatever a webhook does."""
    receiver.always = slow
    mine = Host(world, receiver.notices(), world.here)
    world.provider.dead.add("login-1")
    began = time.monotonic()

    with pytest.raises(LoginNeeded):
        mine.keeper.get(id=world.id)

    assert time.monotonic() - began < 2
    receiver.wait(1)
    receiver.over.set()
    quiet()


def test_end_of_a_program(world, receiver):
    """A keeper that is closed gives what it tells a moment: else a short program never would."""
    mine = Host(world, receiver.notices(), world.here)
    receiver.answers.append(lambda handler: (time.sleep(0.2), handler.send_error(204)))
    world.provider.dead.add("login-1")
    with mine.keeper, pytest.raises(LoginNeeded):
        mine.keeper.get(id=world.id)

    assert ["login_needed"] == receiver.events
    assert notice(world).next_at is None


def test_end_of_a_program_with_a_slow_webhook(world, receiver):
    """Invariant 12: but a moment only."""
    receiver.always = slow
    mine = Host(world, receiver.notices(), world.here)
    world.provider.dead.add("login-1")
    with pytest.raises(LoginNeeded):
        mine.keeper.get(id=world.id)
    receiver.wait(1)
    began = time.monotonic()

    mine.keeper.close()

    assert time.monotonic() - began < 5
    receiver.over.set()
    quiet()


def test_once_by_the_fleet(world, receiver, host):
    """A host that tells nobody leaves it to one that does; of several sweeps one tells it."""
    host.sweep()
    die(world)
    others = [Host(world, receiver.notices(), each) for each in (world.here, world.beside)]

    assert (0, 0) == Host(world, None).sweep()
    assert (1, 0) == host.sweep()
    assert [(0, 0)] * 2 == [each.sweep() for each in others]
    assert ["login_needed"] == receiver.events


def test_claimed_at_the_same_time(world, receiver, host):
    """Of two that begin to tell it at once, one does: the claim is compared and written."""
    die(world)
    other = Host(world, receiver.notices(), world.here)
    world.there.store.before["login_needed"].append(other.sweep)

    assert (0, 0) == host.sweep()
    assert ["login_needed"] == receiver.events


def test_claim_beside_other_writes(world, host):
    """A write of something else in between costs a look, not the notice."""
    die(world)
    world.there.store.before["login_needed"].append(lambda: world.write(scope="wider"))

    assert (1, 0) == host.sweep()
    assert (notice(world).next_at, world.stored.scope) == (None, "wider")


@pytest.mark.parametrize("other", ["another tells it", "somebody insists on one renewal more"])
def test_in_between(world, receiver, host, other):
    """What came in between counts: nobody tells over another's claim, nor while it may heal."""
    die(world)
    mine = notice(world)

    def steps_in():
        if other == "another tells it":
            world.write_renewal(notice=notices.claimed(mine, world.clock.now()))
        else:
            world.write(status=Status.OK)

    world.there.store.before["login_needed"].append(steps_in)

    assert (0, 0) == host.sweep()
    assert [] == receiver.calls


@pytest.mark.parametrize("answer", [500, redirect, 404], ids=["500", "redirect", "404"])
def test_down_for_a_day(world, receiver, host, answer):
    """A webhook that answers nonsense for a day is told once it does not; seldom, all the time."""
    die(world)
    receiver.always = answer
    for _ in range(24 * 12):
        host.sweep()
        world.clock.advance(DAY / 24 / 12)
    tries = len(receiver.calls)
    receiver.always = 204
    world.clock.advance(HOUR)

    assert (1, 0) == host.sweep()
    world.clock.advance(DAY)
    assert (0, 0) == host.sweep()

    assert 20 <= tries < notices.MOST_TRIES
    assert 1 == len({each["id"] for each in receiver.facts})
    assert {"/told"} == {path for path, _, _ in receiver.calls}


def test_given_up(world, receiver, host, caplog):
    """After thirty tries it is given up, and that is an error in the log."""
    die(world)
    receiver.always = 500
    for _ in range(40):
        host.sweep()
        world.clock.advance(HOUR)

    assert notices.MOST_TRIES == len(receiver.calls)
    (said,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "not told any more after 30 tries" in said.getMessage()


def test_many_at_a_webhook_that_is_down(world, receiver, host):
    """A sweep does not wait for it once for each: three in a row, and the rest is for later."""
    for number in range(2, 12):
        world.login(f"login-{number}", user=f"u{number}@x:1")
        world.provider.dead.add(f"login-{number}")
    die(world)
    for token in list(world.here.keeper.tokens()):
        world.outcome(partial(world.here.keeper.get, id=token.id))
    receiver.always = 500

    assert (0, 11) == host.sweep()
    assert 3 == len(receiver.calls)
    receiver.always = 204
    assert (8, 0) == host.sweep()
    world.clock.advance(60)
    assert (3, 0) == host.sweep()
    assert 11 == len({each["user"] for each in receiver.facts})


def test_two_to_tell(world, receiver, tmp_path):
    """If one of them has not taken it, only that one is told again."""
    out = tmp_path / "out"
    line = f'echo "$TOKENKEEP_EVENT" >> {out}'
    both = Host(world, receiver.notices(command=["/bin/sh", "-c", line]))
    die(world)
    receiver.answers += [500, 500]

    for _ in range(4):
        both.sweep()
        world.clock.advance(HOUR)

    assert "login_needed\n" == out.read_text()
    assert 3 == len(receiver.calls)
    assert notice(world).next_at is None


def test_others_of_another_host(world, receiver, tmp_path):
    """What this host's have taken waits for those of another; that one is not called done here."""
    command = ["/bin/sh", "-c", f'echo "$TOKENKEEP_EVENT" >> {tmp_path}/out']
    both = Host(world, receiver.notices(command=command))
    one = Host(world, Notices(command=command))
    die(world)
    receiver.answers.append(500)

    told = []
    for each in (both, one, both):
        told.append(each.sweep())
        world.clock.advance(61)

    assert [(0, 1), (0, 0), (1, 0)] == told
    assert "login_needed\n" == (tmp_path / "out").read_text()
    assert 2 == len(receiver.calls)


def test_nobody_to_tell(world):
    """Where no host has anybody to tell, the next sweep drops it: it is not due for ever."""
    die(world)
    assert (0, 0) == Host(world, Notices()).sweep()

    assert notice(world).next_at is None
    assert [] == list(world.vault.due(world.clock.now() + DAY))
    log_in(world)
    assert (0, 0) == Host(world, None).sweep()


def test_left_to_another_host(world, receiver, host):
    """It is left to a host that has somebody, for a week and a day after that was seen last."""
    silent = Host(world, None, world.here)
    for _ in range(10):
        assert (0, 0) == host.sweep()
        world.clock.advance(DAY)
    die(world)
    world.clock.advance(6 * DAY)
    silent.sweep()
    assert notice(world).next_at is not None
    assert [] == receiver.calls
    world.clock.advance(2 * DAY)
    silent.sweep()

    assert notice(world).next_at is None


def test_who_tells_at_once_is_known_too(world, receiver):
    """Nor need that one ever sweep."""
    mine = Host(world, receiver.notices(), world.here)
    receiver.answers.append(500)
    world.provider.dead.add("login-1")
    with pytest.raises(LoginNeeded):
        mine.keeper.get(id=world.id)
    receiver.wait(1)
    quiet()
    world.clock.advance(HOUR)
    Host(world, None).sweep()

    assert notice(world).next_at is not None


# What crashes, pauses and clocks do


def test_pause_before_it_is_told(world, receiver, host):
    """
    A process that was suspended between its claim and the call does not tell.

    Others may have; the monotonic clock stands still in a suspend, the time of day goes on.
    """
    die(world)
    woken = world.clock.now() + HOUR
    world.there.store.after["login_needed"].append(lambda: world.clock.set(woken))

    assert (0, 0) == host.sweep()
    assert [] == receiver.calls
    assert (1, 0) == host.sweep()
    assert ["login_needed"] == receiver.events


def test_store_down_after_it_was_told(world, receiver, host):
    """If it can't be noted that it is told, it is told again: with the same id."""
    die(world)
    world.there.store.after["login_needed"].append(
        lambda: world.there.store.before["login_needed"].append(
            failing(StoreUnavailable("The database did not answer"))
        )
    )
    with pytest.raises(StoreUnavailable):
        host.sweep()

    world.clock.advance(61)
    assert (1, 0) == host.sweep()
    first, second = receiver.facts
    assert first == second


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_clock_that_jumps(world, receiver, host, jump):
    """A clock that jumps a day and back ends nothing early, and tells nothing twice."""
    die(world)
    receiver.answers.append(500)
    assert (0, 1) == host.sweep()
    world.clock.set(world.clock.now() + jump)
    host.sweep()
    Host(world, None, world.here).sweep()
    world.clock.set(world.clock.now() - jump)
    for _ in range(48):
        world.clock.advance(HOUR)
        host.sweep()

    assert 2 == len(receiver.calls)
    assert 1 == len({each["id"] for each in receiver.facts})
    assert notice(world).next_at is None


def test_fork(world, receiver, fork):
    """A child tells what it meets, though a thread of its parent's was telling as it was made."""
    mine = Host(world, receiver.notices(), world.here)
    other = world.login("login-2", user="ben@example.com:2")
    world.provider.dead |= {"login-1", "login-2"}
    receiver.answers.append(slow)
    assert LoginNeeded is world.outcome(partial(mine.keeper.get, id=world.id))
    receiver.wait(1)

    def work(_):
        with pytest.raises(LoginNeeded):
            mine.keeper.get(id=other.id)
        ends = time.monotonic() + 30
        while world.vault.reread(other.id).renewal.notice.next_at is not None:
            assert time.monotonic() < ends
            time.sleep(0.01)

    fork(work).end()

    assert [USER, "ben@example.com:2"] == [each["user"] for each in receiver.facts]
    receiver.over.set()
    quiet()


# Recovery


RECOVERIES = {"a login": log_in, "a deliberate renewal": rise}


@pytest.mark.parametrize("recovers", RECOVERIES.values(), ids=RECOVERIES)
def test_recovery(world, receiver, host, recovers):
    """After a death that was told it is told as well, once; with how long the token was dead."""
    die(world)
    host.sweep()
    world.clock.advance(HOUR)
    recovers(world)

    assert (1, 0) == host.sweep()
    for _ in range(3):
        world.expire()
        world.get()
        host.sweep()

    assert ["login_needed", "recovered"] == receiver.events
    assert (HOUR, None) == tuple(map(receiver.facts[1].get, ("lasted", "login_link")))
    assert notice(world) is None
    assert 1 == world.here.names().count("recovered")


@pytest.mark.parametrize("recovers", RECOVERIES.values(), ids=RECOVERIES)
def test_recovered_before_it_was_told(world, receiver, host, recovers):
    """A death that is over before anybody has begun to tell it is told to nobody."""
    die(world)
    recovers(world)
    world.clock.advance(HOUR)

    assert (0, 0) == host.sweep()
    assert [] == receiver.calls
    assert "recovered" in world.here.names()


@pytest.mark.parametrize("recovers", RECOVERIES.values(), ids=RECOVERIES)
def test_recovered_while_the_webhook_is_down(world, receiver, host, recovers):
    """What is over is not told any more; that it works is, as nobody knows what has arrived."""
    die(world)
    receiver.always = 500
    host.sweep()
    recovers(world)
    receiver.always = 204
    world.clock.advance(HOUR)

    assert (1, 0) == host.sweep()
    assert ["login_needed", "recovered"] == receiver.events


def test_recovery_arrives_behind_the_death(world, receiver, host):
    """What is on its way arrives first: a recovery waits until it must have."""
    die(world)
    receiver.answers.append(lambda handler: (log_in(world), handler.send_error(204)))
    other = Host(world, receiver.notices(), world.here)

    assert (1, 0) == host.sweep()
    assert (0, 0) == other.sweep()
    world.clock.advance(notices.TELLING)
    assert (1, 0) == other.sweep()
    assert ["login_needed", "recovered"] == receiver.events


def test_dead_again(world, receiver, host):
    """The next death is told as well."""
    die(world)
    host.sweep()
    log_in(world)
    host.sweep()
    world.provider.dead.add("login-2")
    world.expire()
    world.outcome()
    host.sweep()

    assert ["login_needed", "recovered", "login_needed"] == receiver.events
    assert 3 == len({each["id"] for each in receiver.facts})


def test_saved_again(world):
    """A recovery is reported once, however often the same login is saved."""
    die(world)
    saved = log_in(world)
    world.clock.advance(1)
    world.here.keeper.save(saved.but(id=None, version=None))

    assert 1 == world.here.names().count("recovered")


def test_asked_once_more(world, receiver, host):
    """A deliberate renewal that is rejected again is no second death, whoever makes it."""
    die(world)
    host.sweep()
    for actor in (world.here, world.there):
        world.clock.advance(HOUR)
        world.outcome(partial(actor.keeper.renew, world.id))
    # A process that died in the midst of one leaves the row claimed, and lifted.
    world.write(status=Status.OK)
    world.clock.advance(HOUR)
    world.outcome()
    host.sweep()

    assert Status.LOGIN_NEEDED is world.stored.status
    assert ["login_needed"] == receiver.events


def test_not_while_somebody_insists(world, receiver, host):
    """While a deliberate renewal is on its way nobody is told that a login is needed."""
    die(world)
    world.provider.dead.clear()
    world.provider.before.append(lambda: told.append(host.sweep()))
    told = []

    world.here.keeper.renew(world.id)
    world.clock.advance(HOUR)
    told.append(host.sweep())

    assert [(0, 0), (0, 0)] == told
    assert [] == receiver.calls


# Not falsely


@pytest.mark.parametrize("step", ["log in", "delete", "revoke", "log out"])
def test_in_the_call(world, receiver, host, step):
    """Invariant 5: a rejection that says nothing of what is stored now is told to nobody."""
    world.provider.dead.add("login-1")
    world.provider.during.append(world.step(step))
    world.outcome()

    assert (0, 0) == host.sweep()
    assert [] == receiver.calls


@pytest.mark.parametrize("step", ["delete", "revoke", "log out", "save"])
def test_before_it_is_told(world, receiver, host, step):
    """What was deleted or revoked here meanwhile is told to nobody."""
    die(world)
    if step == "save":  # nothing of a login: it stays dead
        world.step(step)()
    else:
        world.step(step)()
        assert (0, 0) == host.sweep()
        assert [] == receiver.calls


def test_spent_by_another(rotating, receiver):
    """Invariant 5: a refresh token that another holder has rotated is no death."""
    host = Host(rotating, receiver.notices())
    rotating.provider.before.append(lambda: journaled(rotating))

    assert "journaled access" == rotating.get().access_token
    assert (0, 0) == host.sweep()
    assert [] == receiver.calls


def test_late_answer(rotating, receiver):
    """An answer that comes after the verdict takes it back: told if that was, else neither is."""
    host = Host(rotating, receiver.notices())
    rotating.provider.during.append(rotating.step("reject"))
    rotating.write_renewal(notice=notices.died(None, rotating.clock.now(), "invalid"))

    assert "access-2" == rotating.get().access_token
    assert (0, 0) == host.sweep()
    assert [] == receiver.calls


def test_consent_withdrawn_while_others_renew(killing, receiver):
    """A family that the provider has killed is told once, whoever meets it."""
    host = Host(killing, receiver.notices())
    killing.provider.dead.add("login-1")
    for actor in (killing.here, killing.there, killing.beside):
        killing.outcome(partial(killing.get, actor))
        host.sweep()
    landed()

    assert ["login_needed"] == receiver.events


@pytest.mark.parametrize("is_told", [True, False])
def test_copied(world, receiver, host, is_told):
    """A copy tells nothing of what its source tells; that it works again it tells itself."""
    die(world)
    if is_told:
        host.sweep()
    other = World(backend=None)
    target = other.vault
    target.delete_tokens()
    for _ in Merge(StoreSource(world.vault), target, clock=world.clock).steps():
        pass
    mine = Host(other, receiver.notices())

    assert (0, 0) == mine.sweep()
    other.id = world.id
    log_in(other)
    assert (is_told, 0) == mine.sweep()
    assert ["login_needed", "recovered"][: 2 * is_told] == receiver.events


def test_six_methods(world, receiver):
    """A store of six methods tells too, once in each process."""
    store = ListStore()
    saved = store.save_token(world.stored.but(id=None, version=None, expires_at=1.0))
    seen = []
    keeper = Keeper(
        store,
        providers=world.here.providers,
        on_event=seen.append,
        notices=receiver.notices(),
    )
    world.provider.dead.add("login-1")
    for _ in range(2):
        with pytest.raises(LoginNeeded):
            keeper.get(id=saved.id)
    receiver.wait(1)
    quiet()
    keeper.sweep()
    keeper.save(saved.but(id=None, version=None, refresh_token="login-2/0", access_token="b"))
    receiver.wait(2)
    quiet()
    keeper.sweep()

    assert ["login_needed", "recovered"] == receiver.events
    assert ["login_needed", "recovered"] == [each.name for each in seen]


# Outages

ISSUER = "https://provider.example/token"


def fails(world, times=3, keeper=None, token_id=None):
    """Let so many renewals in a row meet a provider that gives no definite answer."""
    keeper = keeper or world.here.keeper
    for _ in range(times):
        world.down()
        asked = partial(keeper.get, id=token_id or world.id)
        assert ProviderUnavailable is world.outcome(asked)
        quiet()  # time stands still for what is told meanwhile
        world.clock.advance(61)


@pytest.fixture
def probe(world):
    """What the provider answers when it is asked for nothing: a status, or an error to raise."""
    answers = [503]

    def ask(issuer):
        assert ISSUER == issuer
        if isinstance(answers[0], Exception):
            raise answers[0]
        return Reply(status=answers[0], body=b"")

    world.provider.probe = ask
    world.here.providers.named = world.there.providers.named = lambda _: world.provider
    return answers


@pytest.mark.usefixtures("probe")
def test_outage(world, receiver, host):
    """It is told as what it is, once, and that it is over; no token has died."""
    began = world.clock.now() + 122
    fails(world)
    host.sweep()
    fails(world, 2)
    fails(world, 2, world.there.keeper)
    host.sweep()
    world.clock.advance(DAY)
    world.get()

    assert (0, 0) == host.sweep()
    world.clock.advance(notices.OVER_LASTS)
    assert (1, 0) == host.sweep()

    assert ["outage", "outage_over"] == receiver.events
    first, last = receiver.facts
    assert (ISSUER, "It did not answer") == (first["issuer"], first["error"])
    assert pytest.approx(began, abs=1) == first["at"]
    assert (first["token_id"], first["login_link"]) == (None, None)
    assert last["lasted"] > DAY
    assert Status.OK is world.stored.status
    assert (1, 1) == tuple(map(world.here.names().count, ("outage", "outage_over")))
    assert world.vault.note("outages") is None


@pytest.mark.usefixtures("probe")
def test_outage_claimed_at_the_same_time(world, receiver, host):
    """Of two that begin to tell it at once, one does."""
    fails(world)
    other, put_note, asked = Host(world, receiver.notices(), world.beside), [], []
    vault = world.there.store.vault
    put_note.append(vault.put_note)

    def first_another(*given, **more):
        vault.put_note = put_note[0]
        asked.append(other.sweep())
        return vault.put_note(*given, **more)

    vault.put_note = first_another

    assert (0, 0) == host.sweep()
    assert [(1, 0)] == asked
    assert ["outage"] == receiver.events


def test_outage_is_looked_at_now_and_then(world):
    """Each minute a process looks what others know of it, not with each failure."""
    looks, look = [], world.here.store.note
    world.here.store.note = lambda name: looks.append(name) or look(name)
    for _ in range(100):
        world.down()
        world.outcome()
        world.clock.advance(2)

    assert 2 <= len(looks) <= 6


@pytest.mark.usefixtures("probe")
def test_outage_that_is_over_soon(world, receiver, host):
    """One of less than a minute is told to nobody; what listens in the process hears of it."""
    fails(world, 2)
    world.down()
    world.outcome()
    world.clock.advance(30)
    world.get()
    world.clock.advance(HOUR)

    assert (0, 0) == host.sweep()
    assert [] == receiver.calls
    assert {"outage", "outage_over"} <= {*world.here.names()}


@pytest.mark.usefixtures("probe")
def test_outage_told_by_who_meets_it(world, receiver):
    """A process with somebody to tell needs no sweep for it."""
    mine = Host(world, receiver.notices(), world.here)
    fails(world, 5, mine.keeper)
    world.get(mine)
    for _ in range(3):
        world.expire()
        world.get(mine)
        quiet()

    assert ["outage", "outage_over"] == receiver.events


@pytest.mark.usefixtures("probe")
def test_over_elsewhere(world, receiver, host):
    """A sweep sees that it is over, though who met it has ended: the row was renewed since."""
    fails(world)
    assert (1, 0) == host.sweep()
    world.get(world.beside)

    assert (1, 0) == host.sweep()
    assert ["outage", "outage_over"] == receiver.events


@pytest.mark.parametrize(
    ("answer", "told"),
    [(400, 1), (503, 0), (ProviderUnavailable("It did not answer"), 0)],
    ids=["it answers", "an error of its own", "no answer"],
)
def test_over_by_asking(  # noqa: PLR0917  # its fixtures
    world, receiver, host, probe, answer, told
):
    """Nor need anybody renew: it is asked for nothing, once nobody has met it for a while."""
    fails(world)
    host.sweep()
    probe[0] = answer
    assert (0, 0) == host.sweep()
    world.clock.advance(notices.OVER_LASTS)

    assert (told, 0) == host.sweep()
    assert 1 + told == len(receiver.calls)


def test_one_token_s_trouble(world, receiver, host, probe):
    """While it answers when it is asked for nothing, one token that fails is no outage."""
    probe[0] = 400
    fails(world)
    assert (0, 0) == host.sweep()
    other = world.login("login-2", user="ben@example.com:2")
    fails(world, 3, token_id=other.id)
    world.clock.advance(notices.OVER_LASTS)
    fails(world, 1)

    assert (1, 0) == host.sweep()
    assert ["outage"] == receiver.events


def test_others_are_renewed(world):
    """Nor is it one while this process renews others."""
    other = world.login("login-2", user="ben@example.com:2")
    for _ in range(6):
        world.expire()
        world.here.keeper.get(id=other.id)
        world.down()
        assert ProviderUnavailable is world.outcome()

    assert "outage" not in world.here.names()


@pytest.mark.usefixtures("probe")
def test_flapping(world, receiver, host):
    """A provider that comes and goes is told to be down once, and over once it stays up."""
    fails(world)
    host.sweep()
    for _ in range(5):
        world.get()
        host.sweep()
        world.expire()
        world.write(expires_at=world.clock.now() - 1)
        fails(world)
        host.sweep()
    assert receiver.events[0] == "outage"
    assert len(receiver.events) <= 11
    pairs = list(zip(receiver.events, receiver.events[1:], strict=False))
    assert ("outage", "outage") not in pairs
    assert ("outage_over", "outage_over") not in pairs


@pytest.mark.usefixtures("probe")
def test_outage_while_the_webhook_is_down(world, receiver, host):
    """Tried in vain and over, only its end is told."""
    fails(world)
    receiver.always = 500
    host.sweep()
    world.get()
    receiver.always = 204
    world.clock.advance(HOUR)

    assert (1, 0) == host.sweep()
    assert ["outage", "outage_over"] == receiver.events


@pytest.mark.usefixtures("probe")
def test_outage_nobody_asks_about(world, receiver, host):
    """After a week in which nobody has met it, it is forgotten, and its end not told."""
    fails(world)
    host.sweep()
    world.clock.advance(7 * DAY + HOUR)
    host.sweep()

    assert ["outage"] == receiver.events
    assert world.vault.note("outages") is None


def test_store_down_in_an_outage(world):
    """What can't be noted costs nobody an answer, nor another error."""
    world.vault.note = world.here.store.note = failing(StoreUnavailable("Down as well"))

    fails(world, 4)

    assert "outage" not in world.here.names()
