"""
What the server does with records in one step, in Lua, and under which keys.

All keys of a store carry one hash tag, so that a cluster keeps them together,
and all of them are declared:

    {prefix}:format      the mark of tokenkeep, and the version of all this
    {prefix}:store       the store's id, which no script asks for
    {prefix}:record      hash: id -> record, as `redis_rows` packs it
    {prefix}:id          sorted set of the ids, in the order of their bytes
    {prefix}:identity    sorted sets of "<length of value>:<value><id>", one for
    {prefix}:user  ...   each of `FIELDS`: all ids with a value are neighbours

A script that fails half-way is not rolled back. So each of them looks first at
whatever could be wrong. Where the server fails all the same, the order saves
the day: index entries come before their record and go after it, the record
itself is written in one command, and entries without a record that has their
value count for nothing.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple

from tokenkeep.backends.base import FIELDS

FORMAT = "tokenkeep 1"
"""What is under the format key. A newer tokenkeep counts on."""


class Script(NamedTuple):
    """
    A script.

    Args:
        text: In Lua.
        sha: The name under which the server remembers it.
    """

    text: str
    sha: str


class Keys(NamedTuple):
    """
    The keys of a store.

    Args:
        everything: In the order the scripts know: format, record, id, then `FIELDS`.
        field: Which of them belongs to a field.
        store: That of the store's id.
    """

    everything: tuple[str, ...]
    field: dict[str, str]
    store: str

    @property
    def record(self) -> str:
        """The records by id."""
        return self.everything[1]

    @property
    def order(self) -> str:
        """The ids."""
        return self.everything[2]


def keys(prefix: str) -> Keys:
    """Return the keys of the store with this prefix."""
    names = ("format", "record", "id", *FIELDS)
    everything = tuple(f"{{{prefix}}}:{name}" for name in names)
    fields = dict(zip(FIELDS, everything[3:], strict=True))
    return Keys(everything, fields, f"{{{prefix}}}:store")


def _script(*parts: str) -> Script:
    text = "".join(parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_CALL = """
-- redis.call, but its error says which command it was: Redis 7.0 does not.
local function call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    error(select(1, ...) .. ': ' .. reply.err, 0)
  end
  return reply
end

local function neighbours(key, like)
  return call('ZRANGEBYLEX', key, '[' .. like, '(' .. like .. '\\255')
end

local function member(value, id)
  return #value .. ':' .. value .. id
end
"""

_CHECK = f"""
local FORMAT = '{FORMAT}'
local FIRST, LAST, TO_KEY = 2, {1 + len(FIELDS)}, 2 -- where a head has the indexed fields

local format = call('GET', KEYS[1])
if format ~= FORMAT then
  local found = call('HLEN', KEYS[2])
  for n = 3, #KEYS do
    found = found + call('ZCARD', KEYS[n])
  end
  if format or found > 0 then return 'format ' .. (format or '') end
end
"""

_OPEN = """
-- Returns the head, when it was last used, and where the head begins. Nothing if spoiled.
local function opened(record)
  local first = string.find(record, '\\n', 1, true)
  local second = first and string.find(record, '\\n', first + 1, true)
  local good, head = pcall(cjson.decode, second and string.sub(record, first + 1, second - 1))
  if good and type(head) == 'table' then
    return head, string.sub(record, 1, first - 1), first + 1
  end
end

-- These change nothing; but a full memory, a missing right or a key of another type shows.
local function rehearse_adding(key)
  call('ZADD', key, 'XX', 0, '\\255')
end
local function rehearse_removing(key)
  call('ZREM', key, '\\255')
end
"""

_WRITE = """
local mode, id, version, used, head, sealed = unpack(ARGV)
local new = cjson.decode(head)
local record, old = call('HGET', KEYS[2], id), {}
if mode == 'insert' then
  if record then return 'exists' end
else
  if not record then return 'gone' end
  old, used = opened(record)
  if not old then return 'spoiled' end
  if old[1] ~= version then return 'version' end
