"""Sealing: what opens, what does not, and what a digest gives away."""

from __future__ import annotations

import hmac
import json
import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokenkeep import (
    Claim,
    ConfigurationError,
    Failure,
    KeyMissing,
    KeyRing,
    Renewal,
    Status,
    StoreTampered,
    Token,
    generate_key,
    records,
)
from tokenkeep.sealing import parse_keys

OLD, NEW = (bytes([n]) * 32 for n in (1, 2))
SECRETS = {
    "client_secret": "the-client-secret",
    "access_token": "the-access-token",
    "refresh_token": "the-refresh-token",
    "grant_token": "the-grant-token",
}
TOKEN = Token(
    id="7f",
    version="v1",
    identity="of ana",
    user="ana",
    client_id="c",
    expires_at=2000.5,
    status=Status.REVOKED,
    renewal=Renewal(
        claim=Claim(nonce="n", holder="h", taken_at=1.5, length=20.0),
        mints=(1.5, 2.5),
        failure=Failure(kind="x", error="e", at=1.0, until=2.0, count=3, credential="d"),
        to_revoke=(("refresh_token", "the-token-to-revoke"),),
    ),
    **SECRETS,
)


@pytest.fixture
def ring():
    return KeyRing([NEW, OLD])


def changed(record, **changes):
    from dataclasses import replace

    return replace(record, **changes)


def test_a_token_comes_back_whole(ring):
    """Every field comes back, of whatever status and in the middle of a renewal."""
    for token in (TOKEN, Token(id="1", version="v", identity="i")):
        assert token == records.unseal(records.seal(token, ring), ring)


