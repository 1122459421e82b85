"""
Sealing: AES-256-GCM, each record under a key of its own, bound to store, row, kind and version.

Two kinds of key. A store makes its own **data keys** and **index key** and keeps
them in its header, wrapped under the **key ring** that its users bring. The
ring's newest key wraps, all of them unwrap.
"""

from __future__ import annotations

import base64
import binascii
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError, KeyMissing, StoreTampered, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY_BYTES = 32
DIGITS = 32
"""How many hexadecimal digits a digest has: 128 bits of an HMAC-SHA256."""

_PREFIX = "tk1_"
_FORMAT = 2
_LATER = 15
"""How many numbers above it are a newer tokenkeep's format; any other is none at all."""
_SALT_BYTES, _NONCE_BYTES = 16, 12
_HEAD = 1 + _SALT_BYTES + _NONCE_BYTES
_SHA256 = hashes.SHA256()
_RESTORE = "Restore it from a backup, or delete it and log in again"


class KeySource(Protocol):
    """What wraps a store's own keys: the key ring, or a service that never shows its key."""

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys at hand, the one that wraps first; an id gives nothing away."""

    def wrap(self, plain: bytes, bound: bytes) -> tuple[str, bytes]:
        """
        Wrap a store's keys under the newest key.

        Args:
            plain: What to hide.
            bound: What the wrapping is tied to.

        Returns:
            The id of the key, and what was wrapped.
        """

    def unwrap(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        """
        Unwrap a store's keys.

        Args:
            key_id: As `wrap` returned it.
            wrapped: Likewise.
            bound: As given to `wrap`.

        Raises:
            KeyMissing: That key is not at hand.
            StoreTampered: It was changed, or is tied to something else.
        """


class KeyRing:
    """
    Wrap the keys of stores under keys of one's own.

    Args:
        newest_first: Keys of 32 random bytes. The first one wraps, all unwrap.

    Raises:
        ConfigurationError: There is no key, or one has another length.
    """

    def __init__(self, newest_first: Sequence[bytes]) -> None:
        self._ciphers: dict[str, AESGCM] = {}
        if not newest_first or not all(map(_is_key, newest_first)):
            del newest_first  # crash reports show the locals of each frame
            raise ConfigurationError(
                f"A key ring needs keys of {KEY_BYTES} bytes, at least one",
                hint="Make one with: tokenkeep keys generate",
            )
        self._ciphers = {
            _derived(key, b"tokenkeep 2 id")[:8].hex(): AESGCM(_derived(key, b"tokenkeep 2 wrap"))
            for key in newest_first
        }

    def __repr__(self) -> str:
        return f"<KeyRing {' '.join(self._ciphers)}>"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """See `KeySource.key_ids`."""
        return tuple(self._ciphers)

    def wrap(self, plain: bytes, bound: bytes) -> tuple[str, bytes]:
        """See `KeySource.wrap`."""
        key_id = self.key_ids[0]
        nonce = os.urandom(_NONCE_BYTES)
        return key_id, nonce + self._ciphers[key_id].encrypt(nonce, plain, bound)

    def unwrap(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        """See `KeySource.unwrap`."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissing(
                f"The store's own keys are wrapped under key {key_id}, which is not among "
                f"the keys at hand ({', '.join(self.key_ids)})",
                hint="Bring the key back: in TOKENKEEP_KEYS, or as a line of the key file "
                "(TOKENKEEP_KEY_FILE). Nothing was changed",
            )
        try:
            return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError) as exc:
            raise StoreTampered(
                "The store's own record does not open: it was changed outside tokenkeep",
                hint="Restore the store from a backup",
            ) from exc


