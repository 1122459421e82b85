"""
What the server does with records in one step, in Lua, and under which keys.

All keys of a store carry one hash tag, so that a cluster keeps them together,
and all of them are declared:

    {prefix}:format      the mark of tokenkeep, and the version of all this
    {prefix}:record      hash: id -> record, as `redis_rows` packs it
    {prefix}:id          sorted set of the ids, in their order
    {prefix}:owner       hash: owner -> id
    {prefix}:user  ...   sorted sets of "<value><id>", one for each of `MARKS`:
                         all ids with a value are neighbours, in their order
    {prefix}:due         sorted set of "<id><due_at>" by ``due_at``

A script that fails half-way is not rolled back. So each of them looks first at
whatever could be wrong. Where the server fails all the same, the order saves
the day: index entries come before their record and go after it, the record
itself is written in one command, and entries without a record that has their
value count for nothing.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple

from tokenkeep.backends.base import HEADER, MARKS, WIDTH

FORMAT = 2
"""The version under the format key. A newer tokenkeep counts on."""

_NAMES = ("format", "record", "id", "owner", *MARKS, "due")

NUMBER = {name: str(number) for number, name in enumerate(_NAMES, start=1)}
"""Which of a script's keys belongs to a field."""


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
        everything: In the order the scripts know.
    """

    everything: tuple[str, ...]

    @property
    def record(self) -> str:
        """The records by id."""
        return self.everything[1]


def keys(prefix: str) -> Keys:
    """Return the keys of the store with this prefix."""
    return Keys(tuple(f"{{{prefix}}}:{name}" for name in _NAMES))


def _script(*parts: str) -> Script:
    text = "".join(parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_CALL = f"""
local OWNER, DUE = 2, {3 + len(MARKS)} -- where a head has the first and last indexed field;
local TO_KEY = 2                       -- its key comes so much later
local WIDTH, HEADER = {WIDTH}, '{HEADER}'

-- redis.call, but its error says which command it was: Redis 7.0 does not.
local function call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    error(select(1, ...) .. ': ' .. reply.err, 0)
  end
  return reply
end

local function neighbours(key, value, after, limit)
  local first, past = '(' .. value .. after, '(' .. value .. '\\255'
  return call('ZRANGEBYLEX', key, first, past, 'LIMIT', 0, limit)
end
"""

_CHECK = f"""
local FORMAT = 'tokenkeep {FORMAT}'

-- A key of another type is an error.
local function entries()
  local found = call('HLEN', KEYS[2]) + call('HLEN', KEYS[4]) + call('ZCARD', KEYS[3])
  for n = 5, #KEYS do found = found + call('ZCARD', KEYS[n]) end
  return found
end

local format = call('GET', KEYS[1])
if format ~= FORMAT and (format or entries() > 0) then return 'format ' .. (format or '') end
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

-- Returns which of the fields have a value.
local function valued(head)
  local fields = {}
  for n = OWNER, DUE do
    if type(head[n]) == (n == DUE and 'number' or 'string') then table.insert(fields, n) end
  end
  return fields
end

local function put(n, value, id)
  if n == OWNER then
    call('HSET', KEYS[n + TO_KEY], value, id)
  elseif n == DUE then
    local due = string.format('%.17g', value)
    call('ZADD', KEYS[n + TO_KEY], due, id .. due)
  else
    call('ZADD', KEYS[n + TO_KEY], 0, value .. id)
  end
end

local function take(n, value, id)
  if n == OWNER then
    call('HDEL', KEYS[n + TO_KEY], value)
  elseif n == DUE then
    call('ZREM', KEYS[n + TO_KEY], id .. string.format('%.17g', value))
  else
    call('ZREM', KEYS[n + TO_KEY], value .. id)
  end
end

-- These change nothing; but a full memory, a missing right or a key of another type shows.
local function rehearse_adding(key)
  call('ZADD', key, 'XX', 0, '\\255')
end
local function rehearse_putting(n)
  if n ~= OWNER then rehearse_adding(KEYS[n + TO_KEY]) end -- which is put first, and was looked at
end
local function rehearse_taking(n)
  call(n == OWNER and 'HDEL' or 'ZREM', KEYS[n + TO_KEY], '\\255')
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
if old[OWNER] ~= new[OWNER] then
  local holder = call('HGET', KEYS[OWNER + TO_KEY], new[OWNER])
  local theirs = holder and call('HGET', KEYS[2], holder)
  if theirs and (opened(theirs) or new)[OWNER] == new[OWNER] then return 'taken' end
end

local puts, takes = {}, {}
for _, n in ipairs(valued(new)) do
  if old[n] ~= new[n] then table.insert(puts, n) end
end
for _, n in ipairs(valued(old)) do
  if old[n] ~= new[n] then table.insert(takes, n) end
end

