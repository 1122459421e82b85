"""An answer that can't be read at a provider that rotates: there may be the only token in it."""

from __future__ import annotations

import logging
from functools import partial

import pytest
from renewal_scenario import failing

from tokenkeep import LoginNeeded, ProviderUnavailable, Status, StoreUnavailable
from tokenkeep.renewal.late import MOST_UNREAD

FRESH = "access-2", "login-1/1"
"""What the answer holds that nobody could read."""


@pytest.fixture(params=["in memory", "in a folder"])
def odd(request, rotating, tmp_path, caplog):
    """A renewal has ended with an answer that can't be read."""
    if request.param == "in a folder":
        rotating.keep_in(tmp_path / "journal")
    rotating.provider.odd = 1
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ProviderUnavailable) as caught:
        rotating.get()
    rotating.error = caught.value
    return rotating


def test_told(odd, caplog):
    """It is reported and kept, and the error says what to do; nobody gets to see what is in it."""
    logged = "\n".join(each.getMessage() for each in caplog.get_records("setup"))
    assert f"unreadable: token {odd.id}" in logged
    assert [secret for secret in FRESH if secret in logged + str(odd.error)] == []
    assert "docs/providers.md" in str(odd.error)
    assert f"tokenkeep renew {odd.id}" in str(odd.error)
    assert odd.error.unread is None
    assert odd.here.names() == ["unreadable", "renewal_failed"]
    (entry,) = odd.kept
    assert entry.reply.content_type == "text/odd"
    assert "access-2" not in repr(entry)


TAKERS = {
    "a caller": lambda world: world.get(world.beside).pair,
    "a deliberate renewal": lambda world: world.beside.keeper.renew(world.id).pair,
    "a sweep": lambda world: world.beside.keeper.sweep().saved == 1 and world.stored.pair,
}
each_taker = pytest.mark.parametrize("take", TAKERS)


@pytest.mark.parametrize("first", ["at once", "later", "beside another access token"])
@each_taker
def test_read_again(odd, take, first):
    """Taught to read it, whoever comes next on this host takes the tokens and asks nobody."""
    odd.provider.learnt = True
    if first == "beside another access token":
        odd.write(access_token="access of somebody", expires_at=1.0)
    if first != "at once":
        odd.clock.advance(2)

    assert FRESH == TAKERS[take](odd) == odd.stored.pair
    assert (odd.stored.status, odd.stored.renewal.failure) == (Status.OK, None)
    assert odd.stored.renewal.claim is None
    assert odd.calls == 1
    assert odd.kept == []


@each_taker
def test_read_again_after_a_rejection(odd, take):
    """Meanwhile the provider has rejected the old one: only who merely asks is told so."""
    odd.clock.advance(2)
    assert LoginNeeded is odd.outcome()
    assert len(odd.kept) == 1
    odd.provider.learnt = True
    is_told = take == "a caller"

    assert (LoginNeeded if is_told else FRESH) == odd.outcome(partial(TAKERS[take], odd))
    assert is_told or (odd.stored.status, odd.kept) == (Status.OK, [])
    assert odd.calls == 2


def test_rejected_while_it_is_taught(odd):
    """Before a login is said to be needed it is read again, too."""
    odd.clock.advance(2)
    odd.provider.before.append(lambda: setattr(odd.provider, "learnt", True))

    assert FRESH == odd.outcome()
    assert odd.stored.status is Status.OK


@pytest.mark.parametrize("take", ["a caller", "a deliberate renewal"])
def test_taught_when_it_has_ended(odd, take):
    """What has ended since is not handed out: its refresh token is used at once."""
    odd.provider.learnt = True
    odd.clock.advance(4000)

    assert ("access-3", "login-1/2") == TAKERS[take](odd) == odd.stored.pair
    assert odd.stored.expires_at > odd.clock.now()


def test_still_not_readable(odd):
    """Then the provider is asked as before, and a sweep says so each time."""
    for _ in range(2):
        assert odd.beside.keeper.sweep().unread == 1
    assert odd.beside.names() == ["unreadable"] * 2
    odd.clock.advance(2)
    odd.provider.current["login-1"] = 0  # it had not rotated after all

    assert ("access-3", "login-1/1") == odd.outcome()
    assert odd.beside.keeper.sweep().discarded == 1
    assert odd.kept == []


def test_a_few_are_kept(rotating):
    """Who answers everybody so for days does not fill the disk: the first ones, and the last."""
    rotating.provider.odd = 9
    for _ in range(6):
        rotating.provider.current["login-1"] = 0
        assert ProviderUnavailable is rotating.outcome()
        rotating.clock.advance(61)

    assert len(rotating.kept) == MOST_UNREAD
    seconds = sorted(entry.answered_at - 1_800_000_000 for entry in rotating.kept)
    assert seconds == pytest.approx([0, 61, 5 * 61], abs=2)
    assert rotating.here.names().count("unreadable") == 6


def seen_to_be_no_loss(world):
    """A renewal with the same refresh token says that nothing was spent."""
    world.provider.rotates = False
    world.provider.current["login-1"] = 0
    world.clock.advance(2)
    world.get()


@pytest.mark.parametrize("step", ["log in", "delete", "no loss", "revoke", "log out"])
def test_out_of_date(odd, step):
    """It goes, aloud, once its refresh token is stored no more, or was good once more."""
    seen_to_be_no_loss(odd) if step == "no loss" else odd.step(step)()
    odd.provider.learnt = is_ended = step in ("revoke", "log out")
    odd.provider.revoked.clear()

    swept = odd.beside.keeper.sweep()

    assert (swept.discarded, swept.unread) == (1, 0)
    assert odd.kept == []
    assert ("login-1/1" in odd.provider.revoked) is is_ended  # what was read in it
    assert is_ended or odd.beside.names() == ["superseded"]


@pytest.mark.parametrize("first", ["a caller", "a sweep"])
def test_taught_too_late(odd, first):
    """What works is not replaced by what was found in it later, which is seen to."""
    seen_to_be_no_loss(odd)
    odd.provider.learnt = True
    odd.clock.advance(3600)

    TAKERS[first](odd)
    odd.beside.keeper.sweep()

    assert odd.stored.refresh_token == "login-1/0"
    seen_to = odd.stored.renewal.to_revoke + odd.stored.renewal.replaced
    assert ("refresh_token", FRESH[1]) in seen_to or FRESH[1] in odd.provider.revoked
    assert odd.kept == []


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), StoreUnavailable("The disk is full")], ids=repr
)
def test_journal_that_can_t_be_written(rotating, error):
    """The provider's error is raised all the same, and again; the loss is reported."""
    rotating.here.journal.put = failing(error)
    rotating.provider.odd = 1

    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="nothing usable"):
            rotating.get()

    assert rotating.here.names() == ["unjournaled", "unreadable", "renewal_failed"]
    assert rotating.stored.renewal.claim is None
