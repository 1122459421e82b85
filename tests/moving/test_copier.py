"""Every row of a store arrives in another one, once, as often as it is copied."""

from __future__ import annotations

from moved_tokens import NOW, fill, login, renewed

from tokenkeep import (
    Token,
)
from tokenkeep.moving import Copier
from tokenkeep.testing import FakeClock
from tokenkeep.token import Status


def bare(row):
    """Return a row without what differs between stores."""
    return row.but(version=None).with_renewal(claim=None)


def test_all_that_belongs_to_a_token_arrives(source, target, copy):
    """Id, identity, status, state of renewal, pointers; no claim, and no first login."""
    rows = fill(source)

    done = copy()

    pending = rows.pop("pending").id
    assert ("skipped", "a first login that has not ended") == done.pop(pending)
    assert {("new", None)} == set(done.values())
    assert {row.id for row in rows.values()} == {row.id for row in target.iter_rows()}
    arrived = {row.id: row for row in target.iter_rows()}
    for name, row in rows.items():
        assert bare(row) == arrived[row.id].but(version=None), name
    assert rows["ok"].id == target.find_token_by_id(rows["moved"].id).id


def test_it_is_sealed_anew(source, target, copy):
    """In the target, all is under its newest key."""
    fill(source)

    copy()

    newest = target.ring.key_ids[0]
    assert {newest} == {record.key_id for record in target.backend.scan(None, 100)}
    assert {newest} != {record.key_id for record in source.backend.scan(None, 100)}


def test_again_there_is_nothing_to_do(source, target, copy):
    """A second run writes nothing in either store."""
    fill(source)
    copy()
    before = source.backend.scan(None, 100), target.backend.scan(None, 100)

    actions = {action for action, _ in copy().values()}

    assert {"already there", "skipped"} == actions
    assert before == (source.backend.scan(None, 100), target.backend.scan(None, 100))


def test_a_dry_run_writes_nothing(source, target, copy):
    """It says what a run would do, before and after one."""
    fill(source)

    dry = copy(dry_run=True)
    assert target.backend.scan(None, 1) == []
    assert dry == copy()
    assert copy(dry_run=True) == copy()


def test_it_goes_on_where_it_was_stopped(source, target, copy):
    """What was stopped in the midst leaves whole rows, and the next run does the rest."""
    for number in range(250):
        source.save_token(login(f"u{number}"))
    steps = Copier(source, target).steps()
    for _ in range(120):
        next(steps)
    steps.close()
    assert 120 == len(target.get_tokens())

    actions = [action for action, _ in copy().values()]

    assert (130, 120) == (actions.count("new"), actions.count("already there"))
    assert [bare(t) for t in source.get_tokens()] == [bare(t) for t in target.get_tokens()]


def test_what_was_written_last_counts(source, target, copy):
    """A renewal on either side is kept, whichever is later; the older one is told."""
    here = {name: source.save_token(login(name)) for name in ("source", "target", "both")}
    copy()
    at = max(row.updated_at for row in here.values())
    source.swap(renewed(here["source"], at + 1))
    target.swap(renewed(target.reread(here["target"].id), at + 1))
    source.swap(renewed(here["both"], at + 2))
    target.swap(renewed(target.reread(here["both"].id), at + 1))

    assert {
        "source": ("update", "written later in the source"),
        "target": ("already there", "written later in the target"),
        "both": ("update", "written later in the source"),
    } == copy()

    found = {row.user: row.access_token for row in target.get_tokens()}
    assert {
        "source": f"access at {at + 1}",
        "target": f"access at {at + 1}",
        "both": f"access at {at + 2}",
    } == found


def test_revoked_stays_revoked(source, target, copy):
    """Revoked on either side is revoked in the target, however late the other was written."""
    for name in ("source", "target"):
        source.save_token(login(name))
    copy()
    dead = {"status": Status.REVOKED, "access_token": None}
    in_source = source.find_token(Token(user="source"))
    in_target = target.find_token(Token(user="target"))
    source.swap(in_source.but(**dead, updated_at=in_source.updated_at + 1))
    target.swap(in_target.but(**dead, updated_at=in_target.updated_at + 1))
    at = in_source.updated_at + 100
    target.swap(renewed(target.find_token(Token(user="source")), at))
    source.swap(renewed(source.find_token(Token(user="target")), at))

    done = copy()

    assert ("update", "revoked in the source") == done["source"]
    assert ("already there", "revoked in the target, and stays so") == done["target"]
    assert {Status.REVOKED} == {row.status for row in target.get_tokens()}


