"""
Sealing: AES-256-GCM under an ordered ring of keys, newest first.

The newest key seals, all of them open. Each key is split by HKDF (RFC 5869)
into one for sealing, one for digests and an id, so that none of them says
anything about another.
"""

from __future__ import annotations

import base64
import binascii
import os
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tokenkeep.errors import ConfigurationError, KeyMissing, StoreTampered

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_BYTES = 32
_PREFIX = "tk1_"
_FORMAT = b"\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEAD = len(_FORMAT) + _ID_BYTES + _NONCE_BYTES


class _Key:
    """One key, split into its uses."""

    __slots__ = ("cipher", "id", "mac")

    def __init__(self, key: bytes) -> None:
        self.cipher = AESGCM(_derived(key, b"tokenkeep 1 seal", KEY_BYTES))
        digest_key = _derived(key, b"tokenkeep 1 digest", KEY_BYTES)
        # Only ever copied: keying one takes as long as a digest.
        self.mac = hmac.HMAC(digest_key, hashes.SHA256())
        self.id = _derived(key, b"tokenkeep 1 id", _ID_BYTES).hex()


class KeyRing:
    """
    Seal, open and digest.

    Args:
        newest_first: Keys of 32 random bytes. The first one seals; all open,
            and lookups try the digests of all.

    Raises:
        ConfigurationError: There is no key, or one has another length.
    """

    def __init__(self, newest_first: Sequence[bytes]) -> None:
        if not newest_first or any(len(key) != KEY_BYTES for key in newest_first):
            raise ConfigurationError(
                f"A key ring needs keys of {KEY_BYTES} bytes, at least one",
                hint="Make one with: tokenkeep keys generate",
            )
        self._keys = {key.id: key for key in map(_Key, newest_first)}
        self._newest = next(iter(self._keys.values()))
        # A save digests three secrets, and most saves change only one of them.
        self._digest = lru_cache(maxsize=4096)(_digest)

    def __repr__(self) -> str:
        return f"<KeyRing {' '.join(self._keys)}>"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys, newest first; an id gives nothing away."""
        return tuple(self._keys)

    def seal(self, plain: bytes, *, bound: Sequence[str]) -> tuple[str, bytes]:
        """
        Seal under the newest key.

        Args:
            plain: What to hide.
            bound: What the seal is tied to: it opens only with the same.

        Returns:
            The id of the key, and the sealed bytes.
        """
        key = self._newest
        # Random nonces are safe for 2**32 seals under one key (NIST SP 800-38D 8.3).
        nonce = os.urandom(_NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, plain, _bound(bound))
        return key.id, _FORMAT + bytes.fromhex(key.id) + nonce + sealed

    def open(self, sealed: bytes, *, bound: Sequence[str]) -> bytes:
        """
        Open what was sealed under any key of the ring.

        Args:
            sealed: As `seal` returned it.
            bound: As given to `seal`.

        Raises:
            KeyMissing: It was sealed under a key that is not in the ring.
            StoreTampered: It is not a seal, was changed, or is tied to something else.
        """
        if len(sealed) <= _HEAD or sealed[:1] != _FORMAT:
            raise StoreTampered(
                "What is stored is not sealed by tokenkeep",
                hint="Restore it from a backup, or delete it and log in again",
            )
        key_id = sealed[1 : 1 + _ID_BYTES].hex()
        key = self._keys.get(key_id)
        if key is None:
            raise key_missing([key_id], self.key_ids)
        try:
            return key.cipher.decrypt(sealed[1 + _ID_BYTES : _HEAD], sealed[_HEAD:], _bound(bound))
        except InvalidTag as exc:
            raise StoreTampered(
                "A stored record does not open: it was changed, or moved from another row",
                hint="Restore it from a backup, or delete it and log in again",
            ) from exc

    def digest(self, field: str, value: str) -> str:
        """Return the digest of a value under the newest key (HMAC-SHA256, hexadecimal)."""
        return self._digest(self._newest, field, value)

    def digests(self, field: str, value: str) -> tuple[str, ...]:
        """Return the digests of a value under all keys, newest first."""
        return tuple(self._digest(key, field, value) for key in self._keys.values())


def generate_key() -> str:
    """Return a new random key as text, to be kept like a password."""
    return _PREFIX + base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode().rstrip("=")


def parse_keys(text: str, source: str) -> list[bytes]:
    """
    Read keys, newest first, from text.

    Args:
        text: Keys as `generate_key` makes them, separated by white space or
            commas; from ``#`` to the end of a line is a comment.
        source: Where the text comes from, for errors.

    Raises:
        ConfigurationError: One of them is not a key. It is not shown.
    """
    lines = [line.split("#", 1)[0] for line in text.splitlines()]
    words = " ".join(lines).replace(",", " ").split()
    keys = []
    for number, word in enumerate(words, 1):
        try:
            raw = base64.b64decode(word.removeprefix(_PREFIX) + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES or not word.startswith(_PREFIX):
            raise ConfigurationError(
                f"Key number {number} in {source} is not a tokenkeep key",
                hint=f"A key starts with {_PREFIX}; make one with: tokenkeep keys generate",
            )
        keys.append(raw)
    return keys


def key_missing(needed: Sequence[str], present: Sequence[str]) -> KeyMissing:
    """Return the error for records whose key is not in the ring."""
    return KeyMissing(
        f"The stored tokens were sealed under key {', '.join(needed)}, which is not among "
        f"the keys at hand ({', '.join(present) or 'none'})",
        hint="Bring the key back: in TOKENKEEP_KEYS, or as a line of the key file "
        "(TOKENKEEP_KEY_FILE). Nothing was changed",
    )


def _derived(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(key)


def _digest(key: _Key, field: str, value: str) -> str:
    mac = key.mac.copy()
    # Field names are our own and hold no NUL: no two pairs give the same bytes.
    mac.update(f"{field}\0{value}".encode())
    return mac.finalize().hex()


def _bound(parts: Sequence[str]) -> bytes:
    # As json.dumps() writes them, without making an encoder for each seal.
    return f"[{', '.join(map(encode_basestring_ascii, parts))}]".encode()
