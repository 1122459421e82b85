"""HOLDER, from claim to call. Rules `mintat`, `jlook`, `recheck`, `precheck`, `journal`."""

from __future__ import annotations

import pytest
from renewal_scenario import Actor, Crash, World, crash, dead_holder

from tokenkeep import CoolingDown, ProviderUnavailable, StoreUnavailable, Token
from tokenkeep.journal import FolderJournal
from tokenkeep.providers import Answer
from tokenkeep.renewal.outcomes import answered


def journaled(world):
    """Leave behind what a process of this host leaves that dies before its save."""
    base = world.stored
    family, number = base.refresh_token.split("/")
    world.provider.current[family] += 1
    answer = Answer(
        access_token="journaled access",
        refresh_token=f"{family}/{int(number) + 1}",
        expires_in=3600.0,
    )
    entry = answered(base, answer, world.provider, asked=base, sent_at=world.clock.now())
    return world.here.journal.put(entry)


def test_failed_call_counts(world):
    """Invariant 6: a call without an answer is one of the budget, for the whole fleet."""
    world.provider.profile = world.provider.profile.__class__(rotates=False, mint_limit=1)
    world.provider.trouble.append(ProviderUnavailable("It did not answer"))
    with pytest.raises(ProviderUnavailable):
        world.get()
    world.clock.advance(60)

    with pytest.raises(CoolingDown):
        world.get(world.there)

    assert len(world.provider.sent) == 1


def test_claim_lost_to_another(world):
    """Invariant 2: who loses the race for the claim uses the winner's token."""
    world.here.store.before["claim"].append(lambda: world.get(world.there))

    token = world.get()

    assert token.access_token == world.stored.access_token
    assert len(world.provider.sent) == 1


def test_outcome_of_the_claim_is_not_known(limited):
    """A claim that was committed without a word is recognised by its nonce, and used."""
    limited.here.store.unknown.append("claim")

    limited.get()

    assert limited.here.store.written == ["claim", "save"]
    assert 1 == len(limited.provider.sent) == len(limited.stored.renewal.mints)


@pytest.mark.parametrize("can_be_read", [True, False])
def test_claim_that_was_not_committed(world, can_be_read):
    """Without its nonce in the record nobody holds a claim, and nobody is asked."""
    store = world.here.store
    store.refused.append("claim")
    store.before["claim"].append(lambda: setattr(store, "down", not can_be_read))

    with pytest.raises(StoreUnavailable):
        world.get()

    assert world.provider.sent == []
    store.down = False
    store.refused.clear()
    world.get()
    assert world.here.store.written == ["claim", "save"]


def test_claim_that_was_not_committed_while_the_token_is_good(world):
    """A token that still works outlives a store that can't be written."""
    world.write(expires_at=world.clock.now() + 20)
    world.here.store.refused.append("claim")

    assert world.get().access_token == "access-1"


def test_revoked_while_the_claim_s_outcome_was_unknown(world):
    """A claim that was swept away by a revocation is not mine any more."""
    world.here.store.unknown.append("claim")
    world.here.store.after["claim"].append(lambda: world.there.keeper.revoke(world.id))

    with pytest.raises(Exception, match="revoked"):
        world.get()

    assert world.provider.sent == []


def test_answer_left_in_the_journal(killing):
    """Invariant 4: an answer that a dead process of this host left is saved instead of asking."""
    journaled(killing)

    token = killing.get()

    assert "journaled access" == token.access_token == killing.stored.access_token
    assert killing.provider.sent == []
    assert list(killing.here.journal.entries()) == []


def test_answer_left_for_another_base(killing):
    """An entry that replaces another pair says nothing about this one."""
    journaled(killing)
    killing.provider.current["login-1"] = 0
    killing.write(access_token="someone else's")

    token = killing.get()

    assert token.access_token == "access-2"
    assert killing.provider.sent == ["login-1/0"]


def test_answer_is_journaled_before_the_save(killing):
    """Invariant 4: who dies between a rotating answer and its save loses nothing."""
    killing.here.store.before["save"].append(crash)
    with pytest.raises(Crash):
        killing.get()

    token = killing.get(killing.beside)

    assert killing.provider.sent == ["login-1/0"]
    assert "login-1/1" == token.refresh_token == killing.stored.refresh_token
    assert set() == killing.provider.dead


