"""
Sealed tokens in Redis or Valkey: a store for many machines.

Three keys, with one hash tag, so that a cluster keeps them together:

    {prefix}:format    the mark of tokenkeep, and the version of all this
    {prefix}:record    hash: id -> record
    {prefix}:index     sorted set of "<entry><id>", all with the score 0

A record is four parts with a line end behind each of the first three: when it
was last used; version, kind, key and ``due_at``; its entries; the seal. An
entry is a digit, which of `FOUND_BY` it is about, the value, and a colon, so
that no value begins another: what shares one is together, in the order of ids.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from functools import partial
from os import getpid
from typing import TYPE_CHECKING, Any, Self

from redis import exceptions
from redis.connection import Connection, parse_url

from tokenkeep import errors
from tokenkeep.backends.base import FOUND_BY, HEADER, WIDTH, Backend, Record, Risk
from tokenkeep.backends.exposure import exposure, warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import from_row, in_order
from tokenkeep.backends.urls import StoreURL
from tokenkeep.backends.waiting import Bound, cut, within
from tokenkeep.errors import ConfigurationError, StoreConflict, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenkeep.backends.base import Due, Mark

_FORMAT = 3
"""The version under the format key. A newer tokenkeep counts on."""

_DUE = len(FOUND_BY)
"""What an entry of ``due_at`` begins with."""

# What the server does in one step. A script that fails is not rolled back: each looks first at
# whatever could be wrong, and tries what changes nothing, to see whether it may.

_LOOK = f"""
local found = {{}}
for n = 2, #ARGV, 2 do
  local range = {{ARGV[n], ARGV[n + 1], 'LIMIT', 0, ARGV[1]}}
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], unpack(range))) do
    local id = string.sub(entry, -{WIDTH})
    table.insert(found, {{id, redis.call('HGET', KEYS[2], id)}})
  end
end
return found
"""

_OPEN = f"""
local FORMAT, HEADER, NOTHING = 'tokenkeep {_FORMAT}', '{HEADER}', '\\255'

local format = redis.call('GET', KEYS[1])
if format ~= FORMAT and (format or redis.call('EXISTS', KEYS[2], KEYS[3]) > 0) then
  return 'format ' .. (format or '')
end

-- When it was last used, its version and its entries. Nothing if it is spoiled.
local function opened(record)
  return string.match(record or '', '^([^\\n]*)\\n(%S*) [^\\n]*\\n([^\\n]*)\\n')
end

local function put(entries, id)
  for entry in string.gmatch(entries, '%S+') do redis.call('ZADD', KEYS[3], 0, entry .. id) end
end
"""

_CHANGE = f"""{_OPEN}
local id, expected, unused, head, entries, sealed = unpack(ARGV)
local stored = redis.call('HGET', KEYS[2], id)
local used, version, old = opened(stored)
if not (stored or entries) then return 'gone' end
if expected ~= 'any' and expected ~= (stored and tostring(version) or 'none') then
  return 'conflict'
end

if entries then
  local owner = string.match(entries, '1%S+')
  local last = '(' .. owner .. '\\255'
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], '[' .. owner, last)) do
    if entry ~= owner .. id then return 'conflict' end
  end
  -- Adding first: Redis looks for a full memory only until a script has asked for a change.
  redis.call('ZADD', KEYS[3], 'XX', 0, NOTHING)
end
redis.call('ZREM', KEYS[3], NOTHING)

if entries then
  if not format then redis.call('SET', KEYS[1], FORMAT) end
  local record = table.concat({{used or unused, head, entries, sealed}}, '\\n')
  redis.call('HSET', KEYS[2], id, record)
  put(entries, id)
else
  redis.call('HDEL', KEYS[2], id)
end
for entry in string.gmatch(old or '', '%S+') do
  local kept = entries and string.find(entries .. ' ', entry .. ' ', 1, true)
  if not kept then redis.call('ZREM', KEYS[3], entry .. id) end
