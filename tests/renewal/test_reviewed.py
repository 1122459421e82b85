"""What a review broke: each of these once lost a token, mixed two up, or asked too often."""

import pytest
from renewal_scenario import USER, World

from tokenkeep import (
    AmbiguousLookup,
    ConfigurationError,
    CoolingDown,
    Keeper,
    KeyRing,
    ProviderUnavailable,
    Status,
    StoreConflict,
    StoreUnavailable,
    Token,
    Vault,
)
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.folder_journal import FolderJournal
from tokenkeep.lookup import Lookup
from tokenkeep.stores.list import ListStore


@pytest.fixture
def vault(world):
    return world.here.store.vault


def without_room(journal):
    """Let a journal's disk be full."""

    def prepare():
        raise StoreUnavailable("The journal can't be written: no space left")

    journal.prepare = prepare


def test_unsaved_is_no_version_that_is_stored(world):
    """An answer that could not be saved never makes the expired token look good."""
    world.here.store.before["save"].append(lambda: setattr(world.here.store, "down", True))
    assert world.get().access_token == "access-2"
    world.here.store.down = False

    assert world.get().access_token == "access-2"


def test_unsaved_answer_is_handed_out_again(world):
    """While the store can be read only, every caller gets the answer that can't be saved."""
    write = world.backend.write
    claims = []

    def claim_only(record, *, replaces):
        if claims:
            raise StoreUnavailable("read-only")
        claims.append(record)
        write(record, replaces=replaces)

    world.backend.write = claim_only

    assert [world.get().access_token for _ in range(3)] == ["access-2"] * 3
    assert len(world.provider.sent) == 1


def test_pointer_is_never_somebody_elses_row(vault):
    """Invariant 8: who saves the credential a pointer came from gets a row of their own."""
    client = {"client_id": "c", "data_center": "us", "environment": "production"}
    nameless = vault.save_token(Token(refresh_token="r", **client))
    ana = vault.save_token(Token(user="ana", refresh_token="r0", **client))
    vault.save_token(Token(id=nameless.id, user="ana", refresh_token="r", **client))
    assert vault.find_token_by_id(nameless.id).id == ana.id

    bob = vault.save_token(Token(user="bob", refresh_token="r", **client))

    assert vault.find_token_by_id(bob.id).user == "bob"
    assert vault.find_token(Token(user="ana")).id == ana.id


def test_login_after_the_owner_was_deleted(vault):
    """A login over a pointer that leads nowhere is stored, and found by its id."""
    client = {"client_id": "c", "data_center": "us", "environment": "production"}
    nameless = vault.save_token(Token(refresh_token="r", **client))
    ana = vault.save_token(Token(user="ana", refresh_token="r0", **client))
    vault.save_token(Token(id=nameless.id, user="ana", refresh_token="r", **client))
    vault.delete_token(ana.id)

    named = vault.save_token(Token(user="ana", refresh_token="r", **client))
    unnamed = vault.save_token(Token(refresh_token="r9", grant_token="r", **client))

    assert vault.find_token_by_id(named.id).refresh_token == "r"
    assert vault.find_token_by_id(unnamed.id).refresh_token == "r9"


def test_nameless_row_renewed_while_it_is_joined(world):
    """A refresh token that a renewal puts into a nameless row on its way to its user is kept."""
    vault = world.here.store.vault
    nameless = vault.save_token(Token(client_id="client", refresh_token="login-7/0"))
    rows, point, others = vault._rows, vault._rows.point, []

    def renewed_meanwhile(*args):
        if not others:
            stored = vault.reread(nameless.id)
            others.append(vault.swap(stored.but(refresh_token="login-7/1", access_token="a7")))
        point(*args)

    rows.point = renewed_meanwhile
    vault.save_token(Token(id=nameless.id, user=USER, client_id="client", access_token="x"))

    assert vault.find_token(Token(user=USER)).pair == ("a7", "login-7/1")
    assert vault.reread(nameless.id).user == USER


def test_listener_that_raises(rotating):
    """Invariant 4: a listener that fails costs nobody a token."""

    def refuse(event):
        raise RuntimeError(event.name)

    rotating.here.keeper._on_event = refuse
    rotating.provider.extra = {"clock_offset": 3600.0}

    assert rotating.get().pair == rotating.stored.pair == ("access-2", "login-1/1")


def test_listener_that_asks_for_the_same_token(world):
    """A listener may ask for the token it is told of, and is answered at once."""
    seen = []

    def ask(event):
        with pytest.raises(ProviderUnavailable):
            world.get()
        seen.append(event.name)

    world.here.keeper._on_event = ask
    world.provider.trouble.append(ProviderUnavailable("down"))
    began = world.clock.monotonic()

    with pytest.raises(ProviderUnavailable):
        world.get()

    assert seen == ["renewal_failed"]
    assert world.clock.monotonic() == began
    assert world.stored.renewal.claim is None


@pytest.fixture
def rotating():
    return World(rotates=True, kills=True)


