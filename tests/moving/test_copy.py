"""Every row of a store arrives in another one, once, as often as it is copied."""

from __future__ import annotations

import pytest
from moved_tokens import NOW, copied, fill, login, renewed, revoked

from tokenkeep import Token
from tokenkeep.testing import FakeClock
from tokenkeep.token import Status


def bare(row):
    """Return a row without what differs between stores."""
    row = row.but(version=None, owner=None, last_used_at=None)
    return row.with_renewal(claim=None, took=())


def ended(store):
    """Return what is left to be revoked of deleted rows."""
    return {row.id: row.renewal.to_revoke for row in store.due(NOW * 2) if row.ended}


def records(store):
    return store.backend.scan(None, 1000)


def test_all_that_belongs_to_a_token_arrives(source, target, copy):
    """Id, status, history, state of renewal, what else was said; no claim, and no first login."""
    rows, ids = fill(source)

    done = copy()

    assert {("new", None)} == set(done.values())
    assert {row.id for row in rows.values()} == {row.id for row in target.get_tokens()}
    arrived = {row.id: row for row in target.get_tokens()}
    for name, row in rows.items():
        assert bare(row) == bare(arrived[row.id]), name
        assert arrived[row.id].renewal.claim is None
    assert rows["ok"].id == target.find_token_by_id(ids["former"]).id
    assert rows["busy"].id == target.find_token_by_id(ids["callers"]).id
    assert {ids["ended"]: (("refresh_token", "refresh gone"),)} == ended(source) == ended(target)
    assert target.find_token_by_id(ids["ended"]) is None
    assert "lease" not in {record.kind for record in records(target)}


def test_what_a_later_version_has_put_there(source, target, copy):
    """What this one does not know goes along, too."""
    row = source.save_token(login())
    row = source.swap(row.but(unknown={"new": 1}).with_renewal(unknown={"newer": [2]}))

    copy()

    there = target.reread(row.id)
    assert ({"new": 1}, {"newer": [2]}) == (there.unknown, there.renewal.unknown)


def test_nothing_of_it_is_comparable(source, target, copy):
    """Each store seals under keys of its own, and its digests are its own."""
    fill(source)

    copy()

    for field in ("owner", "sealed", "user", "refresh"):
        both = [{getattr(record, field) for record in records(each)} for each in (source, target)]
        assert both[0] & both[1] <= {None, "0" * 32}


def test_again_there_is_nothing_to_do(source, target, copy):
    """A second run writes nothing in either store."""
    fill(source)
    copy()
    before = records(source), records(target)

    actions = {action for action, _ in copy().values()}

    assert {"already there"} == actions
    assert before == (records(source), records(target))


def test_several_rows_of_one_user(source, target):
    """One for each client and place, and one whose place is not known: none stands for another."""
    places = ("https://www.zohoapis.eu", "https://sandbox.zohoapis.eu", None)
    for number, place in enumerate((*places, places[0])):
        other = {"api_domain": place, "client_id": "c" if number == len(places) else "1000.CLIENT"}
        source.save_token(login(refresh_token=f"refresh {number}", **other))

    for done in ("new", "already there"):
        assert [done] * 4 == [step.action.value for step in copied(source, target)]

    assert [bare(row) for row in source.get_tokens()] == [bare(r) for r in target.get_tokens()]


def test_a_dry_run_writes_nothing(source, target, copy):
    """It says what a run would do, before and after one."""
    fill(source)

    before = records(source), records(target)
    dry = copy(dry_run=True)
    assert before == (records(source), records(target))
    assert dry == copy()
    assert copy(dry_run=True) == copy()


