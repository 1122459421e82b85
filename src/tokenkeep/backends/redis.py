"""
Sealed tokens in Redis or Valkey: a store for many machines.

Three keys, with one hash tag, so that a cluster keeps them together:

    {prefix}:format    the mark of tokenkeep, and the version of all this
    {prefix}:record    hash: id -> record
    {prefix}:index     sorted set of "<entry><id>", all with the score 0

A record is four parts with a line end behind each of the first three: when it
was last used; version, kind, key and ``due_at``; its entries; the seal. An
entry is a digit, which of `_INDEXED` it is about, the value, and a colon, so
that no value begins another: what shares one is together, in the order of ids.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from contextlib import suppress
from functools import cache
from hashlib import sha1
from os import getpid
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from redis import exceptions
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from tokenkeep import errors
from tokenkeep.backends.base import FOUND_BY, HEADER, WIDTH, Backend, Record, Risk
from tokenkeep.backends.exposure import exposure, warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.urls import StoreURL, refuse_blank
from tokenkeep.backends.waiting import NoThread, cut, tries, within
from tokenkeep.errors import ConfigurationError, StoreConflict, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tokenkeep.backends.base import Due, Mark

_FORMAT = 3
"""The version under the format key. A newer tokenkeep counts on."""

_INDEXED = (*FOUND_BY, "due_at")
_DUE = _INDEXED.index("due_at")

# What the server does in one step. A script that fails is not rolled back: each looks first at
# whatever could be wrong, and tries what changes nothing, to see whether it may.

_LOOK = f"""
local found = {{}}
for n = 2, #ARGV, 2 do
  local first, last = ARGV[n], ARGV[n + 1]
  local entries = {{first}} -- an id alone: no damage of the index hides it
  if last ~= '' then
    entries = redis.call('ZRANGEBYLEX', KEYS[3], first, last, 'LIMIT', 0, ARGV[1])
  end
  for _, entry in ipairs(entries) do
    table.insert(found, entry)
    table.insert(found, redis.call('HGET', KEYS[2], string.sub(entry, -{WIDTH})))
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

_CHANGE = """
local id, expected, unused, head, entries, sealed = unpack(ARGV)
local stored = redis.call('HGET', KEYS[2], id)
local used, version, old = opened(stored)
if expected == 'none' then
  if stored then return 'conflict' end
elseif not stored then
  return entries and 'conflict' or 'gone'
elseif expected ~= 'any' and version ~= expected then
  return 'conflict'
end

if entries then
  local owner = string.match(entries, '1%S+')
  local last = '(' .. owner .. '\\255'
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], '[' .. owner, last)) do
    local other = string.sub(entry, #owner + 1)
    local theirs = other ~= id and redis.call('HGET', KEYS[2], other)
    if theirs and string.find(theirs, ' ' .. owner, 1, true) then return 'taken' end
  end
  -- Adding first: Redis looks for a full memory only until a script has asked for a change.
  redis.call('ZADD', KEYS[3], 'XX', 0, NOTHING)
end
redis.call('ZREM', KEYS[3], NOTHING)

if entries then
  if not format then redis.call('SET', KEYS[1], FORMAT) end
  local record = table.concat({used or unused, head, entries, sealed}, '\\n')
  redis.call('HSET', KEYS[2], id, record)
  put(entries, id)
else
  redis.call('HDEL', KEYS[2], id)
end
for entry in string.gmatch(old or '', '%S+') do
  local kept = entries and string.find(entries .. ' ', entry .. ' ', 1, true)
  if not kept then redis.call('ZREM', KEYS[3], entry .. id) end
end
return 'done'
"""

_TOUCH = """
local id, now = unpack(ARGV)
local stored = redis.call('HGET', KEYS[2], id)
local used = opened(stored)
local before = used == '' and -math.huge or tonumber(used)
if before and before < tonumber(now) then
  redis.call('HSET', KEYS[2], id, now .. string.sub(stored, #used + 1))
end
return 'done'
"""

