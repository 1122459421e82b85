"""An answer that can't be read at a provider that rotates: there may be the only token in it."""

from __future__ import annotations

import logging

import pytest
from renewal_scenario import Actor

from tokenkeep import LoginNeeded, ProviderUnavailable, Status, StoreUnavailable
from tokenkeep.journal import FolderJournal
from tokenkeep.renewal.late import MOST_UNREAD

FRESH = "access-2", "login-1/1"
"""What the answer holds that nobody could read."""


@pytest.fixture(params=["in memory", "in a folder"])
def odd(request, rotating, tmp_path):
    """A renewal has ended with an answer that can't be read."""
    if request.param == "in a folder":
        rotating.here = Actor(rotating, FolderJournal(tmp_path / "journal", rotating.header))
        rotating.beside = Actor(rotating, rotating.here.journal)
    rotating.provider.odd = 1
    with pytest.raises(ProviderUnavailable) as caught:
        rotating.get()
    rotating.error = caught.value
    return rotating


def kept(world):
    return list(world.here.journal.entries())


def test_told(odd):
    """It is reported and kept, and the error says what to do; nobody gets to see what is in it."""
    assert "docs/providers.md" in str(odd.error)
    assert f"tokenkeep renew {odd.id}" in str(odd.error)
    assert odd.error.unread is None
    assert odd.here.names() == ["unreadable", "renewal_failed"]
    [entry] = kept(odd)
    assert entry.reply.content_type == "text/odd"
    assert "access-2" not in repr(entry)


def test_log(rotating, caplog):
    """The log has a line of it, without what is in it."""
    rotating.provider.odd = 1
    with caplog.at_level(logging.DEBUG), pytest.raises(ProviderUnavailable):
        rotating.get()

    assert f"unreadable: token {rotating.id}" in caplog.text
    assert [secret for secret in FRESH if secret in caplog.text] == []


def by_a_caller(world):
    world.get(world.beside)


def by_a_deliberate_renewal(world):
    world.beside.keeper.renew(world.id)


def by_a_sweep(world):
    assert world.beside.keeper.sweep().saved == 1


TAKERS = [by_a_caller, by_a_deliberate_renewal, by_a_sweep]


@pytest.mark.parametrize("later", [0.0, 2.0])
@pytest.mark.parametrize("take", TAKERS)
def test_read_again(odd, take, later):
    """Taught to read it, whoever comes next on this host takes the tokens and asks nobody."""
    odd.provider.learnt = True
    odd.clock.advance(later)

    take(odd)

    assert odd.stored.pair == FRESH
    assert (odd.stored.status, odd.stored.renewal.failure) == (Status.OK, None)
    assert odd.stored.renewal.claim is None
    assert len(odd.provider.sent) == 1
    assert kept(odd) == []


@pytest.mark.parametrize("take", TAKERS)
def test_read_again_after_a_rejection(odd, take):
    """Meanwhile the provider has rejected the old one: only who merely asks is told so."""
    odd.clock.advance(2)
    with pytest.raises(LoginNeeded):
        odd.get()
    assert len(kept(odd)) == 1
    odd.provider.learnt = True

    if take is by_a_caller:
        with pytest.raises(LoginNeeded):
            take(odd)
    else:
        take(odd)
        assert odd.stored.pair == FRESH
        assert odd.stored.status is Status.OK
        assert kept(odd) == []
    assert len(odd.provider.sent) == 2


def test_rejected_while_it_is_taught(odd):
    """Before a login is said to be needed it is read again, too."""
    odd.clock.advance(2)
    odd.provider.before.append(lambda: setattr(odd.provider, "learnt", True))

    assert odd.get().pair == FRESH
    assert odd.stored.status is Status.OK


def test_journal_that_can_t_be_read_at_once(odd):
    """While the provider is left alone, that is what is said."""

    def fails(*_):
        raise StoreUnavailable("permission is denied")

    odd.here.journal.unread = fails

    with pytest.raises(ProviderUnavailable, match="nothing usable"):
        odd.get()


def test_another_access_token_beside_it(odd):
    """It is known by the refresh token, which is spent whatever stands beside it."""
    odd.write(access_token="access of somebody", expires_at=1.0)
    odd.provider.learnt = True
    odd.clock.advance(2)

    assert odd.get(odd.beside).pair == FRESH


def test_still_not_readable(odd):
    """Then the provider is asked as before, and a sweep says so each time."""
    assert odd.beside.keeper.sweep().unread == 1
    assert odd.beside.keeper.sweep().unread == 1
    assert odd.beside.names() == ["unreadable"] * 2
    odd.clock.advance(2)
    odd.provider.current["login-1"] = 0  # it had not rotated after all

    assert odd.get().pair == ("access-3", "login-1/1")
    assert odd.beside.keeper.sweep().discarded == 1
    assert kept(odd) == []


