"""What is in a store, as somebody without the key sees it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import stat
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import HEADER, MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.backends.base import Record
    from tokenkeep.vault import Vault

_SECRETS = ("user", "client_id", "client_secret", "access_token", "refresh_token", "grant_token")
_DIGESTS = ("id", "version", "owner", *MARKS)
_TIMES = ("due_at", "last_used_at")
_SHOWN = 12
"""How much is shown of what is long, in characters."""


def prepared(vault: Vault) -> dict[str, Any]:
    """Say where the store is, whether it is empty, and who can use it."""
    backend = vault.backend
    return {
        "where": backend.describe(),
        "empty": all(record.id == HEADER for record in backend.scan(None, 2)),
        "shared": backend.home is not None or not backend.embedded,
    }


def seen(vault: Vault, token_id: str) -> dict[str, Any]:
    """
    Show a record, and search what is stored for everything that must not be there.

    Args:
        vault: Opened with the key: it knows what to search for.
        token_id: Whose record is shown; the search is for all tokens.

    Returns:
        ``columns``, ``files`` (name and mode; empty for a server),
        ``searched`` (how many secrets), ``found`` (which of their fields), and
        ``found_id``: whether the id of the record was found, so that one
        knows that the search works.
    """
    record = vault.backend.read(token_id.removeprefix("tk_"))
    if record is None:
        raise LookupError("there is no such record")
    home = vault.backend.home
    files = sorted(_files_of(home)) if home is not None else []
    stored = [path.read_bytes() for path in files] or [_bytes_of(each) for each in _records(vault)]
    secrets = [
        (field, getattr(token, field))
        for token in vault.iter_tokens()
        for field in _SECRETS
        if getattr(token, field)
    ]
    return {
        "columns": _columns(record),
        "files": [
            [path.name, f"{stat.S_IMODE(path.stat().st_mode):04o}", path.stat().st_size]
            for path in files
        ],
        "searched": len(secrets),
        "found": sorted({name for name, value in secrets if _within(value, stored)}),
        "found_id": _within(record.id, stored),
    }


def cleaned(vault: Vault) -> dict[str, Any]:
    """Delete all records, the header too: they are the demo's, whose key opened the store."""
    ours = list(_records(vault))
    return {"deleted": sum(vault.backend.delete(record.id) for record in ours)}


def _files_of(home: Path) -> Iterator[Path]:
    """Yield the files of an embedded store: itself, its -wal and -shm, its lock, its journal."""
    for path in home.parent.glob(f"{home.name}*"):
        if path.is_dir():
            yield from (each for each in path.iterdir() if each.is_file())
        else:
            yield path


def _records(vault: Vault) -> Iterator[Record]:
    after = None
    while page := vault.backend.scan(after, 100):
        yield from page
        after = page[-1].id


def _bytes_of(record: Record) -> bytes:
    values = [getattr(record, field.name) for field in dataclasses.fields(record)]
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for value in values
    )


def _within(text: str, stored: list[bytes]) -> bool:
    return any(text.encode() in each for each in stored)


def _columns(record: Record) -> list[list[str]]:
    return [
        [field.name, _shown(field.name, getattr(record, field.name))]
        for field in dataclasses.fields(record)
    ]


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return f"{value[:_SHOWN].hex()}... ({len(value)} bytes)"
    if name in _TIMES:
        return f"{dt.datetime.fromtimestamp(value, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    if name in _DIGESTS and len(value) > _SHOWN:
        return f"{value[:_SHOWN]}..."
    return str(value)
