"""The store's own record: made once, found by all, looked at again before a store is written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faulty_backend import Faulty, vault_over

from tokenkeep import KeyMissing, KeyRing, StoreTampered, StoreTooNew, StoreUnavailable, Token
from tokenkeep.backends.base import HEADER
from tokenkeep.header import LOOK_EVERY
from tokenkeep.testing import FakeClock

OLD, NEW = (KeyRing([bytes([n]) * 32]) for n in (1, 2))
ANA = Token(user="ana", client_id="c", access_token="a", refresh_token="r")
BOB = ANA.but(user="bob", access_token="b", refresh_token="r2")


@pytest.fixture
def backend():
    return Faulty()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def vault(backend, clock):
    return vault_over(backend, OLD, clock=clock)


def edit(backend, **changes):
    """Change the header past the library; return it as it was."""
    was = backend.read(HEADER)
    backend.write(replace(was, **changes), replaces=was.version)
    return was


def test_it_is_made_with_the_store(backend):
    """Before the first token, and once: all that open the store have the same keys."""
    one, other = vault_over(backend, OLD), vault_over(backend, OLD)

    assert [HEADER] == [record.id for record in backend.scan(None, 10)]
    assert one.store_id == other.store_id != vault_over(Faulty(), OLD).store_id
    assert "header" == backend.read(HEADER).kind
    assert one.store_id not in repr(backend.read(HEADER))


def test_two_first_processes_agree(backend):
    """Both found nothing: the header of one is inserted, and the other one finds it."""
    first = []
    backend.before_write = lambda: first.append(vault_over(backend, OLD))

    second = vault_over(backend, OLD)

    assert first[0].store_id == second.store_id
    assert second.save_token(ANA) == first[0].find_token(Token(user="ana"))


def test_two_first_processes_with_keys_of_their_own(backend):
    """The second one does not make the store its own: it says which key it lacks."""
    backend.before_write = lambda: vault_over(backend, OLD).save_token(ANA)

    with pytest.raises(KeyMissing, match=OLD.key_ids[0]):
        vault_over(backend, NEW)

    assert ["ana"] == [token.user for token in vault_over(backend, OLD).get_tokens()]


@pytest.mark.usefixtures("vault")
def test_a_ring_without_its_key(backend):
    """It opens nothing, changes nothing, and is told which key is missing and where to put it."""
    before = backend.scan(None, 10)

    with pytest.raises(KeyMissing) as refused:
        vault_over(backend, NEW)

    for said in (*OLD.key_ids, *NEW.key_ids, "TOKENKEEP_KEYS"):
        assert said in str(refused.value)
    assert before == backend.scan(None, 10)


@pytest.mark.parametrize(
    ("sealed", "error"),
    [
        (b"", StoreTampered),
        (b"[]", StoreTampered),
        (b'{"tokenkeep": "x"}', StoreTampered),
        (b'{"tokenkeep": 2}', StoreTampered),
        (b'{"tokenkeep": 2, "key": "k", "wrapped": "%"}', StoreTampered),
        (b'{"tokenkeep": 2, "key": "k", "wrapped": ""}', KeyMissing),
        (b'{"tokenkeep": 3, "key": "k", "wrapped": ""}', StoreTooNew),
    ],
)
@pytest.mark.usefixtures("vault")
def test_what_is_no_header(backend, sealed, error):
    """Damaged, or of a newer format: the store does not open, and is left as it is."""
    edit(backend, sealed=sealed)

    with pytest.raises(error):
        vault_over(backend, OLD)

    assert sealed == backend.read(HEADER).sealed


class Service:
    """A key source that is no key ring, such as a KMS: it shows no key."""

    key_ids = ("key/1",)

    def __init__(self):
        self.asked = []

    def wrap(self, plain, bound):
        self.asked.append("wrap")
        return self.key_ids[0], bound[::-1] + plain[::-1]

    def unwrap(self, key_id, wrapped, bound):
        self.asked.append("unwrap")
        assert (key_id, bound[::-1]) == (self.key_ids[0], wrapped[: len(bound)])
        return wrapped[len(bound) :][::-1]


def test_a_key_source_of_ones_own(backend):
    """It is asked as a store is opened, and never for a token."""
    service = Service()
    vault = vault_over(backend, service)
    row = vault.save_token(ANA)
    other = vault_over(backend, service)

    assert row == other.find_token_by_id(row.id)
    assert ["wrap", "unwrap", "unwrap"] == service.asked
    assert not vault.rotate()


# While a store is open


def test_it_is_looked_at_once_a_minute(vault, backend, clock):
    """Before a write, and no more often."""
    row = vault.save_token(ANA)
    backend.trips.clear()

    for _ in range(10):
        clock.advance(LOOK_EVERY / 10)
        row = vault.swap(row)

    assert 1 == backend.trips.count("read")


def gone(backend):
    backend.delete(HEADER)


def another_stores(backend):
    other = Faulty()
    vault_over(other, OLD)
    edit(backend, sealed=other.read(HEADER).sealed, version="a" * 32)


def replaced(backend):
    for record in backend.scan(None, 10):
        backend.delete(record.id)
    vault_over(backend, OLD)


@pytest.mark.parametrize("deed", [gone, another_stores, replaced])
def test_the_ground_is_taken_away(vault, backend, clock, deed):
    """Nothing is sealed under keys that nobody else can find: an error, and nothing is written."""
    row = vault.save_token(ANA)
    deed(backend)
    clock.advance(LOOK_EVERY)
    before = backend.scan(None, 10)

    with pytest.raises(StoreUnavailable, match="nothing was written"):
        vault.save_token(BOB)
    with pytest.raises(StoreUnavailable):
        vault.swap(row.but(scope="x"))

    assert before == backend.scan(None, 10)


def test_no_header_is_made_beside_records(vault, backend):
    """A store whose header is gone gets no other one: what is there would never open again."""
    vault.save_token(ANA)
    backend.delete(HEADER)

    with pytest.raises(StoreTampered, match="Restore the store from a backup"):
        vault_over(backend, OLD)

    assert backend.read(HEADER) is None


def test_it_is_put_back(vault, backend, clock):
    """The same store as before: the open process goes on."""
    vault.save_token(ANA)
    was = backend.read(HEADER)
    backend.delete(HEADER)
    clock.advance(LOOK_EVERY)
    with pytest.raises(StoreUnavailable):
        vault.save_token(BOB)

    backend.write(was, replaces=None)

    assert "bob" == vault.save_token(BOB).user


def test_deleting_everything_leaves_it(vault, backend):
    """The store stays what it is, with its keys."""
    vault.save_token(ANA)
    vault.delete_tokens()

    assert [HEADER] == [record.id for record in backend.scan(None, 10)]
    assert vault.store_id == vault_over(backend, OLD).store_id
    assert vault.save_token(ANA) == vault_over(backend, OLD).find_token(Token(user="ana"))


def test_an_older_one_is_put_in_its_place(backend):
    """Whoever knows its later data keys does not forget them: another would get their number."""
    vault = vault_over(backend, OLD)
    was = backend.read(HEADER)
    list(vault.rotate_data())
    backend.write(was, replaces=backend.read(HEADER).version)

    with pytest.raises(StoreUnavailable, match="an older one"):
        vault.key_status()