def test_every_flipped_bit_is_noticed(ring):
    """No bit of a stored blob can be changed without its record failing to open."""
    record = records.seal(TOKEN, ring)

    for bit in range(len(record.sealed) * 8):
        blob = bytearray(record.sealed)
        blob[bit // 8] ^= 1 << bit % 8
        # A flipped bit of the key's id names a key that nobody has.
        with pytest.raises((StoreTampered, KeyMissing)):
            records.unseal(changed(record, sealed=bytes(blob)), ring)


def test_no_cut_blob_opens(ring):
    """A blob that was cut off at either end, or grew, does not open."""
    record = records.seal(TOKEN, ring)
    cuts = [record.sealed[:n] for n in range(len(record.sealed))]
    for blob in (*cuts, record.sealed[1:], record.sealed + b"\0", b"", b"{}"):
        with pytest.raises(StoreTampered):
            records.unseal(changed(record, sealed=blob), ring)


@pytest.mark.parametrize("name", ["id", "version", "identity"])
def test_a_blob_opens_only_in_its_row(ring, name):
    """A blob under another id, identity or version does not open, and says of which token."""
    record = records.seal(TOKEN, ring)

    with pytest.raises(StoreTampered) as caught:
        records.unseal(changed(record, **{name: "another"}), ring)

    assert ("another" if name == "id" else "7f", "ana") == (
        caught.value.token_id,
        caught.value.user,
    )


def test_bindings_have_no_delimiter(ring):
    """Parts that are the same text when joined are different bindings."""
    _, sealed = ring.seal(b"plain", bound=("a", "b"))

    for bound in (("ab",), ("a,b",), ('a", "b',), ("b", "a"), ("a", "b", "")):
        with pytest.raises(StoreTampered):
            ring.open(sealed, bound=bound)
    assert b"plain" == ring.open(sealed, bound=("a", "b"))


def test_the_sealed_values_decide(ring):
    """The clear columns are copies for listing: editing them changes no token."""
    record = records.seal(TOKEN, ring)
    edited = changed(
        record,
        user="eve",
        client_id="other",
        provider="other",
        data_center="eu",
        environment="sandbox",
        status="ok",
        expires_at=9e9,
        created_at=0.0,
        access=None,
        refresh="x",
    )

    assert TOKEN == records.unseal(edited, ring)


def test_no_secret_in_the_clear(ring):
    """A record holds no secret outside the seal, and none can be read in it."""
    text = repr(records.seal(TOKEN, ring))

    for secret in (*SECRETS.values(), "the-token-to-revoke"):
        assert secret not in text


def test_two_seals_of_one_token_differ(ring):
    """The same plain text is never the same blob: nonces are random."""
    assert 100 == len({records.seal(TOKEN, ring).sealed for _ in range(100)})


def test_the_newest_key_seals_and_all_open(ring):
    """The order of keys: the first seals, each one opens, a missing one is named."""
    assert ring.key_ids[0] == records.seal(TOKEN, ring).key_id
    by_old = records.seal(TOKEN, KeyRing([OLD]))
    assert ring.key_ids[1] == by_old.key_id
    assert TOKEN == records.unseal(by_old, ring)

    with pytest.raises(KeyMissing) as caught:
        records.unseal(by_old, KeyRing([NEW]))
    assert by_old.key_id in str(caught.value)
    assert "TOKENKEEP_KEYS" in str(caught.value)


def test_the_wrong_key_with_the_right_id_opens_nothing(ring, monkeypatch):
    """Who claims a key's id without having it can't open what it sealed."""
    record = records.seal(TOKEN, ring)
    forger = KeyRing([os.urandom(32)])
    monkeypatch.setattr(forger, "_keys", {record.key_id: forger._newest})

    with pytest.raises(StoreTampered):
        records.unseal(record, forger)


def test_plaintext_is_never_taken_for_a_seal(ring):
    """Unsealed JSON where a seal is expected is an error, not a value."""
    record = changed(records.seal(TOKEN, ring), sealed=b'{"user": "ana", "access_token": "x"}')

    with pytest.raises(StoreTampered, match="not sealed by tokenkeep"):
        records.unseal(record, ring)


def test_what_opens_but_holds_no_token(ring):
    """A seal around something else is a named error."""
    record = records.seal(TOKEN, ring)
    bound = (records.FORMAT, record.id, record.identity, record.version)
    for plain in (b"", b"[]", b"{}", b'{"status": "odd", "renewal": {}}', b"\xff"):
        _, sealed = ring.seal(plain, bound=bound)
        with pytest.raises(StoreTampered, match="holds no token"):
            records.unseal(changed(record, sealed=sealed), ring)


def test_digests():
    """A digest depends on key, field and every character of the value, and hides it."""
    new, old = KeyRing([NEW]), KeyRing([OLD])
    values = {
        new.digest("access", "a"),
        new.digest("refresh", "a"),
        new.digest("access", "A"),
        new.digest("access", "a "),
        new.digest("access", "caf\u00e9"),
        new.digest("access", "cafe\u0301"),
        old.digest("access", "a"),
    }

    assert 7 == len(values)
    assert {64} == {len(value) for value in values}
    assert new.digest("access", "a") == KeyRing([NEW]).digest("access", "a")
    both = KeyRing([NEW, OLD])
    assert (new.digest("access", "a"), old.digest("access", "a")) == both.digests("access", "a")
    assert both.digest("access", "a") == new.digest("access", "a")


def test_uses_of_a_key_are_separate():
    """Sealing key, digest key and id of one key have nothing in common with it or each other."""
    ring = KeyRing([NEW])
    (key_id,) = ring.key_ids
    _, sealed = ring.seal(b"plain", bound=["bound"])
    raw = hmac.new(NEW, b"access\0value", "sha256").hexdigest()

    assert NEW.hex() not in key_id
    assert ring.digest("access", "value") != raw
    with pytest.raises(InvalidTag):
        AESGCM(NEW).decrypt(sealed[9:21], sealed[21:], json.dumps(["bound"]).encode())


def test_a_ring_shows_no_key(ring):
    """The repr of a ring has ids, which give nothing away."""
    assert f"<KeyRing {' '.join(ring.key_ids)}>" == repr(ring)


@pytest.mark.parametrize("keys", [[], [b""], [b"short"], [NEW, b"x" * 33]])
def test_bad_rings(keys):
    """No key, or one of another length, is an error."""
    with pytest.raises(ConfigurationError, match="keys generate"):
        KeyRing(keys)


def test_generated_keys():
    """A generated key is 32 random bytes as text, and parses."""
    keys = [generate_key() for _ in range(50)]

    assert 50 == len(set(keys))
    assert all(key.startswith("tk1_") for key in keys)
    parsed = parse_keys(f"# two\n{keys[0]}, {keys[1]}\n\n{keys[2]} # newest is first", "here")
    assert parsed == [*parse_keys(keys[0], ""), *parse_keys(keys[1], ""), *parse_keys(keys[2], "")]
    assert {32} == {len(key) for key in parsed}
    assert [] == parse_keys("  \n# none\n", "here")


@pytest.mark.parametrize("bad", ["hunter2", "tk1_short", "tk1_" + "!" * 43, "x" * 47])
def test_what_is_no_key(bad):
    """What is no key is named by its place, never shown."""
    with pytest.raises(ConfigurationError) as caught:
        parse_keys(f"{generate_key()}\n{bad}", "TOKENKEEP_KEYS")

    assert "Key number 2 in TOKENKEEP_KEYS" in str(caught.value)
    assert bad not in str(caught.value)
