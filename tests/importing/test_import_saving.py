"""What an import does when others save meanwhile, and when the store does not take a row."""

from __future__ import annotations

import pytest
from sdk_rows import ANA

from tokenkeep import Status, StoreConflict, StoreError, StoreUnavailable, Token
from tokenkeep.moving import Importer, open_source

LATER = 1764009999.0
STORED = {
    "user": ANA["user_name"],
    "client_id": ANA["client_id"],
    "api_domain": ANA["api_domain"],
}
SAME = STORED | {"refresh_token": ANA["refresh_token"]}
OTHER = STORED | {"refresh_token": "r2", "access_token": "a2", "expires_at": LATER}
KEPT = "the store has another login of this user; --replace takes this one"


@pytest.fixture
def meanwhile(store, write_csv):
    """Import a file of one row, and do something between its judging and its saving."""

    def _meanwhile(do, row=ANA, **options):
        importer = Importer(open_source(write_csv(row)), store, **options)
        (step,) = importer.plan()
        do()
        done = importer.apply(step)
        return step.action.value, done.action.value, done.reason

    return _meanwhile


@pytest.mark.parametrize("before", [None, SAME | {"access_token": "spent", "expires_at": 1.0}])
def test_a_login_made_meanwhile_stays(store, meanwhile, before):
    """Whether the user was new when the row was judged, or known by the old login."""
    if before:
        store.save_token(Token(**before))

    planned, done, reason = meanwhile(lambda: store.save_token(Token(**OTHER)))

    (token,) = store.get_tokens()
    replaced = f"token {token.id} of the store had this refresh token, and has no more"
    kept = replaced if before else KEPT
    assert ("update" if before else "new", "skipped", kept) == (planned, done, reason)
    assert token == store.find_token_by_id(ANA["id"])
    assert ("r2", "a2", LATER) == (token.refresh_token, token.access_token, token.expires_at)


@pytest.mark.parametrize("login", [SAME, OTHER])
def test_what_was_revoked_meanwhile_stays_revoked(store, meanwhile, login):
    """Logged in and revoked in between, with the token of the file or another one."""

    def revoke():
        token = store.save_token(Token(**login))
        store.swap(token.but(status=Status.REVOKED, access_token=None))

    _, done, reason = meanwhile(revoke)

    same = ("already there", "stored as revoked, and stays so")
    assert (same if login is SAME else ("skipped", KEPT)) == (done, reason)
    assert [Status.REVOKED] == [token.status for token in store.get_tokens()]


def test_a_renewal_made_meanwhile_stays(store, meanwhile):
    """An access token that ends later than the file's is not written over."""
    names = ("client_secret", "grant_token", "redirect_uri")
    whole = SAME | {name: ANA[name] for name in names}
    stored = store.save_token(Token(**whole, access_token="spent", expires_at=1.0))
    again = stored.but(access_token="renewed", expires_at=LATER)

    planned, done, reason = meanwhile(lambda: store.swap(again))

    newer = "the stored access token is newer"
    assert ("update", "already there", newer) == (planned, done, reason)
    assert ["renewed"] == [token.access_token for token in store.get_tokens()]


def test_what_was_deleted_meanwhile_is_new(store, meanwhile):
    """There is nothing left to add to."""
    stored = store.save_token(Token(**SAME, access_token="spent", expires_at=1.0))

    assert ("update", "new", None) == meanwhile(lambda: store.delete_token(stored.id))

    assert [ANA["access_token"]] == [token.access_token for token in store.get_tokens()]


@pytest.mark.parametrize("has_made_ids", [False, True])
def test_a_nameless_row_whose_user_logs_in_meanwhile(store, meanwhile, monkeypatch, has_made_ids):
    """The row would become that user's, who has one of his own by then: that one counts."""
    if has_made_ids:  # as where an id is made of the identity, which then can't change
        monkeypatch.setattr(store.backend, "id_for", lambda identity: identity[:32])
    store.save_token(Token(**SAME | {"user": None}))

    planned, done, reason = meanwhile(lambda: store.save_token(Token(**OTHER)))

    assert ("update", "skipped", KEPT) == (planned, done, reason)
    assert "r2" == store.find_token(Token(user=ANA["user_name"])).refresh_token


def test_replacing_holds_for_what_comes_meanwhile(store, meanwhile):
    """With --replace the file's login takes the place of that one too, in the same row."""
    replaced = "takes the place of another login of this user"
    login = Token(**OTHER)

    assert ("new", "update", replaced) == meanwhile(lambda: store.save_token(login), replace=True)

    assert [ANA["refresh_token"]] == [token.refresh_token for token in store.get_tokens()]


def test_others_who_never_stop(store, meanwhile, monkeypatch):
    """It is told after some tries, instead of going on for ever."""

    def overtaken(record, *, replaces):
        raise StoreConflict("overtaken", token_id=f"{record.id} {replaces}")

    monkeypatch.setattr(store.backend, "write", overtaken)
    with pytest.raises(StoreUnavailable, match="kept writing"):
        meanwhile(lambda: None)


def test_the_store_itself_knows_at_once(store, meanwhile, monkeypatch):
    """What it has cached is not handed out once the import has changed it."""
    monkeypatch.setattr(store.backend, "revision", lambda: None)  # as of a server
    stored = store.save_token(Token(**SAME, access_token="spent", expires_at=1.0))

    meanwhile(lambda: store.find_token_by_id(stored.id))

    assert ANA["access_token"] == store.find_token_by_id(stored.id).access_token


def test_a_row_that_the_store_does_not_take(store, run, write_csv, monkeypatch):
    """One too large is told, and holds no other up; a store that can't be reached ends it."""
    write = store.backend.write
    bob = ANA | {"user_name": "bob", "refresh_token": "b", "client_secret": "s" * 70_000}

    def limited(record, *, replaces):
        if len(record.sealed) > 70_000:
            raise StoreError("This token takes 70000 bytes", token_id=record.id)
        write(record, replaces=replaces)

    monkeypatch.setattr(store.backend, "write", limited)
    path = write_csv(bob, ANA)

    assert [("failed", "This token takes 70000 bytes"), ("new", None)] == run(path)

    assert [ANA["user_name"]] == [token.user for token in store.get_tokens()]

    def unreachable(record, *, replaces):
        raise StoreUnavailable(f"no answer for {record.id} {replaces}")

    monkeypatch.setattr(store.backend, "write", unreachable)
    with pytest.raises(StoreUnavailable):
        run(path)
