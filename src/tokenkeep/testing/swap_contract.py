"""
What a store promises that can compare and write, as tests beside `StoreContract`.

    class TestMyStore(StoreContract, SwapContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return functools.partial(MyStore, tmp_path / "tokens")

Among threads everywhere; a store that several processes share subclasses
`SharedSwapContract` instead, which starts real ones: there the fixture's value
must be picklable, so no lambda.
"""

# ruff: noqa: S101, S106 -- these are tests: they assert, with made-up secrets and numbers

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenkeep.errors import StaleToken, StoreConflict
from tokenkeep.testing import _workers as workers
from tokenkeep.testing.racing import in_processes, in_threads
from tokenkeep.testing.store_contract import StoreFixtures, full
from tokenkeep.token import Claim, Failure, Renewal, Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.store import TokenStore
    from tokenkeep.testing.store_contract import Factory

_RENEWAL = Renewal(
    claim=Claim(nonce="n", holder="h", taken_at=1.5, length=20.0),
    mints=(1.0, 2.5),
    failure=Failure(
        kind="transient", error="timeout", at=1.0, until=2.0, count=3, credential="digest"
    ),
    login="login",
    renewed_by="host/1",
    renewed_at=1.0,
    lifetime=3600.0,
    to_revoke=(("refresh_token", "secret"),),
)

MEANWHILE: dict[str, Callable[[TokenStore, Token], object]] = {
    "swapped": lambda by, saved: by.swap(saved.but(access_token="yours")),
    "saved": lambda by, _: by.save_token(full(access_token="new")),
    "deleted": lambda by, saved: by.delete_token(str(saved.id)),
    "deleted and saved": lambda by, saved: (by.delete_token(str(saved.id)), by.save_token(full())),
    "revoked": lambda by, saved: by.swap(saved.but(status=Status.REVOKED, access_token=None)),
}
"""What somebody else does between a read and a swap."""


class SwapContract(StoreFixtures):
    """The promises of `TokenStore.swap`, and of saves that race, among threads."""

    def test_swap(self, connect: Factory) -> None:
        """A token is written whole, with another version, for everybody at once."""
        saved = connect().save_token(full())
        elsewhere = connect()
        assert elsewhere.find_token_by_id(str(saved.id)) == saved

        changed = saved.but(access_token="new", scope=None, renewal=_RENEWAL)
        swapped = connect().swap(changed)

        assert swapped.version != saved.version
        assert swapped == changed.but(version=swapped.version)
        assert elsewhere.find_token_by_id(str(saved.id)) == swapped
        assert elsewhere.find_token(Token(access_token="new")) == swapped

    @pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
    def test_lost_race(
        self, connect: Factory, meanwhile: Callable[[TokenStore, Token], object]
    ) -> None:
        """Who read before somebody else wrote gets a conflict; what that one wrote stays."""
        mine, yours = connect(), connect()
        saved = mine.save_token(full())
        meanwhile(yours, saved)
        theirs = yours.get_tokens()

        with pytest.raises(StoreConflict):
            mine.swap(saved.but(access_token="late"))

        assert mine.get_tokens() == theirs

    def test_an_older_refresh_token_is_refused(self, store: TokenStore) -> None:
        """A refresh token that a row had before changes nothing, whatever became of the row."""
        login = {"refresh_token": "r2", "grant_token": "g2", "access_token": "a2"}
        store.save_token(full())
        ana = store.save_token(full(**login))
        older = full(access_token="older", grant_token=None)

        with pytest.raises(StaleToken):
            store.save_token(older)
        dead = store.save_token(ana.but(status=Status.REVOKED))
        with pytest.raises(StaleToken):
            store.save_token(older.but(id=ana.id))

        assert store.get_tokens() == [dead]

    def test_reread_is_past_any_cache(self, connect: Factory) -> None:
        """``reread`` tells what is stored now; None if there is nothing."""
        mine, yours = connect(), connect()
        saved = mine.save_token(full())
        assert mine.find_token_by_id(str(saved.id)) == saved

        theirs = yours.swap(saved.but(access_token="yours"))

        assert mine.reread(str(saved.id)) == theirs
        yours.delete_token(str(saved.id))
        assert mine.reread(str(saved.id)) is None

    def test_threads_swap_once(self, store: TokenStore) -> None:
        """Of threads that swap the same version, exactly one wins."""
        saved = store.save_token(full())

        won = in_threads(lambda number: workers.swap_first_version(store, number, saved), 8)

        assert won.count(True) == 1
        stored = store.reread(str(saved.id))
        assert stored is not None
        assert stored.access_token == f"of {won.index(True)}"

    def test_threads_save(self, store: TokenStore) -> None:
        """Threads that save one user, or one credential, make one row; no other is lost."""
        assert all(in_threads(lambda number: workers.save(store, number), 8))

        assert sorted(str(t.user) for t in store.get_tokens()) == workers.users(8)


class SharedSwapContract(SwapContract):
    """The promises of a store that several processes share: real ones race here."""

    def test_processes_swap_once(self, open_store: Factory, store: TokenStore) -> None:
        """Of processes that swap the same token, none undoes what another one wrote."""
        store.save_token(full(access_token=None))

        won = in_processes(workers.swap_only_token, open_store, 4)

        assert any(won)
        (stored,) = store.get_tokens()
        assert len(stored.renewal.mints) == won.count(True)

    def test_processes_save(self, open_store: Factory, store: TokenStore) -> None:
        """Processes that save one user, or one credential, make one row; no other is lost."""
        assert all(in_processes(workers.save, open_store, 4))

        assert sorted(str(t.user) for t in store.get_tokens()) == workers.users(4)
