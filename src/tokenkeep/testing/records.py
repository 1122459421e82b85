"""Records to test backends with."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from tokenkeep.backends.base import WIDTH, Record


def digits(text: str) -> str:
    """Return the digits, as many as those of an id, that stand for a text."""
    return sha256(text.encode()).hexdigest()[:WIDTH]


def record(name: str = "one", **changes: Any) -> Record:
    """Return a record to test with; its version and id, which is its owner, are its name's."""
    values: dict[str, Any] = {
        "id": digits(f"id of {name}"),
        "version": digits(f"first version of {name}"),
        "owner": changes.get("id", digits(f"id of {name}")),
        "kind": "row",
        "key": 1,
        "sealed": b"sealed",
    }
    return Record(**{**values, **changes})


def again(old: Record, version: str = "again", **changes: Any) -> Record:
    """Return another version of a record."""
    return replace(old, version=digits(version), **changes)
