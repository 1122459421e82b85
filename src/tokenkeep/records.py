"""Tokens to sealed records and back."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.rows import from_row
from tokenkeep.errors import StoreError, StoreTampered
from tokenkeep.lookup import SECRETS, require_text
from tokenkeep.token import Claim, Failure, Renewal, Status, Token

if TYPE_CHECKING:
    from tokenkeep.backends.base import Record
    from tokenkeep.sealing import KeyRing

FORMAT = "tokenkeep 1"
_OUTSIDE = {"id", "version", "identity", "last_used_at", "status", "renewal"}
_INSIDE = tuple(f.name for f in fields(Token) if f.name not in _OUTSIDE)
_EMPTY, _NO_STATE = Token(), Renewal()
_STATE = tuple(f.name for f in fields(Renewal))
_NESTED = {"claim", "failure"}
_inside, _states = attrgetter(*_INSIDE), attrgetter(*_STATE)
_whose = attrgetter("user", "client_id", "provider", "data_center", "environment")
_when = attrgetter("expires_at", "created_at", "updated_at", "last_used_at")
_encode = json.JSONEncoder(separators=(",", ":")).encode


def seal(token: Token, ring: KeyRing) -> Record:
    """
    Seal a token into a record.

    Args:
        token: With id, version and identity.
        ring: Its newest key seals.
    """
    id_, version, identity = str(token.id), str(token.version), str(token.identity)
    key_id, sealed = ring.seal(_plain(token), bound=(FORMAT, id_, identity, version))
    sealed_under = (id_, version, identity, key_id, sealed)
    digests = _digests(token, ring)
    # In the order of a record's fields: by name, it took three times as long.
    return from_row((*sealed_under, *digests, *_whose(token), token.status.value, *_when(token)))


def unseal(record: Record, ring: KeyRing) -> Token:
    """
    Open a record. Only what is inside the seal counts.

    Raises:
        KeyMissing: It was sealed under a key that is not in the ring.
        StoreTampered: It does not open, or what is inside is no token.
    """
    bound = (FORMAT, record.id, record.identity, record.version)
    try:
        # In no local variable: crash reports show those of each frame.
        return _token(ring.open(record.sealed, bound=bound), record)
    except StoreTampered as exc:
        exc.token_id, exc.user = record.id, record.user
        raise
    except (ValueError, TypeError, KeyError):
        pass
    # Not from within the except: an error of the decoder has all that was opened in it.
    raise StoreTampered(
        "A stored record opens, but holds no token",
        token_id=record.id,
        hint="It was written by another program; delete it and log in again",
    )


def _plain(token: Token) -> bytes:
    """Return what is sealed of a token."""
    inside: dict[str, object] = {
        name: value
        for name, value in zip(_INSIDE, _inside(token), strict=True)
        if value is not None
    }
    inside["status"] = token.status.value
    inside["renewal"] = _state(token.renewal)
    with suppress(TypeError, ValueError):
        return _encode(inside).encode()
    inside.clear()  # crash reports show the locals of each frame
    raise StoreError(
        "This token holds something that is neither text nor a number",
        token_id=token.id,
        user=token.user,
        hint="Decode bytes where they come from",
    )


def _digests(token: Token, ring: KeyRing) -> list[str | None]:
    with suppress(UnicodeEncodeError):
        return [
            ring.digest(field, getattr(token, name)) if getattr(token, name) else None
            for field, name in SECRETS.items()
        ]
    require_text(token, SECRETS.values())  # raises, and has no secret in it as the codec's has
    return []


def _token(plain: bytes, record: Record) -> Token:
    inside = json.loads(plain)
    inside["status"] = Status(inside["status"])
    inside["renewal"] = _renewal(inside["renewal"])
    # A copy of an empty one is made in a third of the time of a new one.
    return _EMPTY.but(
        id=record.id,
        version=record.version,
        identity=record.identity,
        last_used_at=record.last_used_at,
        **inside,
    )


def _state(renewal: Renewal) -> dict[str, object]:
    # asdict() of the whole copies each value deeply, which is a third of a seal.
    state: dict[str, object] = {
        name: value
        for name, value in zip(_STATE, _states(renewal), strict=True)
        if value is not None and value != ()
    }
    for name in _NESTED & state.keys():
        state[name] = asdict(getattr(renewal, name))
    return state


def _renewal(state: dict[str, Any]) -> Renewal:
    claim, failure = state.pop("claim", None), state.pop("failure", None)
    return _NO_STATE.but(
        claim=Claim(**claim) if claim else None,
        failure=Failure(**failure) if failure else None,
        mints=tuple(state.pop("mints", ())),
        to_revoke=tuple((kind, value) for kind, value in state.pop("to_revoke", ())),
        **state,
    )