class DataKeys:
    """The keys of one store: seal, open, digest. The highest data key seals, all open."""

    def __init__(self, store_id: str, keys: Mapping[int, bytes], index_key: bytes) -> None:
        self.store_id = store_id
        self.newest: int = max(keys)
        self._keys = dict(keys)
        # Only ever copied: keying one takes as long as a digest.
        self._mac = hmac.HMAC(index_key, _SHA256)
        self._audit = hmac.HMAC(_derived(index_key, b"tokenkeep 2 audit"), _SHA256)
        # A save digests three secrets, and most saves change only one of them.
        self._digest = lru_cache(maxsize=4096)(self._digested)

    def __repr__(self) -> str:
        return f"<DataKeys of {self.store_id}>"

    def __contains__(self, number: int) -> bool:
        return number in self._keys

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the data keys, the oldest first."""
        return tuple(sorted(self._keys))

    def seal(self, plain: bytes, *, bound: str) -> tuple[int, bytes]:
        """Seal under the newest data key, tied to *bound*; return the key's number too."""
        # A key for each seal: no number of them is too many (NIST SP 800-38D 8.3).
        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        sealed = self._cipher(self.newest, salt).encrypt(nonce, plain, self._bound(bound))
        return self.newest, bytes([_FORMAT]) + salt + nonce + sealed

    def open(self, number: int, sealed: bytes, *, bound: str) -> bytes:
        """
        Open what was sealed under a data key.

        Raises:
            KeyError: There is no data key of this number.
            StoreTooNew: A newer tokenkeep sealed it.
            StoreTampered: It is not a seal, was changed, or is tied to something else.
        """
        is_sealed = isinstance(sealed, bytes) and len(sealed) > _HEAD
        if is_sealed and _FORMAT < sealed[0] <= _FORMAT + _LATER:
            raise StoreTooNew("A newer tokenkeep has sealed this record", hint="Upgrade tokenkeep")
        if not is_sealed or sealed[0] != _FORMAT:
            raise StoreTampered("What is stored is not sealed by tokenkeep", hint=_RESTORE)
        salt, nonce = sealed[1 : 1 + _SALT_BYTES], sealed[1 + _SALT_BYTES : _HEAD]
        try:
            return self._cipher(number, salt).decrypt(nonce, sealed[_HEAD:], self._bound(bound))
        except InvalidTag as exc:
            raise StoreTampered(
                "A stored record does not open: it was changed, or is another row's or store's",
                hint=_RESTORE,
            ) from exc

    def digest(self, field: str, value: str) -> str:
        """Return the digest of a value, the same whatever data key is the newest."""
        return self._digest(field, value)

    def audit_mac(self, line: bytes) -> str:
        """Return the seal of a line of the audit, the same whatever data key is the newest."""
        mac = self._audit.copy()
        mac.update(line)
        return mac.finalize().hex()

    def forget(self) -> None:
        """Forget the values whose digests are remembered."""
        self._digest.cache_clear()

    def _cipher(self, number: int, salt: bytes) -> AESGCM:
        return AESGCM(_derived(self._keys[number], b"tokenkeep 2 record", salt))

    def _bound(self, bound: str) -> bytes:
        return f"tokenkeep {_FORMAT}\0{self.store_id}\0{bound}".encode()

    def _digested(self, field: str, value: str) -> str:
        mac = self._mac.copy()
        # Field names are our own and hold no NUL: no two pairs give the same bytes.
        mac.update(f"{field}\0{value}".encode())
        return mac.finalize().hex()[:DIGITS]


def generate_key() -> str:
    """Return a new random key as text, to be kept like a password."""
    return _PREFIX + base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode().rstrip("=")


@without_frames
def parse_keys(text: str, source: str) -> list[bytes]:
    """
    Read keys, newest first, from text as `generate_key` makes it.

    White space or commas separate them; from ``#`` to the end of a line is a
    comment. *source* says in errors where the text is from.

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


def _is_key(key: object) -> bool:
    return isinstance(key, bytes) and len(key) == KEY_BYTES


def _derived(key: bytes, info: bytes, salt: bytes | None = None) -> bytes:
    return HKDF(algorithm=_SHA256, length=KEY_BYTES, salt=salt, info=info).derive(key)
