"""A login that is in one store with a name, and in the other without: copied, it is one row."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from moved_tokens import NOW, login, renewed

from tokenkeep import Claim, Keeper, Status, TokenRevoked
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.moving import Copier
from tokenkeep.vault import Vault

TO_REVOKE = (("refresh_token", "refresh ana"),)
NAMED, NAMELESS = login(), login(user=None)


def revoked(row):
    """Return a row as a revocation leaves it that the provider has not confirmed."""
    dead = row.but(status=Status.REVOKED, access_token=None, updated_at=NOW)
    return dead.with_renewal(to_revoke=TO_REVOKE)


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

        list(Copier(source, target).steps())

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

        list(Copier(source, target).steps())

        assert {Status.REVOKED} == {
            each.status for each in target.iter_rows() if not each.moved_to
        }
        for row_id in (row.id, there.id):
            with pytest.raises(TokenRevoked):
                Keeper(target).get(id=row_id)
        assert TO_REVOKE in {each.renewal.to_revoke for each in target.iter_rows()}

    def test_a_dry_run_writes_nothing(self, two_stores, mine, theirs):
        """Not even a pointer."""
        source, target = two_stores
        source.swap(revoked(source.save_token(mine)))
        there = target.save_token(theirs)

        list(Copier(source, target).steps(dry_run=True))

        assert [there] == list(target.iter_rows())


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

    assert "another login" in done["ana"][1]
    assert mine == target.reread(mine.id)
    assert Status.REVOKED is target.reread(nameless.id).status


def test_revoked_after_it_got_its_user(source, target, copy):
    """The copy from before, without a name, ends too, though the user has another login there."""
    row = source.save_token(login(user=None))
    copy()
    mine = target.save_token(login(access_token="own", refresh_token="own"))
    source.swap(revoked(source.save_token(login(id=row.id))))

    copy()

    assert mine == target.reread(mine.id)
    assert Status.REVOKED is target.reread(row.id).status


def test_saved_while_it_is_copied(source, target, monkeypatch):
    """A nameless row that comes between the look and the write is found afterwards."""
    source.save_token(login())
    write = target.backend.write

    def meanwhile(record, *, replaces):
        monkeypatch.setattr(target.backend, "write", write)
        target.save_token(login(user=None))
        write(record, replaces=replaces)

    monkeypatch.setattr(target.backend, "write", meanwhile)

    assert ["new"] == [step.action.value for step in Copier(source, target).steps()]

    assert ["ana"] == [token.user for token in target.get_tokens()]


def test_gathering_has_a_nonce_of_its_own(target, monkeypatch):
    """Rows of two logins must not be taken for one because neither had a nonce."""
    row = target.save_token(login()).with_renewal(login=None)
    nonces = []
    monkeypatch.setattr(target._saver, "gathered", lambda row, nonce: nonces.append(nonce) or row)

    target.gather(row)
    target.gather(row)

    assert len({*nonces, "None"}) == 3


def test_strangers_stay_apart(source, target, copy):
    """Another user's row with the same refresh token, and another client's, are not touched."""
    source.swap(revoked(source.save_token(login())))
    others = [target.save_token(login(user="ben")), target.save_token(login(client_id="other"))]

    copy()

    assert others == [target.reread(each.id) for each in others]


@pytest.mark.parametrize("last", ["source", "target"])
def test_there_and_back(source, target, last):
    """One credential saved on both sides: no pointer takes the place of the only token."""
    rows = {}
    for store in (source, target) if last == "target" else (target, source):
        rows[store] = store.save_token(NAMELESS.but(expires_at=NOW + len(rows)))

    for one, other in ((source, target), (target, source)) * 2:
        actions = {step.action.value for step in Copier(one, other).steps()}
        assert "failed" not in actions

    for store, row in rows.items():
        assert "refresh ana" == store.find_token_by_id(row.id).refresh_token
        assert 1 == len(store.get_tokens())


@pytest.mark.parametrize("first", [0, 1])
def test_a_pointer_waits_for_what_it_leads_to(source, target, copy, first):
    """Whichever of the two comes first, the nameless row the target has becomes one."""
    rows = sorted((source.save_token(login()), source.save_token(login("x", user=None))),
                  key=lambda row: row.user is None, reverse=bool(first))  # fmt: skip
    nameless = next(row for row in rows if row.user is None)
    target.backend.write(source.backend.read(nameless.id), replaces=None)
    source.save_token(login("x", user="ana", id=nameless.id))

    copy()

    [one] = target.get_tokens()
    assert ("ana", "refresh x") == (one.user, one.refresh_token)
    assert one.id == target.find_token_by_id(nameless.id).id


def test_pointers_in_a_circle_lead_nowhere(target):
    """Read, found, deleted: what somebody has tied into a circle ends."""
    one, other = target.save_token(login()), target.save_token(login("ben"))
    target.swap(one.but(status=Status.MOVED, moved_to=other.id, user=None))
    target.swap(other.but(status=Status.MOVED, moved_to=one.id, user=None))

    assert target.find_token_by_id(one.id) is None
    target.delete_token(one.id)
    assert [] == list(target.iter_rows())


def test_a_renewal_of_the_target_goes_on(source, target, copy):
    """A newer row that is copied over one that is being renewed leaves the claim there."""
    claim = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)
    row = source.save_token(login())
    copy()
    target.swap(target.reread(row.id).with_renewal(claim=claim))
    source.swap(renewed(row, row.updated_at + 1))

    copy()

    assert f"access at {row.updated_at + 1}" == target.reread(row.id).access_token
    assert claim == target.reread(row.id).renewal.claim


def test_two_stores_in_memory_are_two(target):
    """They are called alike, and hold different tokens."""
    one, other = (Vault(MemoryBackend(), target.ring) for _ in range(2))
    one.save_token(login())

    assert ["new"] == [step.action.value for step in Copier(one, other).steps()]


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
    claim = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)
    source.save_token(login())
    nameless = target.save_token(login(user=None))
    target.swap(nameless.with_renewal(claim=claim))

    copy()

    assert ("ana", claim) == (
        target.reread(nameless.id).user,
        target.reread(nameless.id).renewal.claim,
    )
    assert nameless.id == target.find_token(login(access_token=None, refresh_token=None)).id


def test_one_that_is_judged_anew_forgets_no_other(source, open_store):
    """Under another key nameless rows differ: each is found by its login all the same."""
    target = open_store(keys=[os.urandom(32)])
    rows = [source.save_token(login(f"{n}", user=None)) for n in range(8)]
    for n, row in enumerate(rows):
        dead = revoked(target.save_token(login(f"{n}", user=None)))
        target.swap(dead)
        if n % 2:
            # Its id is another's there: it has to be judged once more.
            target.backend.write(
                replace(target.backend.read(dead.id), id=row.id, identity=f"{n}"), replaces=None
            )

    for _ in range(2):
        list(Copier(source, target).steps())

    alive = {record.status for record in target.backend.scan(None, 100)} - {"moved"}
    assert {"revoked"} == alive


def test_two_nameless_rows_of_one_login(source, target, copy):
    """Both in the target, one of them revoked, from before: they end together."""
    row = source.save_token(login(user=None))
    copy()
    other = revoked(target.save_token(login("x", user=None))).but(refresh_token="refresh ana")
    target.swap(other)

    copy()

    assert {Status.REVOKED} == {target.reread(each.id).status for each in (row, other)}


def test_deleted_while_it_is_copied(source, target, monkeypatch):
    """A deletion between the write and the look afterwards ends nothing else."""
    first, *_ = sorted((source.save_token(login(name)) for name in "abc"), key=lambda row: row.id)
    scan = source.backend.scan
    write = target.backend.write

    def meanwhile(record, *, replaces):
        write(record, replaces=replaces)
        if record.id == first.id:
            monkeypatch.setattr(target.backend, "write", write)
            target.save_token(first.but(id=None, user=None, version=None))
            target.delete_token(first.id)

    monkeypatch.setattr(target.backend, "write", meanwhile)

    actions = [step.action.value for step in Copier(source, target).steps()]

    assert ["new"] * 3 == actions
    assert scan(None, 10)
    assert {"b", "c"} - {first.user} <= {token.user for token in target.get_tokens()}


def test_no_pointer_to_a_first_login(open_store):
    """Given up and swept, such a row must not stand in the way for ever."""
    source, target = open_store(), open_store()
    row = source.save_token(login(user=None))
    claim = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)
    pending = target.reserve(target._locate(login(user=None)), claim)

    [step] = Copier(source, target).steps()
    assert "first login" in step.reason
    target.delete_token(pending.id, replaces=pending.version)

    [step] = Copier(source, target).steps()
    assert (row.id, "new") == (step.token_id, step.action.value)
