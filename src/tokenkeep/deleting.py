"""How a token is deleted: its row, and the pointer that its id may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.errors import KeyMissing, StoreConflict, StoreTampered
from tokenkeep.rows import TRIES

if TYPE_CHECKING:
    from tokenkeep.rows import Rows


def delete_all_of(rows: Rows, token_id: str, *, but: frozenset[str] = frozenset()) -> None:
    """
    Delete a row, and if it is a pointer the row it leads to. Silent if there is none.

    Args:
        rows: Where.
        token_id: Which one.
        but: Rows that are being deleted already.
    """
    but |= {token_id}
    for _ in range(TRIES):
        record = rows.record(token_id)
        if record is None:
            return
        try:
            row = rows.open(record)
        except (KeyMissing, StoreTampered):
            break  # what can't be read can be deleted all the same
        if row.moved_to and row.moved_to not in but:
            delete_all_of(rows, row.moved_to, but=but)
        try:
            rows.delete(token_id, replaces=row.version)
        except StoreConflict:
            continue  # it may have become a pointer
        return
    rows.delete(token_id, replaces=None)


def delete_version_of(
    rows: Rows, token_id: str, version: str, *, but: frozenset[str] = frozenset()
) -> None:
    """
    Delete a version of a row, or of the row that it leads to and the pointer.

    Args:
        rows: Where.
        token_id: Which one.
        version: What has to be stored now, in either.
        but: Rows that have been looked at already.

    Raises:
        StoreConflict: Another version is stored; the pointer stays as well.
    """
    record = rows.record(token_id)
    if record is not None and record.version != version:
        row = rows.open(record)
        if row.moved_to and row.moved_to not in but:
            delete_version_of(rows, row.moved_to, version, but=but | {token_id})
            version = str(row.version)
    rows.delete(token_id, replaces=version)
