"""What the vault keeps, as sealed records and back: rows, aliases, leases, ended rows."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.rows import from_row
from tokenkeep.errors import StoreError, StoreTampered, StoreTooNew
from tokenkeep.lookup import SECRETS, require_text
from tokenkeep.token import Claim, Failure, Happening, Renewal, Status, Token, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.backends.base import Record
    from tokenkeep.sealing import DataKeys

ROW, ALIAS, LEASE, ENDED, HEADER = "row", "alias", "lease", "ended", "header"
"""The kinds of record."""

_WORD = re.compile("[a-z]{1,8}")

_TIMES = {float, int, type(None)}
_CHANGED = (
    "It was changed outside tokenkeep; restore it from a backup, or delete it and log in again"
)

EVER = 253_402_300_800.0
"""All that is due is due by then: the year 10000, in epoch seconds. MySQL has no infinity."""

NOTICE = 7 * 86_400.0
"""How long before its end a login is told of, in seconds; see `_due_at`."""

_OURS = "tk_"

_OUTSIDE = {
    "id",
    "version",
    "owner",
    "last_used_at",
    "status",
    "renewal",
    "history",
    "ended",
    "unknown",
}
_INSIDE = tuple(f.name for f in fields(Token) if f.name not in _OUTSIDE)
_KNOWN = {*_INSIDE, "status", "renewal", "history"}
_STATE = tuple(f.name for f in fields(Renewal) if f.name != "unknown")
_KNOWN_STATE = {*_STATE}
_NESTED = {"claim", "failure"}
_PAIRS = ("to_revoke", "replaced")
_EMPTY, _NO_STATE = Token(), Renewal()
_CLAIM, _FAILURE = ({f.name for f in fields(kind)} for kind in (Claim, Failure))
_inside, _states = attrgetter(*_INSIDE), attrgetter(*_STATE)
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """
    An id that leads to a row.

    Args:
        id: The id, without what all ids of ours begin with.
        version: As of a `Token`.
        owner: As of a `Token`.
        to: The id of the row.
        name: The id as its caller brought it. None if it is one of ours.
        at: When it was written, in epoch seconds.
        carries: A login that has to go into the row yet. None if there is none.
        seen_login: The nonce of the row's login as the alias began to carry.
        seen_status: The row's status then. None if there was no row: it is to be made.
    """

    id: str
    version: str
    owner: str
    to: str
    at: float
    name: str | None = None
    carries: Token | None = None
    seen_login: str | None = None
    seen_status: Status | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A first login under way: who logs in; the owner is a digest of what with."""

    id: str
    version: str
    owner: str
    claim: Claim


Kept = Token | Alias | Lease


def token_id(record_id: str) -> str:
    """Return the id of a token as its users see it."""
    return _OURS + record_id


def record_id(token_id: str) -> str | None:
    """Return the id of a token's record. None if the id is not one of ours."""
    return token_id.removeprefix(_OURS) if is_ours(token_id) else None


def is_time(value: object) -> bool:
    """Tell whether something is a time, or None: databases may give anything for a number."""
    return type(value) in _TIMES


