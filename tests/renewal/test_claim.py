"""HOLDER, from claim to call. Rules `jlook`, `recheck`, `precheck`, `journal`."""

from __future__ import annotations

import pytest
from renewal_scenario import Actor, away, dead_holder

from tokenkeep import StoreUnavailable, Token, TokenRevoked
from tokenkeep.journal import FolderJournal
from tokenkeep.providers import Answer
from tokenkeep.renewal.outcomes import answered

ANSWER = ("access-2", "login-1/0")


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


CLAIMS = {
    "lost to another": ("before", lambda world: world.get(world.there), ANSWER, []),
    "nobody is told that it is committed": ("after", lambda _: away(), ANSWER, ["claim", "save"]),
    "nor that it is revoked since": (
        "after",
        lambda world: (world.there.keeper.revoke(world.id), away()),
        TokenRevoked,
        ["claim"],
    ),
    "not committed": ("before", lambda _: away(), StoreUnavailable, ["claim", "save"]),
    "nor can the row be read": (
        "before",
        lambda world: world.here.store.goes_down(),
        StoreUnavailable,
        ["claim", "save"],
    ),
}


@pytest.mark.parametrize(("when", "step", "outcome", "written"), CLAIMS.values(), ids=CLAIMS)
def test_claim(limited, when, step, outcome, written):
    """Invariant 2: only whose nonce is in the row asks; the next caller is not held up."""
    getattr(limited.here.store, when)["claim"].append(lambda: step(limited))

    assert outcome == limited.outcome()
    if outcome is StoreUnavailable:
        assert limited.provider.sent == []
        limited.here.store.down = False
        assert ANSWER == limited.outcome()
    assert written == limited.here.store.written
    assert limited.calls == (outcome is not TokenRevoked)
    assert ANSWER != outcome or len(limited.stored.renewal.mints) == 1


def test_what_is_on_disk(tmp_path, either):
    """Where an answer has no new refresh token another call gives the same: nothing is on disk."""
    folder, seen = tmp_path / "journal", []
    either.here = Actor(either, FolderJournal(folder, either.header))
    either.here.store.before["save"].append(lambda: seen.extend(folder.glob("*")))

    either.get()

    assert len(seen) == either.provider.rotates == folder.exists()
    assert list(folder.glob("*")) == []


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


@pytest.mark.parametrize(
    ("where", "pause"),
    [
        (lambda here: here.store.before["claim"], lambda clock: clock.advance(15)),
        (lambda here: here.store.after["claim"], lambda clock: clock.set(clock.now() + 3600)),
        (
            lambda here: here.store.after["claim"],
            lambda clock: (clock.advance(15), clock.set(clock.now() - 15)),
        ),
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
    killing.here.journal.prepare = lambda: slow.pop()() if slow else None

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