end
if old[2] ~= new[2] then
  local like = member(new[2], '')
  for _, entry in ipairs(neighbours(KEYS[4], like)) do
    local owner = string.sub(entry, #like + 1)
    local theirs = owner ~= id and call('HGET', KEYS[2], owner)
    if theirs and (opened(theirs) or new)[2] == new[2] then return 'taken' end
  end
end

local adds, removes = {}, {} -- fields
for n = FIRST, LAST do
  if old[n] ~= new[n] then
    if type(new[n]) == 'string' then table.insert(adds, n) end
    if type(old[n]) == 'string' then table.insert(removes, n) end
  end
end

-- Adding first: Redis looks for a full memory only until a script has asked for a change.
if #adds < 1 and #removes > 0 then rehearse_adding(KEYS[3]) end
for _, n in ipairs(adds) do rehearse_adding(KEYS[n + TO_KEY]) end
for _, n in ipairs(removes) do rehearse_removing(KEYS[n + TO_KEY]) end

if not format then call('SET', KEYS[1], FORMAT) end
if not record then call('ZADD', KEYS[3], 0, id) end
for _, n in ipairs(adds) do call('ZADD', KEYS[n + TO_KEY], 0, member(new[n], id)) end
call('HSET', KEYS[2], id, used .. '\\n' .. head .. '\\n' .. sealed)
for _, n in ipairs(removes) do call('ZREM', KEYS[n + TO_KEY], member(old[n], id)) end
return 'done'
"""

_DELETE = """
local mode, id, version = unpack(ARGV)
local record = call('HGET', KEYS[2], id)
if not record then return 'gone' end
local old = opened(record)
if mode == 'version' then
  if not old then return 'spoiled' end
  if old[1] ~= version then return 'version' end
end

local entries = {[KEYS[3]] = id}
local keys = {KEYS[3]}
for n = FIRST, old and LAST or 0 do
  if type(old[n]) == 'string' then
    table.insert(keys, KEYS[n + TO_KEY])
    entries[KEYS[n + TO_KEY]] = member(old[n], id)
  end
end
for _, key in ipairs(keys) do rehearse_removing(key) end

call('HDEL', KEYS[2], id)
for _, key in ipairs(keys) do call('ZREM', key, entries[key]) end
return 'done'
"""

_TOUCH = """
local id, now = unpack(ARGV)
local record = call('HGET', KEYS[2], id)
if not record then return 'done' end
local _, used, rest = opened(record)
local before = rest and tonumber(used)
if rest and (used == '' or (before and before < tonumber(now))) then
  call('HSET', KEYS[2], id, now .. '\\n' .. string.sub(record, rest))
end
return 'done'
"""

_CLEAR = """
for n = 3, #KEYS do call('ZCARD', KEYS[n]) end -- what is not ours is not unlinked
local count = call('HLEN', KEYS[2])
call('UNLINK', unpack(KEYS, 2))
return count
"""

_FIND = """
local found = {}
for _, value in ipairs(ARGV) do
  local like = member(value, '')
  for _, entry in ipairs(neighbours(KEYS[2], like)) do
    local id = string.sub(entry, #like + 1)
    table.insert(found, id)
    table.insert(found, call('HGET', KEYS[1], id))
  end
end
return found
"""

_SCAN = """
local found = {}
for _, id in ipairs(call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
  table.insert(found, id)
  table.insert(found, call('HGET', KEYS[1], id))
end
return found
"""

CHECK = _script(_CALL, _CHECK, "return 'done'\n")
"""All keys. Says whether the store is one of ours, or none yet."""

WRITE = _script(_CALL, _CHECK, _OPEN, _WRITE)
"""All keys; ``insert`` or ``replace``, id, version that must be stored, last use, head, seal."""

DELETE = _script(_CALL, _CHECK, _OPEN, _DELETE)
"""All keys; ``any`` or ``version``, id, version that must be stored."""

TOUCH = _script(_CALL, _CHECK, _OPEN, _TOUCH)
"""All keys; id, when it was used."""

CLEAR = _script(_CALL, _CHECK, _CLEAR)
"""All keys. Returns how many records there were."""

FIND = _script(_CALL, _FIND)
"""The keys of records and of one index; the values. Returns ids and records in turn."""

SCAN = _script(_CALL, _SCAN)
"""The keys of records and ids; where to start, how many. Returns ids and records in turn."""
