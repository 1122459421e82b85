"""An answer while the store can't be written: kept sealed, handed out, saved later."""

from __future__ import annotations

import pytest

from tokenkeep import ProviderUnavailable, StoreUnavailable
from tokenkeep.folder_journal import FolderJournal
from tokenkeep.providers import Profile

BOTH = pytest.mark.parametrize("fleet", ["none", "rotate_reuse_kills"], indirect=True)


@pytest.fixture
def events():
    return []


@pytest.fixture
def keeper(fleet, events):
    """A keeper whose store accepts the claim, and no write after it."""
    made = fleet.keeper(on_event=events.append)
    backend, write, done = made.store.backend, made.store.backend.write, []

    def refused_after_the_claim(record, *, replaces):
        if done:
            raise StoreUnavailable("The disk is full")
        done.append(record)
        write(record, replaces=replaces)

    backend.write = refused_after_the_claim
    made.disk_has_room_again = lambda: setattr(backend, "write", write)
    return made


def names(events):
    return [event.name for event in events]


@BOTH
def test_handed_out_and_kept(fleet, keeper, events):
    """Invariant 4: the caller gets the token, the journal has it sealed, and it is reported."""
    token = keeper.get(id=fleet.id)

    assert fleet.works(token)
    assert fleet.stored.pair == fleet.first.pair
    assert names(events) == ["unsaved"]
    [path] = fleet.journal.iterdir()
    sealed = path.read_bytes()
    assert token.access_token.encode() not in sealed
    assert token.refresh_token.encode() not in sealed


@BOTH
def test_saved_by_a_sweep_of_another_process(fleet, keeper):
    """Invariant 4: any process of the host saves it when the store is back."""
    token = keeper.get(id=fleet.id)

    assert fleet.keeper().sweep().saved == 1
    assert fleet.stored.pair == token.pair
    assert fleet.stored.renewal.claim is None
    assert list(fleet.journal.iterdir()) == []
    assert fleet.calls == 1


@BOTH
def test_saved_by_the_next_caller(fleet, keeper):
    """Invariant 4: who takes the claim over finds the answer and asks nobody."""
    token = keeper.get(id=fleet.id)

    answer = fleet.start(fake_clock=True).get()

    assert answer["access_token"] == token.access_token == fleet.stored.access_token
    assert fleet.calls == 1


def test_not_dropped_while_the_store_is_down(fleet, keeper):
    """Invariant 4: a sweep that can't write leaves the answer where it is."""
    keeper.get(id=fleet.id)

    with pytest.raises(StoreUnavailable):
        keeper.sweep()

    assert len(list(fleet.journal.iterdir())) == 1
    keeper.disk_has_room_again()
    assert keeper.sweep().saved == 1


@pytest.mark.parametrize("fleet", ["rotate"], indirect=True)
def test_journal_that_can_t_be_written(fleet, events):
    """Invariant 4: without room for the only answer nobody is asked, and nothing is spent."""
    keeper = fleet.keeper(on_event=events.append)
    fleet.journal.touch()  # a file where the folder should be

    with pytest.raises(StoreUnavailable, match="journal"):
        keeper.get(id=fleet.id)

    assert fleet.calls == 0
    assert fleet.stored.renewal.claim is None
    assert fleet.stored.renewal.mints == fleet.first.renewal.mints


@pytest.mark.parametrize("fleet", ["rotate"], indirect=True)
def test_entry_that_can_t_be_removed(fleet, events, monkeypatch):
    """A saved answer that stays in the journal is no failure, and replaying it changes nothing."""

    def refused(self, entry):  # noqa: ARG001  # the interface's
        raise StoreUnavailable("read-only")

    keeper = fleet.keeper(on_event=events.append)
    with monkeypatch.context() as patch:
        patch.setattr(FolderJournal, "remove", refused)
        keeper.get(id=fleet.id)
    saved = fleet.stored
    assert names(events) == ["unjournaled", "renewed"]

    keeper.sweep()

    assert fleet.stored == saved
    assert list(fleet.journal.iterdir()) == []


@pytest.mark.parametrize("fleet", ["rotate"], indirect=True)
def test_neither_store_nor_journal(fleet, keeper, events, monkeypatch):
    """Invariant 4: where nothing can be written the token is handed out and that is reported."""

    def refused(*_):
        raise StoreUnavailable("The journal can't be written")

    monkeypatch.setattr(FolderJournal, "put", refused)

    assert fleet.works(keeper.get(id=fleet.id))
    assert "unjournaled" in names(events)
    assert names(events)[-1] == "unsaved"


def test_claim_can_t_be_written(fleet):
    """A store that can't take the claim is a named error, and the provider is not asked."""
    keeper = fleet.keeper()

    def refused(record, *, replaces):  # noqa: ARG001  # the interface's
        raise StoreUnavailable("The disk is full", hint="Make room")

    keeper.store.backend.write = refused

    with pytest.raises(StoreUnavailable, match="Make room"):
        keeper.get(id=fleet.id)
    assert fleet.calls == 0


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_call_is_bounded(fleet, kind):
    """Invariant 12: a provider that never ends its answer is a named error, in bounded time."""
    fleet.profile = Profile(rotates=False, call_timeout=0.5)
    fleet.zoho.faults.add(kind=kind, delay=0.2)
    keeper = fleet.keeper()

    with pytest.raises(ProviderUnavailable, match=r"within 0.5 seconds"):
        keeper.get(id=fleet.id)
    assert fleet.stored.renewal.claim is None