def test_no_room_for_the_only_answer(rotating):
    """Invariant 4: with a rotating provider and a full disk nobody is asked."""
    without_room(rotating.here.journal)

    with pytest.raises(StoreUnavailable, match="no space"):
        rotating.get()

    assert rotating.provider.sent == []
    assert rotating.stored.renewal.claim is None
    assert rotating.stored.renewal.mints == ()


def test_room_is_given_back(tmp_path, rotating):
    """Room that was not needed is free again, and an answer fits into what was made for it."""
    folder = tmp_path / "journal"
    journal = FolderJournal(folder, rotating.ring)
    room = journal.prepare()
    assert (folder / room).stat().st_size >= 16_384
    journal.give_back(room)

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("error", [3600.0, -3600.0])
def test_wrong_clock(world, error):
    """Invariant 2: a host whose clock is an hour off makes one call for one expiry."""
    world.write(expires_at=world.clock.now() - 1)
    world.provider.extra = {"clock_offset": -error}

    for _ in range(12):
        world.get()
        world.clock.advance(1.0)

    assert len(world.provider.sent) == 1
    assert world.stored.expires_at - world.clock.now() == pytest.approx(3600 - error, abs=15)
    world.clock.advance(3600)
    world.get()
    assert len(world.provider.sent) == 2


def test_clock_far_ahead_blocks_nobody(world):
    """What a host with a clock a year ahead has written holds nobody up."""
    year = 365 * 86_400.0
    now = world.clock.now()
    world.clock.set(now + year)
    world.provider.trouble.append(ProviderUnavailable("down"))
    with pytest.raises(ProviderUnavailable):
        world.get(world.there)
    world.clock.set(now)
    world.write_renewal(mints=tuple(world.clock.now() + year + n for n in range(10)))

    assert world.get().access_token == "access-2"


def test_a_provider_that_wants_years(world):
    """However long a provider asks to be left alone, an hour is the most."""
    world.provider.trouble.append(CoolingDown("later", until=world.clock.now() + 1e9))
    with pytest.raises(CoolingDown):
        world.get()
    world.clock.advance(3601)

    assert world.get().access_token == "access-2"


def test_same_access_token_again(world):
    """Who reported a refusal is answered by a renewal, even if it gave the same access token."""
    world.login(left=3600)
    world.provider.extra = {"access_token": "access-1"}
    first = world.stored
    keeper = world.here.keeper
    world.provider.before.append(lambda: None)

    assert keeper.rejected(world.id, "access-1").access_token == "access-1"
    late = keeper._renewer.valid(first, _ask("access-1"))

    assert late.access_token == "access-1"


def _ask(rejected):
    from tokenkeep.renewal import Ask

    ask = Ask(rejected=rejected, client_secret="hidden")
    assert "hidden" not in repr(ask)
    assert rejected not in repr(ask)
    return ask


def test_budget_is_the_refresh_tokens(world):
    """Invariant 6: one refresh token in two rows has one budget."""
    now = world.clock.now()
    other = world.login(user="bea@example.com:2", access_token="b1")
    world.provider.profile = type(world.provider.profile)(mint_limit=10, rotates=False)
    world.there.store.vault.swap(
        world.there.store.vault.reread(other.id).with_renewal(
            mints=tuple(now - n for n in range(10, 0, -1))
        )
    )

    with pytest.raises(CoolingDown):
        world.get()

    assert world.provider.sent == []


def test_what_is_not_sent_is_not_counted(world):
    """Invariant 6: a call that can't be made for want of something costs nothing."""
    for _ in range(12):
        world.provider.trouble.append(ConfigurationError("A call needs client_id"))
        with pytest.raises(ConfigurationError):
            world.get()

    assert world.stored.renewal.mints == ()


def test_two_keepers_on_one_six_method_store(world):
    """Two keepers of one process on one store without swap renew once."""
    store = ListStore()

    assert Keeper(store).store is Keeper(store).store
    assert Keeper(store).store is not Keeper(ListStore()).store
    assert world


def test_provider_is_asked_about():
    """The same name at two providers is ambiguous, not the one that has no data centre."""
    rows = [
        Token(id="1", user="ana", provider="acme", access_token="a"),
        Token(id="2", user="ana", provider="zoho", data_center="us", access_token="z"),
    ]
    [question] = Lookup.of(Token(user="ana"))
    [named] = Lookup.of(Token(user="ana", provider="acme"))

    with pytest.raises(AmbiguousLookup, match="provider"):
        question.choose(rows)
    assert named.choose(rows).id == "1"


def test_journal_outlives_a_key(tmp_path, world):
    """Resealing takes the journal along, so that the old key can be taken away."""
    old, new = b"o" * 32, b"n" * 32
    journal = FolderJournal(tmp_path, KeyRing([old]))
    world.here.store.before["save"].append(lambda: setattr(world.here.store, "down", True))
    world.get()
    [entry] = world.here.journal.entries()
    kept = journal.put(entry)

    both = KeyRing([new, old])
    Vault(MemoryBackend(), both, journal=FolderJournal(tmp_path, both)).reseal()

    [again] = FolderJournal(tmp_path, KeyRing([new])).entries()
    assert again.pair == kept.pair


