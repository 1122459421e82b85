"""
Records as rows of a SQL table: texts of any length and any character in columns of one width.

A column that is compared must have an index, an index has a limit, and
PostgreSQL's texts can't hold NUL. So a text that is too long is stored as its
SHA-256, and itself, with others of its kind, in a column of its own.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.errors import StoreTampered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenkeep.backends.base import Record

WIDTH = 255
"""How many bytes of UTF-8 a column takes: what MySQL indexes in each of its formats."""

_NO_TEXT = {"sealed", "expires_at", "created_at", "updated_at", "last_used_at"}
_TEXTS = tuple((n, name) for n, name in enumerate(COLUMNS) if name not in _NO_TEXT)
_SEALED = COLUMNS.index("sealed")

# NUL is \1\1 and \1 is \1\2: in the order of code points, as scan promises.
# No text becomes \1\3, which begins what stands for one that is too long.
_LONG = "\1\3"


def column(text: str) -> str:
    """
    Return what a column holds for a text; equal if and only if the texts are.

    Raises:
        UnicodeEncodeError: It has a lone surrogate.
    """
    if len(text) <= WIDTH and text.isascii() and "\0" not in text and "\1" not in text:
        return text
    escaped = text.replace("\1", "\1\2").replace("\0", "\1\1")
    encoded = escaped.encode()
    return escaped if len(encoded) <= WIDTH else f"{_LONG}{sha256(encoded).hexdigest()}"


class RowFormat:
    """
    Records to rows and back.

    Args:
        binary: Whether texts go to the driver as UTF-8, for columns of bytes.
    """

    def __init__(self, *, binary: bool) -> None:
        self.key: Callable[[str], str | bytes] = _column_of_bytes if binary else column
        """Return the value of a text to look for."""
        self._binary = binary

    def pack(self, record: Record) -> list[Any]:
        """
        Return the row of a record: its fields in the order of `COLUMNS`, and the long ones.

        Raises:
            UnicodeEncodeError: A text has a lone surrogate.
        """
        row: list[Any] = list(to_row(record))
        long = {}
        for n, name in _TEXTS:
            text = row[n]
            if text is None:
                continue
            row[n] = stored = column(text)
            if stored.startswith(_LONG):
                long[name] = text
        if self._binary:
            for n, _ in _TEXTS:
                if row[n] is not None:
                    row[n] = row[n].encode()
        row.append(json.dumps(long).encode() if long else None)
        return row

    def unpack(self, row: Sequence[Any]) -> Record:
        """
        Return the record of a row.

        Raises:
            StoreTampered: It is none; somebody else wrote it.
        """
        *values, long = row
        try:
            for n, _ in _TEXTS:
                text = values[n]
                if text is None:
                    continue
                if type(text) is not str:
                    text = bytes(text).decode()
                values[n] = text if "\1" not in text else _unescaped(text)
            if type(values[_SEALED]) is not bytes:
                values[_SEALED] = bytes(values[_SEALED])
            if long is not None:
                _restore(values, json.loads(bytes(long)))
        except (ValueError, TypeError, AttributeError, KeyError):
            raise StoreTampered(
                "A stored record holds what is none",
                hint="The row was changed outside tokenkeep; "
                "restore it from a backup, or delete it and log in again",
            ) from None
        return from_row(values)


def _column_of_bytes(text: str) -> bytes:
    return column(text).encode()


def _unescaped(text: str) -> str:
    return text if text.startswith(_LONG) else text.replace("\1\1", "\0").replace("\1\2", "\1")


def _restore(values: list[Any], long: dict[str, str]) -> None:
    """Put the long texts into a row; each must be the one its column stands for."""
    for n, name in _TEXTS:
        text = values[n]
        if text is not None and text.startswith(_LONG):
            values[n] = long[name]
            if column(values[n]) != text:
                raise ValueError(name)
