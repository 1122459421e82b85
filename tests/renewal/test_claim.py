"""HOLDER, from claim to call. Rules `jlook`, `recheck`, `precheck`, `journal`."""

from __future__ import annotations

import pytest
from renewal_scenario import Actor, Crash, crash, dead_holder

from tokenkeep import ProviderUnavailable, StoreUnavailable, Token, TokenRevoked
from tokenkeep.journal import FolderJournal
from tokenkeep.providers import Answer
from tokenkeep.renewal.outcomes import answered


def journaled(world):
    """Leave behind what a process of this host leaves that dies before its save."""
    base = world.stored
    world.provider.current["login-1"] += 1
    answer = Answer(
        access_token="journaled access",
        refresh_token=f"login-1/{world.provider.current['login-1']}",
        expires_in=3600.0,
    )
    entry = answered(base, answer, world.provider, asked=base, sent_at=world.clock.now())
    return world.here.journal.put(entry)


def test_claim_lost_to_another(world):
    """Invariant 2: who loses the race for the claim uses the winner's token."""
    world.here.store.before["claim"].append(lambda: world.get(world.there))

    assert world.get().access_token == world.stored.access_token
    assert world.calls == 1


def test_outcome_of_the_claim_is_not_known(limited):
    """A claim that was committed without a word is recognised by its nonce, and used."""
    limited.here.store.unknown.append("claim")

    limited.get()

    assert limited.here.store.written == ["claim", "save"]
    assert 1 == limited.calls == len(limited.stored.renewal.mints)


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
    assert store.written == ["claim", "save"]


def test_claim_that_was_not_committed_while_the_token_is_good(world):
    """A token that still works outlives a store that can't be written."""
    world.write(expires_at=world.clock.now() + 20)
    world.here.store.refused.append("claim")

    assert world.get().access_token == "access-1"


def test_revoked_while_the_claim_s_outcome_was_unknown(world):
    """A claim that was swept away by a revocation is not mine any more."""
    world.here.store.unknown.append("claim")
    world.here.store.after["claim"].append(lambda: world.there.keeper.revoke(world.id))

    assert TokenRevoked is world.outcome()
    assert world.provider.sent == []


def test_answer_left_in_the_journal(killing):
    """Invariant 4: an answer that a dead process of this host left is saved instead of asking."""
    journaled(killing)

    assert "journaled access" == killing.get().access_token == killing.stored.access_token
    assert (killing.provider.sent, killing.kept) == ([], [])


def test_answer_is_journaled_before_the_save(killing):
    """Invariant 4: who dies between a rotating answer and its save loses nothing."""
    killing.here.store.before["save"].append(crash)
    with pytest.raises(Crash):
        killing.get()

    token = killing.get(killing.beside)

    assert killing.provider.sent == ["login-1/0"]
    assert "login-1/1" == token.refresh_token == killing.stored.refresh_token
    assert set() == killing.provider.dead


def test_room_is_given_back(tmp_path, rotating):
    """Room is there before the call, as large as any answer; not needed, it is free again."""
    folder = tmp_path / "journal"
    rotating.here = Actor(rotating, FolderJournal(folder, rotating.header))
    rooms = []
    look = lambda: rooms.extend(path.stat().st_size for path in folder.iterdir())  # noqa: E731
    rotating.provider.before.append(look)
    rotating.down()

    assert ProviderUnavailable is rotating.outcome()
    (room,) = rooms
    assert room >= 16_384
    assert list(folder.iterdir()) == []


def test_unrotated_answer_needs_no_journal(world):
    """Without a new refresh token another call gives the same: nothing is written to disk."""
    kept = []
    world.here.store.before["save"].append(lambda: kept.extend(world.kept))

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

    assert killing.get().access_token == "journaled access"
    assert (killing.provider.sent, killing.provider.dead) == ([], set())


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
@pytest.mark.parametrize("overtaken", [False, True])
def test_held_up(killing, where, pause, overtaken):
    """
    Invariant 2: who was held up past its claim steps back instead of sending.

    Both clocks are read before the claim is written, and the later one counts after it.
    """
    slow = killing.here.journal.slow = []
    killing.here.journal.prepare = lambda _: slow.pop()() if slow else None

    def held_up():
        pause(killing.clock)
        if overtaken:
            killing.get(killing.there)

    where(killing.here).append(held_up)

    assert killing.get().pair == killing.stored.pair
    assert killing.provider.sent == ["login-1/0"]
    assert overtaken or killing.here.store.written == ["claim", "release", "claim", "save"]


def test_another_access_token_between_take_over_and_look(rotating):
    """A claim that has become useless before the call is let go of: its own process would wait."""
    rotating.claim(dead_holder())
    began = rotating.clock.monotonic()
    theirs = Token(id=rotating.id, access_token="access of a save", expires_at=1.0)
    rotating.here.store.after["claim"].append(lambda: rotating.vault.save_token(theirs))

    assert rotating.get().access_token == "access-2"
    assert rotating.clock.monotonic() - began < 1