def test_it_goes_on_where_it_was_stopped(source, target, copy):
    """What was stopped in the midst leaves whole rows, and the next run does the rest."""
    for number in range(250):
        source.save_token(login(f"u{number}"))
    steps = copied(source, target)
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
    in_source = source.find_token(Token(user="source"))
    source.swap(revoked(in_source))
    target.swap(revoked(target.find_token(Token(user="target"))))
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
    copied(source, other)
    source.swap(revoked(row))
    copied(source, target)
    other.swap(renewed(other.reread(row.id), row.updated_at + 2))

    (step,) = copied(other, target)

    assert ("already there", "revoked in the target, and stays so") == (step.action, step.reason)
    assert Status.REVOKED is target.reread(row.id).status


def test_a_new_login_in_the_source_is_followed(source, target, copy):
    """Until the target's is written later, the source's logins are its logins; then no more."""
    for name in ("waiting", "used"):
        source.save_token(login(name))
    copy()
    for name in ("waiting", "used"):
        source.save_token(login(name, access_token="new", refresh_token=f"new {name}"))
    in_use = target.find_token(Token(user="used"))
    target.swap(renewed(in_use, in_use.updated_at + 60))

    done = copy()

    assert ("update", "written later in the source") == done["waiting"]
    assert "skipped" == done["used"][0]
    assert "--replace" in done["used"][1]
    assert {"new waiting", "refresh used"} == {t.refresh_token for t in target.get_tokens()}
    assert ("already there", None) == copy()["waiting"]
    assert "update" == copy(replace=True)["used"][0]
    # Given from outside, the old one may be in use elsewhere; it goes when the user's login does.
    for user in ("waiting", "used"):
        given = target.find_token(Token(user=user)).renewal.replaced
        assert (("refresh_token", f"refresh {user}"),) == given


def test_logged_in_again_after_a_revocation(source, target, copy):
    """A revoked copy follows too; what is still to be revoked is not forgotten."""
    row = source.save_token(login())
    source.swap(revoked(row, at=row.updated_at))
    copy()
    source.save_token(login(access_token="new", refresh_token="new"))

    assert ("update", "written later in the source") == copy()["ana"]

    (there,) = target.get_tokens()
    assert (Status.OK, "new") == (there.status, there.refresh_token)
    assert (("refresh_token", "refresh ana"),) == there.renewal.to_revoke


def test_a_login_that_the_target_has_replaced(source, target, copy):
    """The source's is an older one of the target's row: it stays away, also with --replace."""
    source.save_token(login())
    copy()
    target.save_token(login(access_token="new", refresh_token="new"))

    for options in ({}, {"replace": True}):
        action, reason = copy(**options)["ana"]
        assert ("skipped", True) == (action, "had this login before" in reason)

    assert ["new"] == [token.refresh_token for token in target.get_tokens()]


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
    assert ["ana"] == [each.user for each in target.get_tokens()]


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
    """Nameless in the source, become its user's in the target: that row counts."""
    source, target = open_store(), open_store()
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    first = target.save_token(login("x", user=None))
    target.save_token(login("x", user="ana", id=first.id))
    row = source.save_token(login("x", user=None))

    (step,) = copied(source, target)

    assert "update" == step.action
    assert mine.id == target.find_token_by_id(row.id).id
    assert [(mine.id, "ana")] == [(each.id, each.user) for each in target.get_tokens()]


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


@pytest.mark.parametrize("new", [False, True], ids=["with its login", "with another login"])
def test_a_row_that_has_become_its_users(source, target, copy, new):
    """Copied without a name, then of its user's row in the source: likewise in the target."""
    user = source.save_token(login())
    row = source.save_token(login("x", user=None))
    copy()
    token = login("new") if new else login("x")
    source.save_token(token.but(user="ana", id=row.id))

    copy()

    (there,) = target.get_tokens()
    assert user.id == there.id == target.find_token_by_id(row.id).id
    assert token.refresh_token == there.refresh_token
    assert {"already there"} == {action for action, _ in copy().values()}


