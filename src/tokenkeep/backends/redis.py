"""Sealed tokens in Redis or Valkey: a store for many machines."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from tokenkeep.backends import redis_scripts as scripts
from tokenkeep.backends.base import FIELDS, Backend, Record
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

    from tokenkeep.backends.base import Risk
    from tokenkeep.backends.redis_scripts import Script

_OPTIONS = {"prefix": str, "busy_timeout": float, "wait": int, "wait_timeout": float}

_MANY = 500
"""How many values or ids one script looks for: a server does nothing else meanwhile."""


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
        self._store_id: str | None = None
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

    def find(self, field: str, values: Sequence[str]) -> list[Record]:
        if field not in FIELDS:
            raise ValueError(f"a record has no field {field!r} to search")
        keys = (self._keys.record, self._keys.field[field])
        distinct = list(dict.fromkeys(values))
        records: list[Record] = []
        for start in range(0, len(distinct), _MANY):
            part = distinct[start : start + _MANY]
            found = self._server.look(scripts.FIND, keys, *part)
            # An entry whose record has another value was left by a write that failed half-way.
            records += (each for each in _records(found) if getattr(each, field) in part)
        return records

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

    def scan(self, after: str | None, limit: int) -> list[Record]:
        keys = (self._keys.record, self._keys.order)
        start: str | bytes = "-" if after is None else f"({after}"
        records: list[Record] = []
        while len(records) < limit:
            count = min(limit - len(records), _MANY)
            found = self._server.look(scripts.SCAN, keys, start, str(count))
            records += _records(found)
            if len(found) < 2 * count:
                break
            start = b"(" + found[-2]
        return records

    def clear(self) -> int:
        count = self._server.change(scripts.CLEAR)
        if not isinstance(count, int):
            self._told(count)
        return int(count)

    def risks(self) -> list[Risk]:
        return risks(self._server)

    def describe(self) -> str:
        return f"Redis at {self._server.url.place}, keys {{{self._prefix}}}:*"

    def store_id(self) -> str:
        if self._store_id is None:
            new = secrets.token_hex(16)
            # Of all who come first at once, the server takes one.
            self._server.ask("SET", self._keys.store, new, "NX")
            self._store_id = self._server.ask("GET", self._keys.store).decode()
        return self._store_id

    def close(self) -> None:
        self._server.close()

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
            if found is None:
                raise foreign(self._server.url, self._keys)
            raise StoreTooNew(
                f"{self.describe()} were made by a newer tokenkeep (format {found[1]})",
                hint="Upgrade tokenkeep",
            )
        return text


def _records(found: Sequence[bytes | None]) -> Iterator[Record]:
    """Yield the records among ids and records in turn, of which some are missing."""
    for record_id, value in zip(found[::2], found[1::2], strict=True):
        if record_id is not None and value is not None:
            yield unpack(record_id.decode(errors="replace"), value)
