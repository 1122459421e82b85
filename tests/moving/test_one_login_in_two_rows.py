"""A login that is in one store with a name, and in the other without: copied, it is one row."""

from __future__ import annotations

import pytest
from moved_tokens import CLAIM, NOW, copied, login, revoked

from tokenkeep import Keeper, Status, TokenRevoked
from tokenkeep.moving import Merge, StoreSource

TO_REVOKE = (("refresh_token", "refresh ana"),)
NAMED, NAMELESS = login(), login(user=None)


@pytest.fixture
def two_stores(source, target):
    return source, target


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [(NAMED, NAMELESS), (NAMELESS, NAMED), (NAMELESS, NAMELESS)],
    ids=["named in the source", "named in the target", "named in neither"],
)
class TestOneLogin:
    def test_one_row_is_left(self, two_stores, mine, theirs):
        """Both ids lead to it, and one renewal is enough."""
        source, target = two_stores
        row, there = source.save_token(mine), target.save_token(theirs)

        copied(source, target)

        [one] = target.get_tokens()
        assert mine.user or theirs.user or one.user is None
        assert {one.id} == {target.find_token_by_id(each.id).id for each in (row, there)}
        assert one == target.find_token(login(user=None, access_token=None))

    @pytest.mark.parametrize("where", ["source", "target"])
    def test_revoked_on_either_side(self, two_stores, mine, theirs, where):
        """Revoked stays revoked, under whatever name the other store has it."""
        source, target = two_stores
        row, there = source.save_token(mine), target.save_token(theirs)
        if where == "source":
            source.swap(revoked(row))
        else:
            target.swap(revoked(there))

        copied(source, target)

        assert {Status.REVOKED} == {each.status for each in target.get_tokens()}
        for row_id in (row.id, there.id):
            with pytest.raises(TokenRevoked):
                Keeper(target).get(id=row_id)
        assert TO_REVOKE in {each.renewal.to_revoke for each in target.get_tokens()}

    def test_a_dry_run_writes_nothing(self, two_stores, mine, theirs):
        """Not even an id that leads somewhere."""
        source, target = two_stores
        source.swap(revoked(source.save_token(mine)))
        there = target.save_token(theirs)

        before = target.backend.scan(None, 10)

        list(Merge(StoreSource(source), target).steps(dry_run=True))

        assert before == target.backend.scan(None, 10)
        assert [there] == target.get_tokens()


def test_the_user_has_a_row_of_their_own_too(source, target, copy):
    """In the target the login is in a nameless row, and the user's row has an older one."""
    row = source.save_token(login())
    copy()
    source.save_token(login(access_token="new", refresh_token="new", id=row.id))
    nameless = target.save_token(login(user=None, access_token="new", refresh_token="new"))

    copy()

    assert [(row.id, "new")] == [(t.id, t.refresh_token) for t in target.get_tokens()]
    assert row.id == target.find_token_by_id(nameless.id).id


def test_revoked_though_the_user_has_another_login_there(source, target, copy):
    """The user's own login in the target stays; the revoked one does not live on beside it."""
    source.swap(revoked(source.save_token(login())))
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    nameless = target.save_token(login(user=None))

    done = copy()

    assert ("update", "revoked in the source") == done["ana"]
    assert (Status.OK, "own") == (
        target.reread(mine.id).status,
        target.reread(mine.id).refresh_token,
    )
    assert Status.REVOKED is target.reread(nameless.id).status


def test_revoked_after_it_got_its_user(source, target, copy):
    """The copy from before, without a name, ends too, though the user has another login there."""
    row = source.save_token(login(user=None))
    copy()
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    source.swap(revoked(source.save_token(login(id=row.id))))

    copy()

    assert (Status.OK, "own") == (
        target.reread(mine.id).status,
        target.reread(mine.id).refresh_token,
    )
    assert Status.REVOKED is target.reread(row.id).status


def test_saved_while_it_is_copied(source, target, monkeypatch):
    """A nameless row that comes between the look and the write is found by the next copy."""
    source.save_token(login())
    write = target.backend.write

    def meanwhile(record, *, replaces):
        monkeypatch.setattr(target.backend, "write", write)
        target.save_token(login(user=None))
        write(record, replaces=replaces)

    monkeypatch.setattr(target.backend, "write", meanwhile)

    assert ["new"] == [step.action.value for step in copied(source, target)]
    copied(source, target)

    assert ["ana"] == [token.user for token in target.get_tokens()]


def test_strangers_stay_apart(source, target, copy):
    """Another user's row with the same refresh token is not touched, and is named."""
    source.swap(revoked(source.save_token(login())))
    ben = target.save_token(login(user="ben"))

    ((action, reason),) = copy().values()

    assert ("skipped", True) == (action, f"{ben.id} of ben" in reason)
    assert [ben] == target.get_tokens()


@pytest.mark.parametrize("last", ["source", "target"])
def test_there_and_back(source, target, last):
    """One credential saved on both sides: nothing takes the place of the only token."""
    rows = {}
    for store in (source, target) if last == "target" else (target, source):
        rows[store] = store.save_token(NAMELESS.but(expires_at=NOW + len(rows)))

    for one, other in ((source, target), (target, source)) * 2:
        actions = {step.action.value for step in copied(one, other)}
        assert "failed" not in actions

    for store, row in rows.items():
        assert "refresh ana" == store.find_token_by_id(row.id).refresh_token
        assert 1 == len(store.get_tokens())


def test_the_id_leads_to_a_revoked_row_without_a_name(source, target, copy):
    """The user logs in anew, by name, on both sides: one row has the login, the id leads there."""
    row = source.save_token(login(user=None))
    copy()
    target.swap(revoked(target.reread(row.id)))
    source.save_token(login(id=row.id, refresh_token="new"))
    theirs = target.save_token(login(refresh_token="new"))

    copy()

    living = [each for each in target.get_tokens() if each.status is Status.OK]
    assert [(theirs.id, "new")] == [(each.id, each.refresh_token) for each in living]
    assert theirs.id == target.find_token_by_id(row.id).id


def test_the_users_row_and_the_ids_own(source, target, copy):
    """The id leads to a nameless row of another login, the login is in a third one: both stay."""
    row = source.save_token(login(user=None))
    copy()
    relogged = source.save_token(login(user=None, id=row.id, refresh_token="new"))
    theirs = target.save_token(login(user=None, refresh_token="new", access_token="other"))

    ((action, reason),) = copy().values()

    assert ("skipped", True) == (action, theirs.id in reason)
    assert relogged.id == row.id
    assert {"refresh ana", "new"} == {each.refresh_token for each in target.get_tokens()}


def test_the_refresh_token_is_what_counts(source, target, copy):
    """The target has only the access token of the login: it gets the rest, under its id."""
    row = source.save_token(login(user=None))
    there = target.save_token(login(user=None, refresh_token=None))
    target.swap(there.but(updated_at=row.updated_at + 60))

    copy()

    [one] = target.get_tokens()
    assert ("refresh ana", there.id) == (one.refresh_token, target.find_token_by_id(row.id).id)


def test_a_renewal_of_the_nameless_row_goes_on(source, target, copy):
    """It gets its user in one write: nobody finds the login without the claim."""
    source.save_token(login())
    nameless = target.save_token(login(user=None))
    target.swap(nameless.with_renewal(claim=CLAIM))

    copy()

    assert ("ana", CLAIM) == (
        target.reread(nameless.id).user,
        target.reread(nameless.id).renewal.claim,
    )
    assert nameless.id == target.find_token(login(access_token=None, refresh_token=None)).id