def test_unknown_provider_stops_nothing(world):
    """A revocation at a provider that is not configured any more is reported, not raised."""

    def unknown(_):
        raise ConfigurationError("There is no provider 'gone'")

    world.here.keeper.providers.of = unknown

    assert world.here.keeper.revoke(world.id).status is Status.REVOKED
    assert "revocation_pending" in world.here.names()


def join_while(world, between):
    """Let a nameless row become USER's, and somebody do *between* at the last moment, once."""
    vault = world.here.store.vault
    nameless = vault.save_token(Token(client_id="client", refresh_token="login-7/0"))
    point, done = vault._rows.point, []

    def interrupted(*args):
        if not done:
            done.append(between(vault, nameless.id))
        point(*args)

    vault._rows.point = interrupted
    token = Token(id=nameless.id, user=USER, client_id="client", access_token="x")
    return nameless.id, vault.save_token(token)


def test_joined_row_that_became_somebody_elses(world):
    """Invariant 8: a nameless row that became another user's on the way stays that user's."""

    def becomes_bobs(vault, row_id):
        bob = Token(id=row_id, user="bob", client_id="client", access_token="b")
        vault.save_token(bob)

    row_id, _ = join_while(world, becomes_bobs)
    vault = world.here.store.vault

    assert vault.find_token(Token(user="bob")).id == row_id
    assert vault.find_token(Token(user=USER)).id == world.id
    assert vault.find_token(Token(user=USER)).access_token == "x"


def test_joined_row_whose_owner_was_revoked(world):
    """Invariant 7: a revocation in the midst of a join stands."""

    def revokes(vault, row_id):
        world.beside.keeper.revoke(world.id)
        vault.swap(vault.reread(row_id).but(refresh_token="login-7/1", access_token="a7"))

    join_while(world, revokes)

    assert world.stored.status is Status.REVOKED
    assert world.stored.access_token is None


def test_joined_row_keeps_its_claim_and_budget(rotating):
    """Invariant 2: whoever renews a nameless row is still known when it becomes its user's."""
    vault = rotating.here.store.vault
    nameless = vault.save_token(Token(client_id="client", refresh_token="login-7/0"))
    now = rotating.clock.now()
    claim = _claim(now)
    vault.swap(vault.reread(nameless.id).with_renewal(claim=claim, mints=(now,)))

    vault.save_token(Token(id=nameless.id, user=USER, client_id="client", access_token="x"))

    assert rotating.stored.refresh_token == "login-7/0"
    assert rotating.stored.renewal.claim == claim
    assert now in rotating.stored.renewal.mints


def _claim(now):
    from renewal_scenario import ELSEWHERE

    from tokenkeep import Claim

    return Claim(nonce="n", holder=ELSEWHERE, taken_at=now, length=20.0)


def test_unsaved_answer_that_has_ended(world):
    """An answer that could not be saved is not handed out past its end, nor once refused."""
    world.here.store.before["save"].append(lambda: setattr(world.here.store, "down", True))
    unsaved = world.get()
    world.here.store.down = False

    def refused(record, *, replaces):  # noqa: ARG001  # the interface's
        raise StoreUnavailable("read-only")

    world.backend.write = refused

    assert world.get().access_token == unsaved.access_token
    with pytest.raises(StoreUnavailable):
        world.here.keeper.rejected(world.id, unsaved.access_token)
    world.clock.advance(7200)
    with pytest.raises(StoreUnavailable):
        world.get()


def test_unsaved_token_is_no_row(world):
    """What was handed out unsaved can't bring a deleted row back."""
    world.here.store.before["save"].append(lambda: setattr(world.here.store, "down", True))
    unsaved = world.get()
    world.here.store.down = False
    vault = world.here.store.vault
    vault.delete_token(world.id)

    with pytest.raises(StoreConflict):
        vault.swap(unsaved)
    assert vault.get_tokens() == []


def test_another_row_that_does_not_open(world):
    """A damaged row with the same refresh token holds nobody else up."""
    other = world.login(user="bea@example.com:2", access_token="b1")
    rows = world.backend._records if hasattr(world.backend, "_records") else None
    record = world.backend.read(other.id)
    from dataclasses import replace

    world.backend.write(replace(record, version="v2"), replaces=record.version)

    assert world.get().access_token == "access-2"
    assert rows is None or rows


def test_room_is_made_before_the_last_look_at_the_clock(rotating):
    """Invariant 2: a disk that takes its time before the call counts as a pause."""
    journal = rotating.here.journal
    journal.prepare = lambda: rotating.clock.advance(15.0)

    def in_time():
        journal.prepare = lambda: None

    rotating.here.store.before["release"].append(in_time)

    rotating.get()

    assert len(rotating.provider.sent) == 1
    assert rotating.here.store.written[:2] == ["claim", "release"]


def test_one_issuers_clock_says_nothing_of_another(world):
    """Only the ends of an issuer's own tokens are judged by its clock, and nothing else."""
    errors = world.here.keeper.clock_errors
    errors.learn("https://other.example/token", -3600.0)
    now = world.clock.now()
    world.write(expires_at=now - 600)

    assert world.get().access_token == "access-2"
    assert world.stored.renewal.mints[-1] == now
