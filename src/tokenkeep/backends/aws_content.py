"""What a secret holds: a record, or which one has an owner; as JSON, for people to look at."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.rows import COLUMNS, from_row
from tokenkeep.errors import StoreForeign, StoreTampered, StoreTooNew

if TYPE_CHECKING:
    from tokenkeep.backends.base import Record

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """
    Which record has an owner, where its id is another one than its owner gives.

    Args:
        record_id: The record's id.
    """

    record_id: str


def text_of(content: Record | Claim) -> str:
    """Return the text of a secret, in ASCII."""
    if isinstance(content, Claim):
        return json.dumps({"tokenkeep": FORMAT, "record": content.record_id})
    fields: dict[str, Any] = {"tokenkeep": FORMAT}
    fields.update(
        (name, value) for name in COLUMNS if (value := getattr(content, name)) is not None
    )
    fields["sealed"] = b64encode(content.sealed).decode()
    return json.dumps(fields)


def content_of(text: str, name: str) -> Record | Claim:
    """
    Return what a secret's text says.

    Args:
        text: As `text_of` makes it.
        name: The secret, for errors.

    Raises:
        StoreForeign: It is no secret of tokenkeep, or of one that never was released.
        StoreTooNew: A newer tokenkeep wrote it.
        StoreTampered: It is not as tokenkeep writes it.
    """
    try:
        fields: Any = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not isinstance(fields.get("tokenkeep"), int):
        raise StoreForeign(
            f"The secret {name} was not made by tokenkeep",
            hint="Name another prefix, or move that secret",
        )
    if fields["tokenkeep"] < FORMAT:
        raise StoreForeign(
            f"The secret {name} was made by an early tokenkeep, in a format of its own",
            hint="Name another prefix, or delete that secret and log in again",
        )
    if fields["tokenkeep"] > FORMAT:
        raise StoreTooNew(
            f"The secret {name} was written by a newer tokenkeep", hint="Upgrade tokenkeep"
        )
    try:
        if "record" in fields:
            return Claim(str(fields["record"]))
        fields["sealed"] = b64decode(fields["sealed"], validate=True)
        for field in ("id", "version", "owner", "kind"):
            fields[field].encode()
        return from_row(fields.get(field) for field in COLUMNS)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoreTampered(
            f"The secret {name} holds no token",
            hint="It was changed outside tokenkeep; restore an earlier version, or delete it",
        ) from None