_CLEAR = """
local count = redis.call('HLEN', KEYS[2])
local header = redis.call('HGET', KEYS[2], HEADER)
local _, _, entries = opened(header)
redis.call('ZREM', KEYS[3], NOTHING) -- removing first, so that a full memory is not in the way
redis.call('ZADD', KEYS[3], 'XX', 0, NOTHING)
if header then redis.call('HSET', KEYS[2], HEADER, header) end
redis.call('UNLINK', KEYS[2], KEYS[3])
if header then
  redis.call('HSET', KEYS[2], HEADER, header)
  put(entries or '', HEADER)
end
return header and count - 1 or count
"""

_REACH = (
    "See whether it runs, can be reached, and speaks TLS (rediss://) or not (redis://); "
    "it may ask for a certificate of yours (ssl_certfile, ssl_keyfile)"
)
_READ = "Read again to see what is stored; if it stays so, look at the server"
_USER = "Write redis://user:password@host; special characters are percent-encoded"
_RIGHT = "this user may not do that, or not with these keys"
_RIGHTS = "docs/redis.md has the ACL SETUSER line with all rights that are needed"
_OLD = "It is too old, or a proxy: take Redis 6 or later, or Valkey"
_FULL = "Give it more memory, or delete what is not needed; tokens that are stored stay"
_NODE = "Name that node, or a proxy that knows the nodes; see docs/redis.md"
_TLS = "Name the host as it does, and who signed it: ?ssl_ca_certs=/path/to/ca.pem"
_UNREACHED = "connecting to .*(refused|not known|name res|No (address|route|such file)|nreachable)"
_RUNS = "Check that it runs, its host and port, and the network between"
_REFUSALS = (
    ("Authentication|NOAUTH|password", "it refuses this user name and password, or none", _USER),
    ("DB index|SELECT is not", "it has no such database", "See its `databases`; a cluster has 0"),
    ("NoPermission|permissions to|can't (run|access)", _RIGHT, _RIGHTS),
    ("[Uu]nknown (Redis )?command", "it lacks a command that is needed", _OLD),
    ("OutOfMemory|OOM", "its memory is full (maxmemory)", _FULL),
    ("MISCONF", "it can't write to its disk, and takes no changes", "Free or repair the disk"),
    ("ReadOnly|READONLY", "it is a replica, which can't be written to", "Name the primary"),
    ("MovedError|AskError|CrossSlot", "the tokens are on another node of the cluster", _NODE),
    ("CERTIFICATE", "its certificate is for another host, or not to be trusted", _TLS),
    ("InvalidResponse", "what answers there is no Redis", _REACH),
    ("Timeout", "it does not answer in time", _REACH),
    (_UNREACHED, "it can't be reached", _RUNS),
)
"""What a driver's error is called or says; what that means; what to do."""

_BUSY = re.compile("BusyLoading|ClusterDown|MasterDown|TryAgain|ResponseError: BUSY")
"""The server did nothing, and will soon be able to."""

_LOST = (exceptions.TimeoutError, exceptions.InvalidResponse, OSError)
"""No answer came, or none that can be read; a bare `ConnectionError` is one as well."""

_EVICTION = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file"
_SYNC = "Set `appendonly yes` and `appendfsync always`, and keep its folder on a real disk"
_HOW = "Write redis://:password@host:6379/0, with ? # / @ and % in the password as %3F and so on"
_VERIFY = (
    "Write rediss://, without ssl_cert_reqs=none; "
    "with ?ssl_ca_certs=/path/ca.pem if its authority is not one of the system's"
)


def _truth(text: str) -> bool:
    return ("0", "no", "false", "1", "yes", "true").index(text.lower()) > 2  # noqa: PLR2004


def _requirement(text: str) -> str:
    return ("none", "optional", "required")[("none", "optional", "required").index(text)]


