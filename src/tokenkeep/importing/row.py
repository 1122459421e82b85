"""One row of a source, and what an import or a copy does with a row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenkeep.token import Token


class Action(StrEnum):
    """What is done with a row."""

    NEW = "new"
    UPDATE = "update"
    NOTHING = "already there"
    SKIP = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One row of a source.

    Args:
        number: The line it begins in, or the row of a table, from 1.
        source_id: Its id there. None if it has none.
        token: What it holds, without an id. None if it can't be taken over.
        problem: Why not. None if it can.
    """

    number: int
    source_id: str | None = None
    token: Token | None = None
    problem: str | None = None