def test_no_room_for_the_only_answer():
    """Invariant 4: with a rotating provider and a full disk nobody is asked."""
    world = World(rotates=True, mint_limit=10)

    def full(_):
        raise StoreUnavailable("The journal can't be written: no space left")

    world.here.journal.prepare = full

    with pytest.raises(StoreUnavailable, match="no space"):
        world.get()

    assert world.provider.sent == []
    assert world.stored.renewal.claim is None
    assert world.stored.renewal.mints == ()


def test_room_is_given_back(tmp_path, rotating):
    """Room is there before the call, as large as any answer; not needed, it is free again."""
    folder = tmp_path / "journal"
    rotating.here = Actor(rotating, FolderJournal(folder, rotating.header))
    rooms = []
    look = lambda: rooms.extend(path.stat().st_size for path in folder.iterdir())  # noqa: E731
    rotating.provider.before.append(look)
    rotating.down()

    with pytest.raises(ProviderUnavailable):
        rotating.get()

    assert len(rooms) == 1
    assert rooms[0] >= 16_384
    assert list(folder.iterdir()) == []


def test_unrotated_answer_needs_no_journal(world):
    """Without a new refresh token another call gives the same: nothing is written to disk."""
    kept = []
    world.here.store.before["save"].append(
        lambda: kept.extend(world.here.journal.entries()),
    )

    world.get()

    assert kept == []


def test_replayed_between_take_over_and_look(killing):
    """
    Invariant 2: after a take-over the holder looks again before it sends.

    The dead holder's answer was saved, and left the journal, after the claim
    was taken over and before the journal was looked at.
    """
    killing.claim(ago=1000)
    # Not earlier: who waits for a claim looks into the journal as well.
    killing.here.store.before["claim"].append(lambda: journaled(killing))
    killing.here.store.after["claim"].append(killing.beside.keeper.sweep)

    token = killing.get()

    assert killing.provider.sent == []
    assert token.access_token == "journaled access"
    assert set() == killing.provider.dead


def test_pause_between_claim_and_call(killing):
    """Invariant 2: who was held up past its claim steps back instead of sending."""

    def sleep_and_be_overtaken():
        killing.clock.advance(15)
        killing.get(killing.there)

    killing.here.store.after["claim"].append(sleep_and_be_overtaken)

    token = killing.get()

    assert killing.provider.sent == ["login-1/0"]
    assert token.pair == killing.stored.pair
    assert set() == killing.provider.dead


def turned_back(clock):
    clock.advance(15)
    clock.set(clock.now() - 15)


@pytest.mark.parametrize(
    ("where", "pause"),
    [
        (lambda here: here.store.before["claim"], lambda clock: clock.advance(15)),
        (lambda here: here.store.after["claim"], lambda clock: clock.set(clock.now() + 3600)),
        (lambda here: here.store.after["claim"], turned_back),
        (lambda here: here.journal.slow, lambda clock: clock.advance(15)),
    ],
    ids=["a slow commit", "a suspend stops one clock", "the other turned back", "a slow journal"],
)
def test_held_up(rotating, where, pause):
    """Both clocks are read before the claim is written, and the later one counts after it."""
    slow = rotating.here.journal.slow = []
    rotating.here.journal.prepare = lambda _: slow.pop()() if slow else None
    where(rotating.here).append(lambda: pause(rotating.clock))

    rotating.get()

    assert rotating.here.store.written == ["claim", "release", "claim", "save"]
    assert len(rotating.provider.sent) == 1


def test_another_access_token_between_take_over_and_look(rotating):
    """A claim that has become useless before the call is let go of: its own process would wait."""
    rotating.claim(dead_holder())
    began = rotating.clock.monotonic()

    def another_s_save():
        rotating.vault.save_token(
            Token(id=rotating.id, access_token="access of a save", expires_at=1.0)
        )

    rotating.here.store.after["claim"].append(another_s_save)

    assert rotating.get().access_token == "access-2"
    assert rotating.clock.monotonic() - began < 1