_OURS = ("prefix", "busy_timeout", "wait", "wait_timeout")
_DEFAULTS: dict[str, Any] = {
    "prefix": "tokenkeep",
    "busy_timeout": 5.0,
    "wait": 0,
    "wait_timeout": 1.0,
    "socket_timeout": 5.0,
    "socket_connect_timeout": 5.0,
    "health_check_interval": 0,
}
_OPTIONS: dict[str, Callable[[str], Any]] = {
    **{name: type(value) for name, value in _DEFAULTS.items()},
    **dict.fromkeys(("socket_keepalive", "ssl_check_hostname"), _truth),
    **dict.fromkeys(("client_name", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data"), str),
    **dict.fromkeys(("ssl_certfile", "ssl_keyfile", "ssl_password"), str),
    "ssl_cert_reqs": _requirement,
}
_ADDRESS = re.compile(
    r"//(?:([^/?#@:]*)(?::([^/?#@]*))?@)?(\[[\w:.]+\]|[^/?#@:\[\]]*)(?::(\d+))?(?:/(\d*))?",
    re.ASCII,
)
"""User, password, host, port and database."""


def parsed(url: str) -> tuple[str, dict[str, Any], dict[str, Any], list[Risk]]:
    """
    Take a URL apart.

    Returns:
        Where the server is, for people; for the driver, with the password;
        the options that are ours; the risk that somebody poses as the server.

    Raises:
        ConfigurationError: It can't be meant so.
    """
    rest, _, query = url.partition(":")[2].partition("?")
    found = _ADDRESS.fullmatch(rest)
    # What ends an address early may be a part of the password, and options its rest.
    if not found or set(query) & set("#@"):
        raise ConfigurationError("The Redis URL can't be read", hint=_HOW)
    address = StoreURL.parse(url)
    for name, value in address.query:
        refuse_blank(name, value)
    given = _DEFAULTS | address.options(_OPTIONS)
    for name in list(_DEFAULTS)[1:]:
        least = 0 if name in {"wait", "busy_timeout", "health_check_interval"} else 0.001
        if not least <= given[name] <= 86400:  # noqa: PLR2004 - a day
            raise ConfigurationError(f"The option {name!r} is a number from {least} to 86400")
    tls, secure = [each for each in given if each.startswith("ssl_")], address.scheme != "redis"
    if tls and not secure:
        raise ConfigurationError(f"The option {tls[0]!r} needs a rediss:// URL")
    ours = {name: given.pop(name) for name in _OURS}
    user, password, host, port, database = (unquote(each or "") for each in found.groups())
    given |= {"username": user or None, "password": password or None, "db": int(database or 0)}
    if host.startswith("/"):
        place, where = host, {"connection_class": UnixDomainSocketConnection, "path": host}
    else:
        host, number = host.lower() or "localhost", int(port or 6379)
        kind = SSLConnection if secure else Connection
        where = {"connection_class": kind, "host": host.strip("[]"), "port": number}
        place = f"{host}:{number}"
    # Anybody's certificate of a public authority is no proof without the name in it.
    names = given.get("ssl_check_hostname", True) or any("ssl_ca" in each for each in tls)
    verified = secure and given.get("ssl_cert_reqs") != "none" and names
    risks = exposure([host], verified=bool(verified), hint=_VERIFY)
    return f"{place}/{given['db']}", given | where, ours, risks


class _Unseen(Exception):
    """What the server answered to a change, and why it did not say who else has that."""


class _Call:
    """A question that is under way in another thread."""

    link: Any = None
    """The driver's connection that it is on. None if it has none now."""
    is_sent = False
    """Whether the server may have it by now."""
    is_over = False
    """Whether nobody waits for it any more."""


class RedisBackend(Backend):
    """
    Serve all processes of all machines that reach one Redis or Valkey server.

    What is acknowledged is as safe as the server is told to keep it; see
    docs/redis.md. Its keys have no end, and must not be evicted.

    Args:
        url: ``redis://[[user]:password@]host[:port][/db]``, or ``rediss://``
            for TLS; a host that is a path, percent-encoded, is a Unix socket.
            docs/redis.md has the options.

    Raises:
        ConfigurationError: A part of it is wrong, or the server would evict tokens.
        StoreUnavailable: The server can't be reached, or refuses.
        StoreForeign: Keys with this prefix are somebody else's.
        StoreTooNew: A newer tokenkeep made them.
    """

    @without_frames
    def __init__(self, url: str) -> None:
        self._place, arguments, ours, self._exposure = parsed(url)
        self._prefix, self._busy_timeout, self._wait, self._wait_timeout = ours.values()
        if set(self._prefix) & set("{}") or not self._prefix.isprintable():
            raise ConfigurationError("prefix is a name without { and }")
        if self._wait and self._wait_timeout >= arguments["socket_timeout"]:
            raise ConfigurationError("wait_timeout has to be below socket_timeout")
        # To connect, to log in and to be answered.
        self._timeout = arguments["socket_connect_timeout"] + 2 * arguments["socket_timeout"]
        self._keys = [f"{{{self._prefix}}}:{name}" for name in ("format", "record", "index")]
        kind, password = arguments.pop("connection_class"), arguments["password"]
        # RESP2 is what every server and proxy speaks. It connects once, and sends nothing twice.
        self._connect: Callable[[Any], Any] = lambda log_in: kind(
            protocol=2, redis_connect_func=log_in, **arguments
        )
        self._hidden: Callable[[str], str] = lambda text: (
            text.replace(password, "***") if password else text
        )
        self._idle, self._pid = deque[Any](), getpid()
        try:
            self._changed("return 'ours'")
            self._refuse_eviction()
        except BaseException:
            self.close()
            raise
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
                ends += (_entry("id", "") + value.encode(), b"")
            else:
                ends += (b"[" + _entry(field, value), _behind(_entry(field, value)))
        found = self._look(-1, *ends) if ends else []
        return list({each.id: each for each in _records(found)}.values())

    def write(self, record: Record, *, replaces: str | None) -> None:
        expected = "none" if replaces is None else replaces
        self._changed(_CHANGE, record.id, expected, *_packed(record))

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        expected = "any" if replaces is None else replaces
        return self._changed(_CHANGE, record_id, expected) == "done"

    def touch(self, record_id: str, last_used_at: float) -> None:
        self._changed(_TOUCH, record_id, repr(last_used_at), worth_waiting=False)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        entry = _entry(*(mark or ("id", "")))
        return self._listed(entry + (after or "").encode(), _behind(entry), limit)

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        first = _due_entry(after[0]) + after[1] if after else f"{_DUE}"
        return self._listed(first.encode(), _behind(_due_entry(before).encode()), limit)

    def clear(self) -> int:
        return int(self._changed(_CLEAR))

    def risks(self) -> list[Risk]:
        facts = self._facts()
        if not facts:
            text = "this user may not ask the server whether it keeps and evicts data (INFO)"
            return [*self._exposure, Risk(text, "Allow it (ACL SETUSER name +info)")]
        settings: dict[str, str] = {}
        for name in ("save", "appendfsync"):
            for value in (self._asked_if_allowed("CONFIG", "GET", name) or [])[1:]:
                settings[name] = value.decode()
        return [*self._exposure, *_risks(facts, settings, waits=bool(self._wait))]

    def describe(self) -> str:
        return f"Redis at {self._place}, keys {{{self._prefix}}}:*"

    def close(self) -> None:
        # Those in use are let go of by the calls that use them.
        with suppress(IndexError):
            while True:
                self._of_this_process().pop().disconnect()

    def _facts(self, *section: str) -> dict[str, str]:
        """Return what the server says of itself. Nothing if this user may not ask."""
        found = self._asked_if_allowed("INFO", *section) or b""
        lines = found.decode(errors="replace").splitlines()
        return dict(each.split(":", 1) for each in lines if ":" in each)

    def _asked_if_allowed(self, *command: str) -> Any:
        """Return the answer. None if this user may not ask that, or nobody may."""

        def ask(link: Any) -> Any:
            try:
                return _told(link, *command)
            except exceptions.ResponseError as exc:
                if re.search("permission|unknown", str(exc), re.IGNORECASE):
                    return None
                raise

        return self._asked(ask)

    def _refuse_eviction(self) -> None:
        facts = self._facts("memory")
        policy = facts.get("maxmemory_policy", "")
        if facts.get("maxmemory", "0") != "0" and policy.startswith("allkeys-"):
            text = f"Redis at {self._place} would drop tokens when its memory is full ({policy})"
            raise ConfigurationError(text, hint=_EVICTION)

    def _listed(self, first: bytes, last: bytes, limit: int) -> list[Record]:
        """Return records of the index in its order, whatever else somebody put there."""
        records: list[Record] = []
        while (count := limit - len(records)) > 0:
            found = self._look(count, b"(" + first, last)
            records += _records(found)
            if len(found) < 2 * count:
                break
            first = found[-2]
        return records

    def _look(self, limit: int, *ends: bytes) -> list[Any]:
        found: list[Any] = self._asked(lambda link: self._run(link, _LOOK, limit, *ends))
        return found

    def _run(self, link: Any, script: str, *args: Any) -> Any:
        given = (len(self._keys), *self._keys, *args)
        try:
            return _told(link, "EVALSHA", _sha(script), *given)
        except exceptions.NoScriptError:  # it has been restarted; nothing was done
            return _told(link, "EVAL", script, *given)

    def _changed(self, script: str, *args: Any, worth_waiting: bool = True) -> str:
        """Run a script that may change the store, and return how it ended."""
        record_id = args[0] if args else None
        replicas, said = self._wait, ""

        def ask(link: Any) -> Any:
            nonlocal replicas
            if not (self._wait and worth_waiting):
                return self._run(link, _OPEN + script, *args)
            change = ("EVAL", _OPEN + script, len(self._keys), *self._keys, *args)
            wait = ("WAIT", self._wait, int(self._wait_timeout * 1000))
            # On one connection, for WAIT counts who has what that wrote; and in one trip.
            link.send_packed_command(link.pack_commands((change, wait)))
            answer = link.read_response()
            try:
                replicas = link.read_response()
            except exceptions.RedisError as exc:
                raise _Unseen(answer, str(exc)) from None
            return answer

        try:
            answer = self._asked(ask, record_id, patient=worth_waiting, again=False)
        except _Unseen as exc:  # to try the change again would be to meet it
            answer, replicas, said = exc.args[0], 0, self._hidden(exc.args[1].rstrip("."))
        is_done = answer > 0 if isinstance(answer, int) else answer == b"done"
        if is_done and replicas < self._wait:
            seen = f"within {self._wait_timeout:g} s only {replicas} of {self._wait} replicas have"
            but = f"can't say who else has: {said}" if said else f"{seen} said so"
            raise StoreUnavailable(
                f"Redis at {self._place} wrote it, but {but}",
                hint="Look after the replicas; read again to see what is stored",
            )
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
        if text == "taken":
            raise StoreConflict("Another record is for the same thing", token_id=record_id)
        if text == "conflict":
            raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
        if text.startswith("format "):
            number = text.removeprefix("format tokenkeep ")
            if not number.isdecimal() or int(number) <= _FORMAT:
                raise self._foreign()
            what = f"{self.describe()} were made by a newer tokenkeep (format {number})"
            raise errors.StoreTooNew(what, hint="Upgrade tokenkeep")
        return text

    def _asked(
        self,
        ask: Callable[[Any], Any],
        record_id: str | None = None,
        *,
        patient: bool = True,
        again: bool = True,
    ) -> Any:
        """
        Return what the server says, in time: another thread asks.

        Patiently: waiting while it can do nothing just now. Again: once more
        when a connection is lost, because nothing is changed.

        Raises:
            StoreError: It is one, without the driver's, whose frames hold the password.
        """
        call = _Call()

        def work() -> Any:
            try:
                return self._on_a_link(call, ask)
            except exceptions.ConnectionError as exc:
                if not again or type(exc) is not exceptions.ConnectionError:
                    raise
            return self._on_a_link(call, ask)

        for _ in tries(self._busy_timeout if patient else 0.0):
            try:
                return within(self._timeout, work)
            except NoThread as exc:
                said, lost = f"NoThread: {exc}", False
            except TimeoutError:
                said, lost = "Timeout: ", True
                call.is_over = True  # first: who lets go of the link now, closes it
                cut(getattr(call.link, "_sock", None))
            except (exceptions.RedisError, OSError) as exc:
                said = f"{type(exc).__name__}: {exc}"
                lost = isinstance(exc, _LOST) or type(exc) is exceptions.ConnectionError
            if not _BUSY.match(said):
                break
        if "READONLY" in said or "ReadOnly" in said:
            self.close()  # its name may lead to another server by now
        error = self._refusal(said, record_id, is_unknown=call.is_sent and lost and not again)
        del said  # which may repeat the password
        raise error

    def _refusal(self, said: str, record_id: str | None, *, is_unknown: bool) -> errors.StoreError:
        """Return our error for what the driver's is called, and what it says."""
        if "WRONGTYPE" in said:
            return self._foreign()
        if is_unknown:
            what = "did not answer in time" if "Timeout" in said else "has hung up"
            text = f"Redis at {self._place} {what}; whether the change was made is not known"
            return StoreUnavailable(text, token_id=record_id, hint=_READ)
        others = ("", self._hidden(said.partition(": ")[2].rstrip(".")), _REACH)
        _, what, hint = next((row for row in _REFUSALS if re.search(row[0], said)), others)
        text = f"Redis at {self._place} can't be used: {what}"
        return StoreUnavailable(text, token_id=record_id, hint=hint)

    def _on_a_link(self, call: _Call, ask: Callable[[Any], Any]) -> Any:
        """Ask on an idle connection, or a new one."""
        idle, is_good = self._of_this_process(), False

        def log_in(link: Any) -> None:
            if call.is_over:  # it had no socket yet that could have been cut
                raise exceptions.TimeoutError
            link.on_connect()

        call.is_sent, call.link = False, (link := self._idle_one(idle) or self._connect(log_in))
        try:
            link.connect()  # if it is not
            if call.is_over:
                raise exceptions.TimeoutError
            call.is_sent = True
            answer = ask(link)
            is_good = True
        finally:
            call.link = None
            if is_good and not call.is_over:
                idle.append(link)
            else:
                link.disconnect()
        return answer

    def _idle_one(self, idle: deque[Any]) -> Any:
        """Return a connection that has not ended. None if there is none."""
        with suppress(IndexError):
            while True:
                link = idle.pop()
                with suppress(exceptions.RedisError):
                    if not link.can_read():  # there is nothing to read, not even its end
                        return link
                link.disconnect()
        return None

    def _of_this_process(self) -> deque[Any]:
        """Return the idle connections: none of them is a parent's."""
        if self._pid != getpid():
            self._idle, self._pid = deque(), getpid()
        return self._idle

    def _foreign(self) -> errors.StoreForeign:
        return errors.StoreForeign(
            f"Redis at {self._place} has keys {{{self._prefix}}}:… that tokenkeep did not make",
            hint="They are left as they are. Give the store another name with ?prefix=",
        )


@cache
def _sha(script: str) -> str:
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


def _entry(field: str, value: str) -> bytes:
    return f"{_INDEXED.index(field)}{value}:".encode()


def _behind(entry: bytes) -> bytes:
    """Return where the neighbours of an entry end."""
    return b"(" + entry + b"\xff"


def _due_entry(time: float) -> str:
    """Return an entry that is in the order of times: a float's bits are, but for its sign."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", time))
    return f"{_DUE}{bits ^ (2**64 - 1 if bits >> 63 else 2**63):016x}:"


def _packed(record: Record) -> tuple[str, str, str, bytes]:
    """Return when a record was last used, its head, its entries and its seal."""
    used = "" if record.last_used_at is None else repr(record.last_used_at)
    head = f"{record.version} {record.kind} {record.key} {record.due_at!r}"
    marks = ((n, getattr(record, FOUND_BY[n])) for n in range(1, len(FOUND_BY)))
    entries = ["0:", *(f"{n}{value}:" for n, value in marks if value is not None)]
    if record.due_at is not None:
        entries.append(_due_entry(record.due_at))
    return used, head, " ".join(entries), bytes(record.sealed)


def _unpacked(record_id: str, value: bytes) -> Record:
    try:
        used, head, entries, sealed = value.split(b"\n", 3)
        version, kind, key, due_at = head.decode().split(" ")
        marks = [each for each in entries.decode().split(" ")[1:] if each[0] != f"{_DUE}"]
        return Record(
            id=record_id,
            version=version,
            kind=kind,
            key=int(key),
            sealed=sealed,
            due_at=None if due_at == "None" else float(due_at),
            last_used_at=float(used) if used else None,
            **{FOUND_BY[int(each[0])]: each[1:-1] for each in marks},
        )
    except (ValueError, TypeError, IndexError):
        raise errors.StoreTampered(
            "A stored record is not what tokenkeep writes",
            token_id=record_id,
            hint="It was changed outside tokenkeep; "
            "restore it from a backup, or delete it and log in again",
        ) from None


def _records(found: Sequence[Any]) -> Iterator[Record]:
    """Yield the records among index entries and records in turn, if they have the entries."""
    for entry, value in zip(found[::2], found[1::2], strict=True):
        if value is not None:
            record = _unpacked(entry[-WIDTH:].decode(errors="replace"), value)
            if entry[:-WIDTH] in value.split(b"\n", 3)[2].split():
                yield record


def _told(link: Any, *command: Any) -> Any:
    """Return the answer to a command."""
    link.send_command(*command)
    return link.read_response()


def _risks(facts: dict[str, str], settings: dict[str, str], *, waits: bool) -> list[Risk]:
    """Return what may lose tokens, as INFO and CONFIG GET tell."""
    policy, aof = str(facts.get("maxmemory_policy")), facts.get("aof_enabled") == "1"
    saves, syncs = settings.get("save"), settings.get("appendfsync", "which can't be seen")
    full = "err" in (facts.get("aof_last_write_status"), facts.get("rdb_last_bgsave_status"))
    replica, replicas = facts.get("role") == "slave", facts.get("connected_slaves", "0") != "0"
    evicts = f"the server drops tokens when its memory is full (maxmemory-policy {policy})"
    forgets = "the server forgets every token when it restarts: it writes nothing to disk"
    snapshots = "a restart takes back what came since its last snapshot, if it makes any"
    power = f"a power cut at the server may take saves with it (appendfsync {syncs})"
    failover = "a failover may lose what its replicas do not have yet"
    table = (
        (policy.startswith("allkeys-"), evicts, _EVICTION),
        (not aof and saves == "", forgets, _SYNC),
        (not aof and saves != "", snapshots, _SYNC),
        (aof and syncs != "always", power, _SYNC),
        (full, "the server can't write to its disk", "Free or repair the disk; see its log"),
        (replica, "the server is a replica, which can't be written to", "Name the primary"),
        (replicas and not waits, failover, "Add ?wait=1: a save then waits for one of them"),
    )
    return [Risk(text, hint) for applies, text, hint in table if applies]
