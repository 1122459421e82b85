"""What the contracts' threads and processes do; without pytest, which they need not load."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreConflict
from tokenkeep.testing.records import again, digits, record
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Hashable, MutableSequence

    from tokenkeep.backends.base import Backend, Record
    from tokenkeep.store import TokenStore


def _won(backend: Backend, new: Record, replaces: str | None) -> bool:
    try:
        backend.write(new, replaces=replaces)
    except StoreConflict:
        return False
    return True


SAVES = 15
"""How many records `race` inserts, and how often it counts."""


def race(backend: Backend, number: int) -> tuple[bool, bool]:
    """
    Write over the first version, insert a record for the one thing, save many beside others.

    Returns:
        Whether this process won the first, and the second.
    """
    replaced = _won(backend, again(record(), f"of {number}"), record().version)
    owner = digits("the one thing")
    mine = backend.id_for(owner) or digits(f"thing of {number}")
    inserted = _won(backend, record(id=mine, owner=owner), None)
    for turn in range(SAVES):
        backend.write(record(f"{number}-{turn}"), replaces=None)
        while not _count_one(backend, f"{number}-{turn}"):
            pass
    return replaced, inserted


def _count_one(backend: Backend, version: str) -> bool:
    old = backend.read(record("counter").id)
    if old is None:
        raise AssertionError("the counter is gone")
    return _won(backend, again(old, version, sealed=b"%d" % (int(old.sealed) + 1)), old.version)


# One writes, others look. They tell each other on a board of numbers that they
# share: first how many writes have returned, then for each reader how many had
# when its last look began.

_WRITES = 60
"""How often `write_and_look` writes."""

_OVER = 1_000_000
"""How many writes have returned when the record is deleted."""


def write_and_look(board: MutableSequence[int], backend: Backend, number: int) -> list[str]:
    """
    Write (number 0), or look what is there as often as can be, until it is deleted.

    Returns:
        What a reader saw first that was no longer so: nothing, if all is well.
    """
    try:
        if number:
            return _look(board, backend, number)
        _write(board, backend)
        return []
    finally:
        board[number] = _OVER  # nobody waits for who failed


def _write(board: MutableSequence[int], backend: Backend) -> None:
    old = record("seen", sealed=b"0")
    for turn in range(1, _WRITES + 1):
        new = again(old, str(turn), sealed=b"%d" % turn)
        backend.write(new, replaces=old.version)
        _wait_for_looks(board, turn)
        old = new
    backend.delete(old.id)
    _wait_for_looks(board, _OVER)


def _wait_for_looks(board: MutableSequence[int], turn: int) -> None:
    """Note that a write has returned, and wait until everybody looked since."""
    board[0] = turn
    while min(board) < turn:
        time.sleep(0)


def _look(board: MutableSequence[int], backend: Backend, number: int) -> list[str]:
    wrong: list[str] = []
    kept: tuple[Hashable, int] | None = None
    while board[number] < _OVER:
        returned = board[0]
        # As the cache of the vault does it.
        revision = backend.revision()
        if kept is None or revision is None or kept[0] != revision:
            found = backend.read(record("seen").id)
            kept = revision, int(found.sealed) if found else _OVER
        if kept[1] < returned and not wrong:
            wrong.append(f"write {kept[1]} after write {returned} had returned")
        board[number] = returned
    return wrong


# With stores

_SAVES = 10
"""How many users of its own `save` saves."""


def swap_first_version(store: TokenStore, number: int, first: Token) -> bool:
    """Try to write over the version that all have read; say whether this one won."""
    try:
        store.swap(first.but(access_token=f"of {number}"))
    except StoreConflict:
        return False
    return True


def swap_only_token(store: TokenStore, number: int) -> bool:
    """Note a mint in the only token there is; say whether nobody wrote in between."""
    (token,) = store.get_tokens()
    try:
        store.swap(token.with_renewal(mints=(*token.renewal.mints, float(number))))
    except StoreConflict:
        return False
    return True


def save(store: TokenStore, number: int) -> bool:
    """Save the user and the nameless token that all save, and users of one's own; find these."""
    store.save_token(Token(user="ana", client_id="client", refresh_token=f"r{number}"))
    store.save_token(Token(client_id="client", refresh_token="shared"))  # noqa: S106  # made up
    for turn in range(_SAVES):
        user = f"{number}-{turn}"
        store.save_token(Token(user=user, client_id="client", refresh_token=user))
        saved = store.save_token(Token(user=user, client_id="client", access_token=user))
        if store.find_token(Token(user=user)) != saved or saved.refresh_token != user:
            return False
    return True


def users(count: int) -> list[str]:
    """Return the users, of one token each, after so many runs of `save`, in order."""
    mine = [f"{number}-{turn}" for number in range(count) for turn in range(_SAVES)]
    return sorted([*mine, "ana", str(None)])