def test_two_stores_of_one_login_meet_in_a_third(source, target, open_store):
    """Revoked in one of them it stays revoked in the third, though the other renews it later."""
    other = open_store()
    row = source.save_token(login())
    list(Copier(source, other).steps())
    dead = {"status": Status.REVOKED, "access_token": None}
    source.swap(row.but(**dead, updated_at=row.updated_at + 1))
    list(Copier(source, target).steps())
    other.swap(renewed(other.reread(row.id), row.updated_at + 2))

    (step,) = Copier(other, target).steps()

    assert ("already there", "revoked in the target, and stays so") == (step.action, step.reason)
    assert Status.REVOKED is target.reread(row.id).status


def test_a_new_login_in_the_source_is_followed(source, target, copy):
    """Until the target has been used, the source's logins are its logins; then they are not."""
    for name in ("waiting", "used"):
        source.save_token(login(name))
    copy()
    in_use = target.find_token(Token(user="used"))
    target.swap(in_use.with_renewal(mints=(NOW,)))
    for name in ("waiting", "used"):
        source.save_token(login(name, access_token="new", refresh_token=f"new {name}"))

    done = copy()

    assert ("update", "written later in the source") == done["waiting"]
    assert "skipped" == done["used"][0]
    assert "--replace" in done["used"][1]
    assert {"new waiting", "refresh used"} == {t.refresh_token for t in target.get_tokens()}
    assert ("already there", None) == copy()["waiting"]


def test_ids_in_use_lead_to_the_users_own_row(source, target, copy):
    """Where the target has a row of the same user, that one stays, and the old id leads there."""
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    theirs = source.save_token(login())

    ((action, reason),) = copy().values()

    assert "skipped" == action
    assert "another login" in reason
    assert mine == target.find_token_by_id(theirs.id).but(last_used_at=mine.last_used_at)
    assert [mine.id] == [token.id for token in target.get_tokens()]
    ((action, _),) = copy(replace=True).values()
    assert "update" == action
    assert ("access ana", mine.id) == (
        target.find_token_by_id(theirs.id).access_token,
        target.find_token(Token(user="ana")).id,
    )
    assert ("already there", None) == copy(replace=True)["ana"]


def test_a_row_that_has_learnt_its_user(source, target, copy):
    """Copied without a name, then with one: it becomes that user's row in the target too."""
    row = source.save_token(login(user=None))
    copy()
    source.save_token(login(id=row.id))

    assert ("update", "written later in the source") == copy()["ana"]

    assert row.id == target.find_token(Token(user="ana")).id
    assert [source.reread(row.id).identity] == [each.identity for each in target.iter_rows()]


def test_a_row_that_has_learnt_a_user_of_the_targets(source, target, copy):
    """If that user has a row of his own in the target by now, that one counts, and stays."""
    row = source.save_token(login(user=None))
    copy()
    source.save_token(login(id=row.id))
    theirs = target.save_token(login(access_token="own", refresh_token="own"))

    ((action, reason),) = copy().values()

    assert ("skipped", True) == (action, "another login" in reason)
    assert {row.id, theirs.id} == {token.id for token in target.get_tokens()}


def test_the_same_credential_in_both_stores(open_store):
    """Nameless in the source, joined with its user's row in the target: that row counts."""
    source, target = open_store(), open_store()
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    first = target.save_token(login("x", user=None))
    target.save_token(login("x", user="ana", id=first.id))
    row = source.save_token(login("x", user=None))

    (step,) = Copier(source, target).steps()

    assert "update" == step.action
    assert mine.id == target.find_token_by_id(row.id).id


def test_when_it_was_last_used(source, target, copy):
    """The later time of both counts: what is not used is cleared up one day."""
    row = source.save_token(login())
    copy()
    source.touch(row.id, NOW * 2)
    copy()
    assert NOW * 2 > target.reread(row.id).last_used_at

    source.swap(renewed(source.reread(row.id), row.updated_at + 1))
    copy()
    assert NOW * 2 == target.reread(row.id).last_used_at


def test_a_row_that_has_become_a_pointer(source, target, copy):
    """Copied without a name, then joined with its user's row: likewise in the target."""
    user = source.save_token(login())
    row = source.save_token(login("x", user=None))
    copy()
    source.save_token(login(access_token="new", refresh_token="new", id=row.id))

    done = copy()

    assert ("update", "leads to its user's row now") == done[row.id]
    assert user.id == target.find_token_by_id(row.id).id
    assert "new" == target.find_token_by_id(user.id).refresh_token


def test_a_renewal_in_flight_is_told(source, target):
    """Who renews while the copy is made keeps the answer in the source: run it again."""
    rows = fill(source)

    steps = Copier(source, target, clock=FakeClock(NOW + 1)).steps()
    assert {rows["busy"].id} == {step.token_id for step in steps if step.in_flight} - {
        rows["pending"].id
    }
    later = Copier(source, target, clock=FakeClock(NOW + 100)).steps()
    assert not any(step.in_flight for step in later)
