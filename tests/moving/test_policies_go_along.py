"""What a store's tokens are held to comes to the store that they are copied to."""

from __future__ import annotations

import pytest
from moved_tokens import NOW, copied, login

from tokenkeep import ConfigurationError, Policies, Policy
from tokenkeep.moving import Merge, StoreSource

SESSIONS = Policies([Policy(name="sessions", max_session=3600.0)])
OTHERS = Policies([Policy(name="others", max_session=7200.0)])
IDLE = Policies([Policy(name="idle", idle=3600.0)])


def test_they_are_there_before_the_rows(source, target):
    """A session that is over is due to end in the copy too, and no sweep has to read all."""
    source.save_token(login(logged_in_at=NOW))
    source.set_policies(SESSIONS)

    merge = Merge(StoreSource(source), target)
    list(merge.steps(dry_run=True))
    assert ("source", Policies()) == (merge.policies, target.policies)
    copied(source, target)

    assert SESSIONS == target.policies
    (record,) = (each for each in target.backend.scan(None, 9) if each.kind == "row")
    assert NOW + 3600 == record.due_at
    again = Merge(StoreSource(source), target)
    assert (1, None) == (len([*again.steps()]), again.policies)


def test_use_that_nobody_noted(source, target, monkeypatch):
    """What comes from a store that notes no use may be in use: it is idle from the copy on."""
    source.save_token(login(logged_in_at=NOW))
    monkeypatch.setattr(type(source.backend), "notes_use", False)
    copied(source, target)

    (token,) = target.get_tokens()
    (there,) = source.get_tokens()
    assert token.last_used_at > (there.last_used_at or 0.0)


@pytest.mark.parametrize("its", [OTHERS, Policies()], ids=["other ones", "none any more"])
def test_what_was_decided_there_stays(source, target, its):
    """A store that was given policies, or none on purpose, keeps them."""
    source.set_policies(SESSIONS)
    target.set_policies(OTHERS)
    target.set_policies(its)

    merge = Merge(StoreSource(source), target)
    list(merge.steps())

    assert ("target", its) == (merge.policies, target.policies)


def test_a_store_that_cant_hold_to_them(source, aws, open_store):
    """Nothing is copied then; with policies of its own it takes the rows."""
    source.save_token(login())
    source.set_policies(IDLE)
    target = open_store(aws.url("dynamodb"))

    with pytest.raises(ConfigurationError, match="'idle'"):
        copied(source, target)
    assert [] == target.get_tokens()

    target.set_policies(SESSIONS)
    copied(source, target)
    assert 1 == len(target.get_tokens())