-- Adding first: Redis looks for a full memory only until a script has asked for a change.
rehearse_adding(KEYS[3])
for _, n in ipairs(puts) do rehearse_putting(n) end
for _, n in ipairs(takes) do rehearse_taking(n) end

if not format then call('SET', KEYS[1], FORMAT) end
for _, n in ipairs(puts) do put(n, new[n], id) end
if not record then call('ZADD', KEYS[3], 0, id) end
call('HSET', KEYS[2], id, used .. '\\n' .. head .. '\\n' .. sealed)
for _, n in ipairs(takes) do take(n, old[n], id) end
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

local takes = valued(old or {})
call('ZREM', KEYS[3], '\\255')
for _, n in ipairs(takes) do rehearse_taking(n) end

call('HDEL', KEYS[2], id)
call('ZREM', KEYS[3], id)
for _, n in ipairs(takes) do take(n, old[n], id) end
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
entries() -- what is not ours is not unlinked
local count = call('HLEN', KEYS[2])
local header = call('HGET', KEYS[2], HEADER)
local head = header and opened(header)
if header then
  if not head then return 'spoiled' end
  count = count - 1
  -- It can be put back: these change nothing either. Removing first, so that a full memory is
  -- nothing in the way.
  call('ZREM', KEYS[3], '\\255')
  call('HSET', KEYS[2], HEADER, header)
  rehearse_adding(KEYS[3])
end
call('UNLINK', unpack(KEYS, 2))
if header then
  call('HSET', KEYS[2], HEADER, header)
  call('ZADD', KEYS[3], 0, HEADER)
  for _, n in ipairs(valued(head)) do put(n, head[n], HEADER) end
end
return count
"""

_FIND = """
local found, seen = {}, {}
local function add(id)
  if not id or seen[id] then return end
  seen[id] = true
  table.insert(found, id)
  table.insert(found, call('HGET', KEYS[2], id))
end
for n = 1, #ARGV, 2 do
  local key, value = tonumber(ARGV[n]), ARGV[n + 1]
  if key == 3 then
    add(value)
  elseif key == OWNER + TO_KEY then
    add(call('HGET', KEYS[key], value))
  else
    for _, entry in ipairs(neighbours(KEYS[key], value, '', -1)) do
      add(string.sub(entry, -WIDTH))
    end
  end
end
return found
"""

_SCAN = """
local key, value, after, limit = unpack(ARGV)
local found = {}
for _, entry in ipairs(neighbours(KEYS[tonumber(key)], value, after, limit)) do
  local id = string.sub(entry, -WIDTH)
  table.insert(found, id)
  table.insert(found, call('HGET', KEYS[2], id))
end
return found
"""

_DUE = """
local before, limit, due, id = unpack(ARGV)
local key, first = KEYS[DUE + TO_KEY], 0
local past = call('ZCOUNT', key, '-inf', before)
if due then
  -- Those that are due at one time are in the order of their ids: halve them until it is found.
  local last
  first, last = call('ZCOUNT', key, '-inf', '(' .. due), call('ZCOUNT', key, '-inf', due)
  while first < last do
    local middle = math.floor((first + last) / 2)
    local there = string.sub(call('ZRANGE', key, middle, middle)[1], 1, WIDTH)
    if there <= id then first = middle + 1 else last = middle end
  end
end

local found = {}
past = math.min(past, first + limit)
if first < past then -- to Redis -1 is the last one
  local page = call('ZRANGE', key, first, past - 1, 'WITHSCORES')
  for n = 1, #page, 2 do
    local each = string.sub(page[n], 1, WIDTH)
    table.insert(found, page[n + 1])
    table.insert(found, each)
    table.insert(found, call('HGET', KEYS[2], each))
  end
end
return found
"""

# Each is given all keys.

CHECK = _script(_CALL, _CHECK, "return 'done'\n")
"""Says whether the store is one of ours, or none yet."""

WRITE = _script(_CALL, _CHECK, _OPEN, _WRITE)
"""``insert`` or ``replace``, id, version that must be stored, last use, head, seal."""

DELETE = _script(_CALL, _CHECK, _OPEN, _DELETE)
"""``any`` or ``version``, id, version that must be stored."""

TOUCH = _script(_CALL, _CHECK, _OPEN, _TOUCH)
"""Id, when it was used."""

CLEAR = _script(_CALL, _CHECK, _OPEN, _CLEAR)
"""Returns how many records there were."""

FIND = _script(_CALL, _FIND)
"""`NUMBER` of a field and value, in turn. Returns ids and records in turn, each once."""

SCAN = _script(_CALL, _SCAN)
"""
`NUMBER` of a mark and its value, or of the id and nothing; behind which id,
how many. Returns ids and records in turn.
"""

DUE = _script(_CALL, _DUE)
"""
Until when, how many; behind which time and id, or not. Returns when each is
due, its id and record in turn.
"""
