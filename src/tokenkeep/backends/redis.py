"""Sealed tokens in Redis or Valkey: a store for many machines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tokenkeep.backends import redis_scripts as scripts
from tokenkeep.backends.base import FOUND_BY, Backend, Record
from tokenkeep.backends.exposure import warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.redis_errors import foreign
from tokenkeep.backends.redis_risks import refuse_eviction, risks
from tokenkeep.backends.redis_rows import pack, spoiled, unpack
from tokenkeep.backends.redis_server import Server
from tokenkeep.backends.redis_url import RedisURL
from tokenkeep.errors import (
    ConfigurationError,
    StoreConflict,
    StoreTooNew,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from tokenkeep.backends.base import Due, Mark, Risk
    from tokenkeep.backends.redis_scripts import Script

_OPTIONS = {"prefix": str, "busy_timeout": float, "wait": int, "wait_timeout": float}

_MANY = 500
"""How many marks or ids one script looks for: a server does nothing else meanwhile."""


class RedisBackend(Backend):
    """
    Serve all processes of all machines that reach one Redis or Valkey server.

    What is acknowledged is as safe as the server is told to keep it; see
    docs/redis.md. Its keys have no end, and must not be evicted.

    Args:
        url: As for `from_url`, but without the options that are arguments here.
        prefix: The name of the store: all its keys begin with ``{prefix}:``.
        busy_timeout: How long to wait while the server loads its data after a
            restart or is busy with a script, in seconds.
        wait: How many replicas have to have a write before it counts as done.
        wait_timeout: How long to wait for them, in seconds.

    Raises:
        ConfigurationError: The URL or an argument is wrong, or the server
            would evict tokens.
        StoreUnavailable: The server can't be reached, or refuses.
        StoreForeign: Keys with this prefix are somebody else's.
        StoreTooNew: A newer tokenkeep made them.
    """

    @without_frames
    def __init__(
        self,
        url: str,
        *,
        prefix: str = "tokenkeep",
        busy_timeout: float = 5.0,
        wait: int = 0,
        wait_timeout: float = 1.0,
    ) -> None:
        if not prefix or not prefix.isprintable() or set(prefix) & set("{}"):
            raise ConfigurationError("prefix is a name without { and }")
        if not 0 <= busy_timeout <= 86400:  # noqa: PLR2004 - a day
            raise ConfigurationError("busy_timeout is a number of seconds from 0 to 86400")
        if wait < 0:
            raise ConfigurationError("wait is a number of replicas")
        self._keys = scripts.keys(prefix)
        self._prefix = prefix
        self._server = Server(
            RedisURL.parse(url, {}),
            self._keys,
            busy_timeout=busy_timeout,
            wait=wait,
            wait_timeout=wait_timeout,
        )
        try:
            self._told(self._server.look(scripts.CHECK, self._keys.everything))
            refuse_eviction(self._server)
        except BaseException:
            self._server.close()
            raise
        warn(self.describe(), self._server.url.exposure)

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """
        Open the store a URL names.

        Args:
            url: ``redis://[[user]:password@]host[:port][/db]``, or
                ``rediss://`` for TLS. Options are the arguments of the class,
                and those of the driver: ``socket_timeout``, ``ssl_ca_certs``
                and so on, see docs/redis.md.

        Raises:
            ConfigurationError: A part of it is wrong.
            StoreError: As for the class.
        """
        parsed = RedisURL.parse(url, _OPTIONS)
        return cls(parsed.plain, **parsed.options)

    def read(self, record_id: str) -> Record | None:
        value = self._server.ask("HGET", self._keys.record, record_id, record_id=record_id)
        return None if value is None else unpack(record_id, value)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = dict.fromkeys(marks)
        words = [word for field, value in wanted for word in (_number(field), value)]
        records: dict[str, Record] = {}
        for start in range(0, len(words), 2 * _MANY):
            found = self._look(scripts.FIND, *words[start : start + 2 * _MANY])
            # An entry whose record has another value was left by a write that failed half-way.
            records |= {
                each.id: each
                for each in _records(found)
                if any((field, getattr(each, field)) in wanted for field in FOUND_BY)
            }
        return list(records.values())

    def write(self, record: Record, *, replaces: str | None) -> None:
        mode = "insert" if replaces is None else "replace"
        done = self._change(scripts.WRITE, mode, record.id, replaces or "", *pack(record))
        if done == "taken":
            raise StoreConflict("Another record is for the same thing", token_id=record.id)
        if done != "done":
            raise StoreConflict("Somebody else wrote this record first", token_id=record.id)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        mode = "any" if replaces is None else "version"
        done = self._change(scripts.DELETE, mode, record_id, replaces or "")
        if done == "version":
            raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
        return done == "done"

    def touch(self, record_id: str, last_used_at: float) -> None:
        args = (record_id, repr(last_used_at))
        self._told(self._server.note(scripts.TOUCH, *args, record_id=record_id), record_id)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        if mark and mark[0] in ("id", "owner"):  # which one record has
            return [each for each in self.find([mark]) if each.id > (after or "")]
        field, value = mark or ("id", "")
        behind: str | bytes = after or ""
        records: list[Record] = []
        while len(records) < limit:
            count = min(limit - len(records), _MANY)
            found = self._look(scripts.SCAN, _number(field), value, behind, str(count))
            page = _records(found)
            records += (each for each in page if not mark or getattr(each, field) == value)
            if len(found) < 2 * count:
                break
            behind = found[-2]
        return records

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        behind: Sequence[str | bytes] = (repr(after[0]), after[1]) if after else ()
        records: list[Record] = []
        while len(records) < limit:
            count = min(limit - len(records), _MANY)
            found = self._look(scripts.DUE, repr(before), str(count), *behind)
            for due_at, *each in zip(found[::3], found[1::3], found[2::3], strict=True):
                records += (record for record in _records(each) if record.due_at == float(due_at))
            if len(found) < 3 * count:
                break
            behind = found[-3:-1]
        return records

    def clear(self) -> int:
        count = self._server.change(scripts.CLEAR)
        if not isinstance(count, int):
            self._told(count)
        return int(count)

    def risks(self) -> list[Risk]:
        return [*self._server.url.exposure, *risks(self._server)]

    def describe(self) -> str:
        return f"Redis at {self._server.url.place}, keys {{{self._prefix}}}:*"

    def close(self) -> None:
        self._server.close()

    def _look(self, script: Script, *args: str | bytes) -> list[Any]:
        found: list[Any] = self._server.look(script, self._keys.everything, *args)
        return found

    def _change(self, script: Script, mode: str, record_id: str, *args: str | bytes) -> str:
        answer = self._server.change(script, mode, record_id, *args, record_id=record_id)
        return self._told(answer, record_id)

    def _told(self, answer: bytes, record_id: str | None = None) -> str:
        """Return how a script ended, if it could make sense of what is stored."""
        text = answer.decode(errors="replace")
        if text == "spoiled":
            raise spoiled(record_id)
        if text.startswith("format "):
            found = re.fullmatch(r"format tokenkeep (\d+)", text)
            if found is None or int(found[1]) < scripts.FORMAT:
                raise foreign(self._server.url, self._keys)
            raise StoreTooNew(
                f"{self.describe()} were made by a newer tokenkeep (format {found[1]})",
                hint="Upgrade tokenkeep",
            )
        return text


def _number(field: str) -> str:
    """Return which key a script has to look into for a field."""
    if field not in FOUND_BY:
        raise ValueError(f"a record has no field {field!r} to search")
    return scripts.NUMBER[field]


def _records(found: Sequence[bytes | None]) -> Iterator[Record]:
    """Yield the records among ids and records in turn, of which some are missing."""
    for record_id, value in zip(found[::2], found[1::2], strict=True):
        if record_id is not None and value is not None:
            yield unpack(record_id.decode(errors="replace"), value)