def test_ids_that_callers_brought(source, target, copy):
    """They lead to the same row; one that is taken is told, and leads where it did."""
    row = source.save_token(login(id="customer-42"))
    source.add_id("2", row)
    ben = target.save_token(login("ben", id="2"))

    done = copy()

    assert {"ana": ("new", None), "2": ("skipped", done["2"][1])} == done
    assert ben.id in done["2"][1]
    assert row.id == target.find_token_by_id("customer-42").id
    assert ben == target.find_token_by_id("2")
    assert done["2"] == copy(dry_run=True)["2"]


def test_an_id_of_a_former_row_that_a_caller_named(source, target, copy):
    """An id that leads to one that leads to a row: all of them work in the target."""
    first = source.save_token(login("x", user=None, id="customer-42"))
    user = source.save_token(login())
    source.save_token(login("x", user="ana", id=first.id))

    copy()

    ids = ("customer-42", first.id, user.id)
    assert {user.id} == {target.find_token_by_id(each).id for each in ids}


def test_deleted_with_something_to_revoke(source, target, copy):
    """What the provider has not confirmed goes along, and ends the target's copy of the login."""
    row = source.save_token(login())
    copy()
    source.swap(revoked(row))
    source.delete_token(row.id)

    assert ("update", "revoked in the source") == copy()["ana"]

    there = target.reread(row.id)
    assert (Status.REVOKED, (("refresh_token", "refresh ana"),)) == (
        there.status,
        there.renewal.to_revoke,
    )
    assert ("already there", None) == copy()["ana"]


def test_deleted_with_something_to_revoke_of_another_login(source, target, copy):
    """The user's own login in the target stays, and sees to it."""
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    source.swap(revoked(source.save_token(login())))
    source.delete_token(source.find_token(Token(user="ana")).id)

    assert ("update", "what the source has to revoke goes along") == copy()["ana"]

    there = target.reread(mine.id)
    assert (Status.OK, "own") == (there.status, there.refresh_token)
    assert (("refresh_token", "refresh ana"),) == there.renewal.to_revoke
    assert "skipped" == copy()["ana"][0]


def test_deleted_and_being_revoked_in_the_target(source, target, copy):
    """A login that was ended there does not come back, whatever the source says."""
    row = source.save_token(login())
    copy()
    target.swap(revoked(target.reread(row.id)))
    target.delete_token(row.id)

    assert "skipped" == copy()["ana"][0]
    assert [] == target.get_tokens()
    source.save_token(login(access_token="new", refresh_token="new"))
    assert ("skipped", True) == (copy()["ana"][0], "still being told" in copy()["ana"][1])
    assert [] == target.get_tokens()


def test_somebody_elses_refresh_token(source, target, copy):
    """It is in one row of a store: the row is skipped, and the other one named."""
    theirs = target.save_token(login("ana", user="ben"))
    source.save_token(login())

    ((action, reason),) = copy().values()

    assert ("skipped", True) == (action, f"{theirs.id} of ben" in reason)
    assert [theirs] == target.get_tokens()


def test_a_login_on_its_way_arrives(source, target, copy):
    """A process that ended while a login went from one row to another holds nothing up."""
    user = source.save_token(login())
    first = source.save_token(login("x", user=None))
    write = source.backend.write

    class Killed(BaseException):
        pass

    def once(record, *, replaces):
        write(record, replaces=replaces)
        raise Killed

    source.backend.write = once
    with pytest.raises(Killed):
        source.save_token(login("x", user="ana", id=first.id))
    source.backend.write = write

    copy()

    (there,) = target.get_tokens()
    assert (user.id, "refresh x") == (there.id, there.refresh_token)
    assert user.id == target.find_token_by_id(first.id).id


def test_a_renewal_in_flight_is_told(source, target):
    """Who renews while the copy is made keeps the answer in the source: run it again."""
    rows, _ = fill(source)

    steps = copied(source, target, clock=FakeClock(NOW + 1))
    assert {rows["busy"].id} == {step.row.token.id for step in steps if step.in_flight}
    later = copied(source, target, clock=FakeClock(NOW + 100))
    assert not any(step.in_flight for step in later)