end
if stored and not old then -- nobody knows the entries of what was spoiled
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], '-', '+')) do
    if string.sub(entry, -#id) == id then redis.call('ZREM', KEYS[3], entry) end
  end
end
return 'done'
"""

_TOUCH = f"""{_OPEN}
local id, now = unpack(ARGV)
local stored = redis.call('HGET', KEYS[2], id)
local used = opened(stored)
if used and (tonumber(used) or -math.huge) < tonumber(now) then
  redis.call('HSET', KEYS[2], id, now .. string.sub(stored, #used + 1))
end
return 'noted'
"""

_CLEAR = f"""{_OPEN}
local count = redis.call('HLEN', KEYS[2])
local header = redis.call('HGET', KEYS[2], HEADER)
redis.call('UNLINK', KEYS[2], KEYS[3])
if header then
  redis.call('HSET', KEYS[2], HEADER, header)
  put(select(3, opened(header)) or '', HEADER)
end
return header and count - 1 or count
"""

_HINTS = {
    "Authentication|NOAUTH|password": "Write redis://user:password@host, percent-encoded",
    "DB index|SELECT is not": "See how many `databases` it has; a cluster has only 0",
    "NoPerm|permissions to|can't (run|access)": "docs/redis.md has all rights that are needed",
    "[Uu]nknown (Redis )?command": "It is too old, or a proxy: take Redis 6 or later, or Valkey",
    "OutOfMemory|OOM": "Its memory is full. Give it more, or delete what is not needed",
    "MISCONF": "It can't write to its disk. Free or repair that",
    "ReadOnly|READONLY": "It is a replica. Name the primary",
    "CERTIFICATE": "Name its host as it does, and who signed that: ?ssl_ca_certs=/path/to/ca.pem",
    "MovedError|AskError": "The tokens are on another node of the cluster: name that",
    "": "See whether it runs, can be reached, is Redis, and speaks TLS (rediss://) or not (redis://)",
}
"""What to do about what a driver's error is called or says."""

_NO_ANSWER = (exceptions.TimeoutError, exceptions.InvalidResponse, OSError)
"""None came, or none that can be read; a bare `ConnectionError` is one as well."""

_CONFLICT = "Somebody else wrote this record first, or another one for the same"
_EVICTION = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file"
_SYNC = "Set `appendonly yes` and `appendfsync always`, and keep its folder on a real disk"
_HOW = "Write redis://:password@host:6379/0, with ? # / @ and % in the password as %3F and so on"
_VERIFY = "Write rediss://, and ?ssl_ca_certs=/path/ca.pem if its authority is not the system's"

_URL = re.compile(r"rediss?://([^/?#@]*@)?(\[[\w:.]+\]|[^/?#@%:[\]]*)(:\d+)?(/\d*)?(\?[^#@]*)?")
"""What ends an address early, or follows it, may be a part of the password."""

_OPTIONS: dict[str, Callable[[str], Any]] = {"prefix": str, "socket_timeout": float}
_TLS = ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_password")


def parsed(url: str) -> tuple[str, dict[str, Any], list[Risk]]:
    """
    Return where a URL leads, for people; all that it says; and its exposure.

    Raises:
        ConfigurationError: It can't be meant so.
    """
    try:
        place = parse_url(url.partition("?")[0] if _URL.fullmatch(url) else "")  # type: ignore[no-untyped-call]
    except ValueError:
        raise ConfigurationError("The Redis URL can't be read", hint=_HOW) from None
    address = StoreURL.parse(url)
    is_tls = address.scheme == "rediss"
    options = address.options(_OPTIONS | dict.fromkeys(_TLS if is_tls else (), str))
    given: dict[str, Any] = {"host": "localhost", "port": 6379, "db": 0, **place}
    given |= {"prefix": "tokenkeep", "socket_timeout": 5.0, **options}
    if not 0 < given["socket_timeout"] <= 86400:  # noqa: PLR2004 - a day
        raise ConfigurationError("socket_timeout is a number of seconds, up to 86400")
    if set(given["prefix"]) & set("{}") or not given["prefix"].isprintable():
        raise ConfigurationError("prefix is a name without { and }")
    host = f"[{given['host']}]" if ":" in given["host"] else given["host"]
    is_sure = is_tls and given.get("ssl_cert_reqs") != "none"
    given |= {"ssl_check_hostname": is_sure} if is_tls else {}
    risks = exposure([host], verified=is_sure, hint=_VERIFY)
    return f"{host}:{given['port']}/{given['db']}", given, risks


class RedisBackend(Backend):
    """
    Serve all processes of all machines that reach one Redis or Valkey server.

    What is acknowledged is as safe as the server is told to keep it; see
    docs/redis.md. Its keys have no end, and must not be evicted.

    Args:
        url: ``redis://[[user]:password@]host[:port][/db]``, or ``rediss://``
            for TLS. docs/redis.md has the options.

    Raises:
        ConfigurationError: A part of it is wrong, or the server would evict tokens.
        StoreUnavailable: The server can't be reached, or refuses.
        StoreForeign: Keys with this prefix are somebody else's.
        StoreTooNew: A newer tokenkeep made them.
    """

    @without_frames
    def __init__(self, url: str) -> None:
        self._place, given, self._exposure = parsed(url)
        self._prefix, self._timeout = given.pop("prefix"), given["socket_timeout"]
        self._keys = [f"{{{self._prefix}}}:{name}" for name in ("format", "record", "index")]
        kind, password = given.pop("connection_class", Connection), given.get("password")
        given |= {
            "socket_connect_timeout": self._timeout,
            "protocol": 2,
        }  # all servers speak RESP2
        # It connects once, and sends nothing twice. No `partial`, which would show the password.
        self._connect: Callable[[], Any] = lambda: kind(**given)
        self._hidden: Callable[[str], str] = lambda said: said.replace(password or "\0", "***")
        self._idle, self._pid = deque[Any](), getpid()
        self._changed(f"{_OPEN} return 'ours'")
        policy = self._asked(_facts).get("maxmemory_policy", "")
        if policy.startswith("allkeys-"):
            what = f"Redis at {self._place} would drop tokens when its memory is full ({policy})"
            raise ConfigurationError(what, hint=_EVICTION)
        warn(self.describe(), self._exposure)

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """Open the store a URL names; see the class."""
        return cls(url)

    def read(self, record_id: str) -> Record | None:
        value = self._asked(lambda link: _told(link, "HGET", self._keys[1], record_id), record_id)
        return None if value is None else _unpacked(record_id, value)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        ends: list[bytes] = []
        for field, value in marks:
            if field == "id":
                ends += [b"[" + _entry("id", "") + value.encode()] * 2
            else:
                ends += (b"[" + _entry(field, value), _behind(_entry(field, value)))
        found = self._look(-1, *ends) if ends else []
        return list({each.id: each for each in found}.values())

    def write(self, record: Record, *, replaces: str | None) -> None:
        expected = "none" if replaces is None else replaces
        self._changed(_CHANGE, record.id, expected, *_packed(record))

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        expected = "any" if replaces is None else replaces
        return bool(self._changed(_CHANGE, record_id, expected) == b"done")

    def touch(self, record_id: str, last_used_at: float) -> None:
        self._changed(_TOUCH, record_id, repr(last_used_at))

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        entry = _entry(*(mark or ("id", "")))
        return self._look(limit, b"(" + entry + (after or "").encode(), _behind(entry))

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        first = _due_entry(after[0]) + after[1] if after else f"{_DUE}"
        return self._look(limit, b"(" + first.encode(), _behind(_due_entry(before).encode()))

    def clear(self) -> int:
        return int(self._changed(_CLEAR))

    def risks(self) -> list[Risk]:
        facts = self._asked(_facts)
        policy, aof = facts.get("maxmemory_policy", ""), facts.get("aof_enabled")
        sync = facts.get("appendfsync", "which can't be seen")
        unseen = "this user may not ask the server whether it keeps and evicts data (INFO)"
        evicts = f"the server drops tokens when its memory is full (maxmemory-policy {policy})"
        snapshots = "a restart takes back what came since the last snapshot, if there are any"
        power = f"a power cut at the server may take saves with it (appendfsync {sync})"
        failover = "a failover may lose what its replicas do not have yet"
        table = (
            (not policy, unseen, "Allow it (ACL SETUSER name +info)"),
            (policy.startswith("allkeys-"), evicts, _EVICTION),
            (aof == "0", snapshots, _SYNC),
            (aof == "1" and sync != "always", power, _SYNC),
            (facts.get("connected_slaves", "0") != "0", failover, "Set `min-replicas-to-write`"),
        )
        return self._exposure + [Risk(text, hint) for applies, text, hint in table if applies]

    def describe(self) -> str:
        return f"Redis at {self._place}, keys {{{self._prefix}}}:*"

    def close(self) -> None:
        # Those in use are let go of by the calls that use them.
        while link := self._idle_one():
            link.disconnect()

    def _look(self, limit: int, *ends: bytes) -> list[Record]:
        """Return the records of so many entries in each range of the index."""
        found = self._asked(lambda link: self._run(link, _LOOK, limit, *ends))
        return [_unpacked(record_id.decode(errors="replace"), value) for record_id, value in found]

    def _run(self, link: Any, script: str, *args: Any) -> Any:
        return _told(link, "EVAL", script, len(self._keys), *self._keys, *args)

    def _changed(self, script: str, *args: Any) -> Any:
        """Run a script that may change the store, and return how it ended."""
        record_id = args[0] if args else None
        answer = self._asked(lambda link: self._run(link, script, *args), record_id, changes=True)
        if answer == b"conflict":
            raise StoreConflict(_CONFLICT, token_id=record_id)
        if isinstance(answer, bytes) and answer.startswith(b"format "):
            number = answer.decode(errors="replace").removeprefix("format tokenkeep ")
            if not number.isdecimal() or int(number) <= _FORMAT:
                raise self._foreign()
            what = f"{self.describe()} were made by a newer tokenkeep (format {number})"
            raise errors.StoreTooNew(what, hint="Upgrade tokenkeep")
        return answer

    def _asked(
        self, ask: Callable[[Any], Any], record_id: str | None = None, *, changes: bool = False
    ) -> Any:
        """
        Return what the server says, in time. Asked twice if it hangs up, and nothing *changes*.

        Raises:
            StoreError: It is one, without the driver's, whose frames hold the password.
        """
        for again in (not changes, False):
            is_sent = False
            try:
                if (link := self._idle_one()) is None:
                    link = self._connect()
                    within(2 * self._timeout, link.connect)  # a name may take for ever
                with Bound(self._timeout, partial(cut, getattr(link, "_sock", None))):
                    is_sent = True
                    answer = ask(link)
            except (exceptions.RedisError, OSError) as exc:
                cut(getattr(link, "_sock", None))  # another thread may still be logging in
                link = None  # which closes it
                self.close()  # what is idle is lost too, or its name leads elsewhere by now
                has_ended = is_sent and type(exc) is exceptions.ConnectionError
                is_unknown = has_ended or (is_sent and isinstance(exc, _NO_ANSWER))
                error = self._refusal(exc, record_id, unknown=is_unknown and changes)
                if not (again and has_ended):
                    break
            else:
                self._idle.append(link)
                return answer
        raise error

    def _refusal(self, exc: Exception, record_id: str | None, *, unknown: bool) -> StoreError:
        """Return our error for what the driver's is called, and what it says."""
        said = self._hidden(_said(exc))
        if "WRONGTYPE" in said:
            return self._foreign()
        lost = "gave no answer; whether the change was made is not known. Read again"
        what = lost if unknown else f"can't be used: {said}"
        hint = next(_HINTS[words] for words in _HINTS if re.search(words, said))
        return StoreUnavailable(f"Redis at {self._place} {what}", token_id=record_id, hint=hint)

    def _foreign(self) -> errors.StoreForeign:
        return errors.StoreForeign(
            f"Redis at {self._place} has keys {{{self._prefix}}}:… that tokenkeep did not make",
            hint="They are left as they are. Give the store another name with ?prefix=",
        )

    def _idle_one(self) -> Any:
        """Return an idle connection that has not ended. None if there is none."""
        if self._pid != getpid():  # they are the parent's
            self._idle, self._pid = deque(), getpid()
        with suppress(IndexError):
            while True:
                link = self._idle.pop()
                with suppress(exceptions.RedisError):
                    if not link.can_read():  # nothing to read, not even its end
                        return link
                link.disconnect()
        return None


def _entry(field: str, value: str) -> bytes:
    return f"{FOUND_BY.index(field)}{value}:".encode()


def _behind(entry: bytes) -> bytes:
    """Return where the neighbours of an entry end."""
    return b"(" + entry + b"\xff"


def _due_entry(time: float) -> str:
    return f"{_DUE}{in_order(time)}:"


def _packed(record: Record) -> tuple[str, str, str, bytes]:
    """Return when a record was last used, its head, its entries and its seal."""
    used = "" if record.last_used_at is None else repr(record.last_used_at)
    head = f"{record.version} {record.kind} {record.key} {record.due_at!r}"
    marks = [f"{n}{value}:" for n, name in enumerate(FOUND_BY) if (value := getattr(record, name))]
    entries = ["0:", *marks[1:]]
    if record.due_at is not None:
        entries.append(_due_entry(record.due_at))
    return used, head, " ".join(entries), bytes(record.sealed)


def _unpacked(record_id: str, value: Any) -> Record:
    """Return the record; what somebody has damaged opens with no key, and hides no others."""
    try:
        used, head, entries, sealed = value.split(b"\n", 3)
        version, kind, key, due_at = head.decode().split(" ")
        values = {each[0]: each[1:-1] for each in entries.decode().split(" ")}
        _, owner, *marks = (values.get(f"{n}") for n in range(_DUE))
        times = None if due_at == "None" else float(due_at), float(used) if used else None
        return from_row((record_id, version, owner, kind, int(key), sealed, *marks, *times))
    except (AttributeError, ValueError, IndexError):
        return Record(id=record_id, version="", owner="", kind="row", key=1, sealed=b"")


def _told(link: Any, *command: Any) -> Any:
    link.send_command(*command)
    return link.read_response()


def _facts(link: Any) -> dict[str, str]:
    """Return what the server says of itself, as far as this user may ask."""
    said = b""
    with suppress(exceptions.ResponseError):
        said += _told(link, "INFO")
        said += b"\n" + b":".join(_told(link, "CONFIG", "GET", "appendfsync"))
    lines = said.decode(errors="replace").splitlines()
    return dict(each.split(":", 1) for each in lines if ":" in each)


def _said(exc: Exception) -> str:
    # What is no answer of a Redis may be anything, such as what was sent.
    text = "" if isinstance(exc, exceptions.InvalidResponse) else str(exc)
    return f"{type(exc).__name__}: {text}".rstrip(": .")
