"""Sealing: what opens, what does not, and what a digest gives away."""

from __future__ import annotations

import hmac
import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokenkeep import (
    ConfigurationError,
    KeyMissing,
    KeyRing,
    StoreTampered,
    StoreTooNew,
    generate_key,
)
from tokenkeep.sealing import DataKeys, parse_keys

OLD, NEW, INDEX = (bytes([n]) * 32 for n in (1, 2, 3))
PLAIN = b"the-plain-text"


def data_keys(store="store", keys=None, index=INDEX):
    return DataKeys(store, keys or {1: OLD, 2: NEW}, index)


# The keys of a store


@pytest.fixture
def keys():
    return data_keys()


@pytest.fixture
def sealed(keys):
    return keys.seal(PLAIN, bound="b")[1]


def test_what_was_changed_does_not_open(keys, sealed):
    """No bit of a seal can be, nor can it be cut off or grow; what is no seal is named so."""
    assert PLAIN == keys.open(2, sealed, bound="b")

    flipped = (sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :]
               for at in range(len(sealed)) for bit in range(8))  # fmt: skip
    cuts = (sealed[:n] for n in range(len(sealed)))
    for blob in (*flipped, *cuts, sealed[1:], sealed + b"\0", b"\x01" + sealed[1:]):
        # With a flipped bit of the first byte it is of another format.
        with pytest.raises((StoreTampered, StoreTooNew)):
            keys.open(2, blob, bound="b")
    for number in (3, 5, 17):
        with pytest.raises(StoreTooNew, match="Upgrade"):
            keys.open(2, bytes([number]) + sealed[1:], bound="b")
    short = (b"", b"\0", b"\x01{}", sealed[:28], None)
    for garbage in (*short, b"\x12" + sealed[1:], b"REDACTED" * 9, b"\xff" * 99, "text" * 99):
        with pytest.raises(StoreTampered, match="not sealed by tokenkeep"):
            keys.open(2, garbage, bound="b")


@pytest.mark.parametrize(
    "other",
    [data_keys("other"), data_keys(keys={1: OLD, 2: os.urandom(32)}), data_keys(keys={2: OLD})],
    ids=["store", "key", "key of another number"],
)
def test_another_store_opens_nothing(sealed, other):
    """A seal is tied to its store, even where that had the same keys, and to where it is in it."""
    with pytest.raises(StoreTampered):
        other.open(2, sealed, bound="b")
    for bound in ("", "B", "b\0", "\0b"):
        with pytest.raises(StoreTampered):
            data_keys().open(2, sealed, bound=bound)


def test_the_newest_data_key_seals_and_all_open():
    """What an earlier one has sealed opens as long as the store has that one."""
    older = data_keys(keys={1: OLD})
    number, sealed = older.seal(PLAIN, bound="b")

    assert (1, 2) == (number, data_keys().seal(PLAIN, bound="b")[0])
    assert PLAIN == data_keys().open(number, sealed, bound="b")
    assert (1, 2) == data_keys().numbers
    assert 2 not in older
    with pytest.raises(KeyError):
        data_keys(keys={2: NEW}).open(number, sealed, bound="b")


def test_digests(keys):
    """A digest depends on the store's index key, the field and every character of the value."""
    asked = [("access", "a"), ("refresh", "a"), ("access", "A"), ("access", "a "),
             ("access", "caf\u00e9"), ("access", "cafe\u0301")]  # fmt: skip
    values = {keys.digest(*each) for each in asked} | {data_keys(index=NEW).digest("access", "a")}

    assert [32] * 7 == [len(value) for value in values]
    keys.forget()
    assert keys.digest("access", "a") in values
    rotated = data_keys(keys={1: OLD, 2: NEW, 3: INDEX})
    assert keys.digest("access", "a") == rotated.digest("access", "a")


def test_uses_of_a_key_are_separate(keys, sealed):
    """The data key itself opens nothing: each seal has a key derived with a salt of its own."""
    with pytest.raises(InvalidTag):
        AESGCM(NEW).decrypt(sealed[17:29], sealed[29:], b"tokenkeep 2\0store\0b")
    assert 100 == len({keys.seal(PLAIN, bound="b")[1][:29] for _ in range(100)})
    assert keys.digest("a", "b") != hmac.new(INDEX, b"ab", "sha256").hexdigest()[:32]
    assert "<DataKeys of store>" == repr(keys)


# The keys of its users


@pytest.fixture
def ring():
    return KeyRing([NEW, OLD])


def test_a_ring_wraps_with_its_newest_key(ring):
    """The first wraps, each unwraps, a missing one is named by an id that gives nothing away."""
    key_id, wrapped = ring.wrap(PLAIN, b"b")
    old_id, by_old = KeyRing([OLD]).wrap(PLAIN, b"b")

    assert (key_id, old_id) == ring.key_ids
    assert f"<KeyRing {key_id} {old_id}>" == repr(ring)
    assert not {NEW.hex()[:8], OLD.hex()[:8]} & set(ring.key_ids)
    assert PLAIN == ring.unwrap(key_id, wrapped, b"b") == ring.unwrap(old_id, by_old, b"b")
    with pytest.raises(KeyMissing) as caught:
        KeyRing([NEW]).unwrap(old_id, by_old, b"b")
    for said in (old_id, *KeyRing([NEW]).key_ids, "TOKENKEEP_KEYS"):
        assert said in str(caught.value)


def test_what_a_ring_does_not_unwrap(ring):
    """What was changed, cut, is tied to something else, or wrapped by who claims a key's id."""
    key_id, wrapped = ring.wrap(PLAIN, b"b")
    _, forged = KeyRing([os.urandom(32)]).wrap(PLAIN, b"b")

    for blob, bound in ((wrapped, b"c"), (forged, b"b"), (wrapped[:-1], b"b"), (b"", b"b"),
                        (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"b")):  # fmt: skip
        with pytest.raises(StoreTampered):
            ring.unwrap(key_id, blob, bound)


@pytest.mark.parametrize("keys", [[], [b""], [b"short"], [NEW, b"x" * 33]])
def test_bad_rings(keys):
    """No key, or one of another length, is an error."""
    with pytest.raises(ConfigurationError, match="keys generate"):
        KeyRing(keys)


def test_generated_keys():
    """A generated key is 32 random bytes as text, and parses, among remarks and commas too."""
    texts = [generate_key() for _ in range(50)]
    keys = [parse_keys(text, "here") for text in texts]

    assert all(text.startswith("tk1_") for text in texts)
    assert 50 == len({key for (key,) in keys})
    assert {32} == {len(key) for (key,) in keys}
    one, two, three = texts[:3]
    several = f"# two\n{one}, {two}\n\n{three} # newest is first"
    assert parse_keys(several, "here") == [key for (key,) in keys[:3]]
    assert [] == parse_keys("  \n# none\n", "here")
