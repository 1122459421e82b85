"""The statements that `SQLiteBackend` runs, and where their values come from."""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import FIELDS, Record
from tokenkeep.backends.rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Every name below is one of ours; values go in as parameters.
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
SELECT = f"SELECT {_NAMES} FROM token"  # noqa: S608
READ = f"{SELECT} WHERE id = ?"
INSERT = f"INSERT INTO token ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
TOUCH = (
    "UPDATE token SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)"
)

_FIELD_NAMES = ", ".join(f'"{name}"' for name in FIELDS)
READ_FIELDS = f"SELECT {_FIELD_NAMES} FROM token WHERE id = ?"  # noqa: S608
fields_of: Callable[[Record], tuple[Any, ...]] = attrgetter(*FIELDS)
_PLAIN = tuple(name for name in COLUMNS if name not in (*FIELDS, "id", "last_used_at"))

_MANY = 500
"""How many values one query looks for; old SQLite allows 999 parameters."""


def finds(field: str, values: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield statements that together find the records whose *field* is one of *values*."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), _MANY):
        part = distinct[start : start + _MANY]
        yield f'{SELECT} WHERE "{field}" IN ({", ".join("?" * len(part))})', part


@cache
def update(fields: tuple[str, ...]) -> tuple[str, Callable[[Record], tuple[Any, ...]]]:
    """
    Return the statement that replaces a record, and what takes its values from one.

    Args:
        fields: Those of `FIELDS` that change. An index that is written costs
            a page on disk, so the others are left alone.
    """
    names = _PLAIN + fields
    assignments = ", ".join(f'"{name}" = ?' for name in names)
    sql = f"UPDATE token SET {assignments} WHERE id = ? AND version = ?"  # noqa: S608
    return sql, attrgetter(*names, "id")