def test_a_few_are_kept(rotating):
    """Who answers everybody so for days does not fill the disk: the first ones, and the last."""
    rotating.provider.odd = 9
    for _ in range(6):
        rotating.provider.current["login-1"] = 0
        with pytest.raises(ProviderUnavailable):
            rotating.get()
        rotating.clock.advance(61)

    assert len(kept(rotating)) == MOST_UNREAD
    seconds = sorted(entry.answered_at - 1_800_000_000 for entry in kept(rotating))
    assert seconds == pytest.approx([0, 61, 5 * 61], abs=2)
    assert rotating.here.names().count("unreadable") == 6


def a_login(world):
    world.login("login-2", "another access", left=3600)


def a_deletion(world):
    world.there.keeper.delete(world.id)


@pytest.mark.parametrize("step", [a_login, a_deletion])
def test_out_of_date(odd, step):
    """It goes once the row has another refresh token, or there is no row."""
    step(odd)

    swept = odd.beside.keeper.sweep()

    assert (swept.discarded, swept.unread) == (1, 0)
    assert "superseded" in odd.beside.names()
    assert kept(odd) == []


@pytest.mark.parametrize("revoked_by", ["revoke", "end"])
def test_taken_back(odd, revoked_by):
    """Read after a revocation, what is in it is revoked as well."""
    getattr(odd.there.keeper, revoked_by)(odd.id)
    odd.provider.revoked.clear()
    odd.provider.learnt = True

    odd.beside.keeper.sweep()

    assert "login-1/1" in odd.provider.revoked
    assert kept(odd) == []


def test_not_at_a_provider_that_does_not_rotate(world):
    """There nothing is lost: it is asked once more, as after any fault."""
    world.provider.odd = 2

    with pytest.raises(ProviderUnavailable) as caught:
        world.get()

    assert caught.value.unread is None
    assert list(world.here.journal.entries()) == []
    assert len(world.provider.sent) == 2


def test_seen_to_be_no_loss(odd):
    """A renewal with the same refresh token says that nothing was spent: then it goes, aloud."""
    odd.provider.rotates = False
    odd.provider.current["login-1"] = 0
    odd.clock.advance(2)
    odd.get()

    assert odd.beside.keeper.sweep().discarded == 1
    assert odd.beside.names() == ["superseded"]


@pytest.mark.parametrize("first", [by_a_caller, lambda world: world.beside.keeper.sweep()])
def test_taught_too_late(odd, first):
    """What works is not replaced by what was found in it later, which is seen to."""
    odd.provider.rotates = False
    odd.provider.current["login-1"] = 0
    odd.clock.advance(2)
    pair = odd.get().pair
    odd.provider.learnt = True
    odd.clock.advance(3600)

    first(odd)
    odd.beside.keeper.sweep()

    assert pair[1] == odd.stored.refresh_token == "login-1/0"
    seen_to = odd.stored.renewal.to_revoke + odd.stored.renewal.replaced
    assert ("refresh_token", FRESH[1]) in seen_to or FRESH[1] in odd.provider.revoked
    assert kept(odd) == []


@pytest.mark.parametrize("take", [by_a_caller, by_a_deliberate_renewal])
def test_taught_when_it_has_ended(odd, take):
    """What has ended since is not handed out: its refresh token is used at once."""
    odd.provider.learnt = True
    odd.clock.advance(4000)

    take(odd)

    assert odd.stored.pair == ("access-3", "login-1/2")
    assert odd.stored.expires_at > odd.clock.now()


@pytest.mark.parametrize("call", ["put", "unread"])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), StoreUnavailable("The disk is full")], ids=repr
)
def test_journal_that_can_t_be_written(rotating, call, error):
    """The provider's error is raised all the same, and the loss is reported."""

    def fails(*_):
        raise error

    rotating.provider.before.append(lambda: setattr(rotating.here.journal, call, fails))
    rotating.provider.odd = 1

    with pytest.raises(ProviderUnavailable, match="nothing usable"):
        rotating.get()

    assert rotating.here.names() == ["unjournaled", "unreadable", "renewal_failed"]
    assert rotating.stored.renewal.claim is None


def test_data_keys_are_rotated(odd):
    """What can't be read yet is sealed anew with the rest."""
    [before] = kept(odd)

    odd.here.journal.reseal()

    [after] = kept(odd)
    assert after.reply == before.reply
    assert after.unread == before.unread