def is_kind(value: object) -> bool:
    """Tell whether something can be a kind, if only of a later version."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def alias_state(row_id: str) -> str:
    """Return the state of the aliases that lead to a row, which they are found by."""
    return f"alias of {row_id}"


def seal(kept: Kept, keys: DataKeys, tenant_of: Callable[[Token], str | None]) -> Record:
    """Seal something that has id, version and owner into a record."""
    if isinstance(kept, Token):
        return _row(kept, keys, tenant_of)
    access, refresh, grant, state = None, None, None, None
    due_at: float | None
    if isinstance(kept, Lease):
        kind, plain = LEASE, _encode({"claim": asdict(kept.claim)}).encode()
        due_at = kept.claim.taken_at + kept.claim.length
    else:
        kind, plain = ALIAS, _alias(kept)
        due_at = kept.at if kept.carries else None
        state = keys.digest("state", alias_state(kept.to))
        if kept.carries is not None:
            access, refresh, grant = _secrets(kept.carries, keys)
    bound = _bound(kept.id, kind, kept.version, kept.owner)
    sealed = (kind, *keys.seal(plain, bound=bound))
    marks = (None, None, None, access, refresh, grant, state)
    return from_row((kept.id, kept.version, kept.owner, *sealed, *marks, due_at, None))


def unseal(record: Record, keys: DataKeys) -> Kept:
    """
    Open a record. Only what is inside the seal counts; its times are outside.

    Raises:
        KeyError: It was sealed under a data key that is not at hand.
        StoreTooNew: A newer tokenkeep wrote it.
        StoreTampered: It does not open, or something of it is not what it should be.
    """
    if not (is_time(record.last_used_at) and is_time(record.due_at)):
        raise StoreTampered(
            "A time of a stored record is no time",
            token_id=token_id(record.id),
            hint=_CHANGED,
        )
    if record.kind not in _READ:
        if not is_kind(record.kind):
            raise StoreTampered(
                "A stored record is of a kind that there can't be",
                token_id=token_id(record.id),
                hint=_CHANGED,
            )
        raise StoreTooNew(
            "This record is of a kind that this tokenkeep does not know",
            token_id=token_id(record.id),
            hint="Upgrade tokenkeep",
        )
    try:
        bound = _bound(record.id, record.kind, record.version, record.owner)
        # In no local variable: crash reports show those of each frame.
        return _READ[record.kind](
            json.loads(keys.open(record.key, record.sealed, bound=bound)), record
        )
    except (StoreTampered, StoreTooNew) as exc:
        exc.token_id = token_id(record.id)
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as exc:
        if isinstance(exc, KeyError) and record.key not in keys:
            raise
    # Not from within the except: an error of the decoder has all that was opened in it.
    raise StoreTampered(
        "A stored record opens, but holds nothing that makes sense",
        token_id=token_id(record.id),
        hint="It was written by another program; delete it and log in again",
    )


def _bound(id_: str, kind: str, version: str, owner: str) -> str:
    return f"{id_}\0{kind}\0{version}\0{owner}"


# Rows


def _row(token: Token, keys: DataKeys, tenant_of: Callable[[Token], str | None]) -> Record:
    id_ = str(token.id).removeprefix(_OURS)
    version, owner = str(token.version), str(token.owner)
    kind = ENDED if token.ended else ROW
    sealed = (kind, *keys.seal(_plain(token), bound=_bound(id_, kind, version, owner)))
    due_at = _due_at(token)
    access, refresh, grant = _secrets(token, keys)
    digest = keys.digest
    user = digest("user", token.user) if token.user else None
    if token.ended:  # found by what must not be saved again, and whose it was
        marks: tuple[str | None, ...] = (user, None, None, None, refresh, None, None)
    else:
        tenant = tenant_of(token)
        marks = (
            user,
            digest("tenant", tenant) if tenant else None,
            digest("client", token.client_id) if token.client_id else None,
            access,
            refresh,
            grant,
            digest("state", token.status.value),
        )
    # In the order of a record's fields: by name, it took three times as long.
    return from_row((id_, version, owner, *sealed, *marks, due_at, token.last_used_at))


def _due_at(token: Token) -> float | None:
    """
    Return from when on a row is to be looked at: for its revocations, or as its login ends.

    That is told `NOTICE` before, or a quarter of its life if that is shorter.
    """
    if token.ended or token.renewal.to_revoke:
        return token.updated_at or 0.0
    end = token.refresh_expires_at
    if end is None or not token.refresh_token or token.status is not Status.OK:
        return None
    since = max(token.renewal.renewed_at or 0.0, token.logged_in_at or 0.0)
    return max(0.0, end - min(NOTICE, max(0.0, end - since) / 4))


def _secrets(token: Token, keys: DataKeys) -> tuple[str | None, str | None, str | None]:
    """Return the marks of the access, refresh and grant token."""
    with suppress(UnicodeEncodeError):
        access, refresh, grant = (
            keys.digest(field, getattr(token, name)) if getattr(token, name) else None
            for field, name in SECRETS.items()
        )
        return access, refresh, grant
    require_text(token, SECRETS.values())  # raises, and has no secret in it as the codec's has
    return None, None, None


def _plain(token: Token) -> bytes:
    """Return what is sealed of a token."""
    with suppress(TypeError, ValueError):
        return _encode(_fields(token)).encode()
    raise StoreError(
        "This token holds something that is neither text nor a number",
        token_id=token.id,
        user=token.user,
        hint="Decode bytes where they come from",
    )


def _fields(token: Token) -> dict[str, object]:
    inside: dict[str, object] = {
        name: value
        for name, value in zip(_INSIDE, _inside(token), strict=True)
        if value is not None and value != {}
    }
    inside["status"] = token.status.value
    inside["renewal"] = _state(token.renewal)
    if token.history:
        inside["history"] = [(each.what, each.at, each.by, each.count) for each in token.history]
    return {**token.unknown, **inside} if token.unknown else inside


def _state(renewal: Renewal) -> dict[str, object]:
    # asdict() of the whole copies each value deeply, which is a third of a seal.
    state: dict[str, object] = {
        name: value
        for name, value in zip(_STATE, _states(renewal), strict=True)
        if value is not None and value != () and value is not False
    }
    for name in _NESTED & state.keys():
        state[name] = asdict(getattr(renewal, name))
    return {**renewal.unknown, **state} if renewal.unknown else state


def _token(inside: dict[str, Any], record: Record) -> Token:
    return _token_of(
        inside,
        id=token_id(record.id),
        version=record.version,
        owner=record.owner,
        last_used_at=record.last_used_at,
        ended=record.kind == ENDED,
    )


def _token_of(inside: dict[str, Any], **outside: object) -> Token:
    inside["status"] = _status(inside["status"])
    inside["renewal"] = _renewal(inside["renewal"])
    if "history" in inside:
        inside["history"] = tuple(
            Happening(what=what, at=at, by=by, count=count)
            for what, at, by, count, *_ in inside["history"]
        )
    if not inside.keys() <= _KNOWN:
        unknown = {name: inside.pop(name) for name in inside.keys() - _KNOWN}
        inside["unknown"] = unknown
    # A copy of an empty one is made in a third of the time of a new one.
    return _EMPTY.but(**outside, **inside)


def _status(value: str) -> Status:
    if value not in {each.value for each in Status}:
        raise StoreTooNew(
            "This token has a status that this tokenkeep does not know", hint="Upgrade tokenkeep"
        )
    return Status(value)


def _renewal(state: dict[str, Any]) -> Renewal:
    for name, kind, known in (("claim", Claim, _CLAIM), ("failure", Failure, _FAILURE)):
        if name in state:
            state[name] = kind(**{k: v for k, v in state[name].items() if k in known})
    for name in ("mints", "past", "took"):
        if name in state:
            state[name] = tuple(state[name])
    for name in _PAIRS:
        if name in state:
            state[name] = tuple((kind, value) for kind, value in state[name])
    if not state.keys() <= _KNOWN_STATE:
        unknown = {name: state.pop(name) for name in state.keys() - _KNOWN_STATE}
        state["unknown"] = unknown
    return _NO_STATE.but(**state)


# The others


def _lease(inside: dict[str, Any], record: Record) -> Lease:
    claim = {name: value for name, value in inside["claim"].items() if name in _CLAIM}
    return Lease(id=record.id, version=record.version, owner=record.owner, claim=Claim(**claim))


def _alias(alias: Alias) -> bytes:
    inside: dict[str, object] = {"to": alias.to, "at": alias.at, "name": alias.name}
    if alias.carries is not None:
        inside |= {
            "carries": _fields(alias.carries),
            "seen_login": alias.seen_login,
            "seen_status": alias.seen_status and alias.seen_status.value,
        }
    return _encode(inside).encode()


def _alias_of(inside: dict[str, Any], record: Record) -> Alias:
    carried, status = inside.get("carries"), inside.get("seen_status")
    return Alias(
        id=record.id,
        version=record.version,
        owner=record.owner,
        to=str(inside["to"]),
        at=float(inside["at"]),
        name=inside.get("name"),
        carries=_token_of(carried) if carried else None,
        seen_login=inside.get("seen_login"),
        seen_status=_status(status) if status else None,
    )


_READ: dict[str, Callable[[dict[str, Any], Record], Kept]] = {
    ROW: _token,
    ALIAS: _alias_of,
    LEASE: _lease,
    ENDED: _token,
}
