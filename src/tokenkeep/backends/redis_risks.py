"""What about a Redis server may lose tokens: memory, disk and replicas, as it is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import Risk
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.backends.redis_server import Server

_SAFE = "noeviction"
_NO_EVICTION = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file"
_NO_AOF = "Set `appendonly yes` and `appendfsync always`, and keep its folder on a real disk"


def refuse_eviction(server: Server) -> None:
    """
    Make sure that a full server refuses new data instead of dropping tokens.

    Raises:
        ConfigurationError: It would drop them.
        StoreError: The server can't be asked.
    """
    memory = server.ask_if_allowed("INFO", "memory") or {}
    policy = str(memory.get("maxmemory_policy", _SAFE))
    if memory.get("maxmemory") and policy.startswith("allkeys-"):
        raise ConfigurationError(
            f"Redis at {server.url.place} would drop tokens when its memory is full "
            f"(maxmemory-policy {policy})",
            hint=_NO_EVICTION,
        )


def risks(server: Server) -> list[Risk]:
    """
    Return what may lose tokens, as far as this user may know.

    Raises:
        StoreError: The server can't be asked.
    """
    facts: dict[str, Any] | None = server.ask_if_allowed("INFO")
    if not facts:
        return [
            Risk(
                "this user may not ask the server whether it keeps and evicts data (INFO)",
                "Allow it (ACL SETUSER name +info), or look for yourself: docs/redis.md",
            )
        ]
    return [*_memory(facts), *_disk(server, facts), *_replicas(server, facts)]


def _memory(facts: dict[str, Any]) -> Iterator[Risk]:
    policy = str(facts.get("maxmemory_policy", _SAFE))
    if policy.startswith("allkeys-"):
        full = bool(facts.get("maxmemory"))
        when = (
            "drops tokens when its memory is full" if full else "would drop tokens at a maxmemory"
        )
        yield Risk(f"the server {when} (maxmemory-policy {policy})", _NO_EVICTION)
    elif policy != _SAFE:
        yield Risk(
            f"the server drops keys that have an end when its memory is full ({policy}); "
            "tokens have none, and stay",
            _NO_EVICTION,
        )


def _disk(server: Server, facts: dict[str, Any]) -> Iterator[Risk]:
    settings = {
        name: (server.ask_if_allowed("CONFIG GET", name) or {}).get(name)
        for name in ("save", "appendfsync")
    }
    if not facts.get("aof_enabled"):
        if settings["save"]:
            text = "a restart of the server takes back what was saved since its last snapshot"
        elif settings["save"] == "":
            text = "the server forgets every token when it restarts: it writes nothing to disk"
        else:
            text = (
                "the server has no append-only file; whether it makes snapshots "
                "can't be seen (CONFIG GET is not allowed)"
            )
        yield Risk(text, _NO_AOF)
    elif settings["appendfsync"] is None:
        yield Risk(
            "how often the server syncs its append-only file can't be seen "
            "(CONFIG GET is not allowed)",
            "Look for yourself: `appendfsync always` loses nothing",
        )
    elif settings["appendfsync"] != "always":
        much = "the last second" if settings["appendfsync"] == "everysec" else "half a minute"
        yield Risk(
            f"a power cut at the server may take {much} of saves with it "
            f"(appendfsync {settings['appendfsync']})",
            "CONFIG SET appendfsync always, and the same in its configuration file",
        )
    if "err" in (facts.get("aof_last_write_status"), facts.get("rdb_last_bgsave_status")):
        yield Risk(
            "the server can't write to its disk", "Look into its log; free or repair the disk"
        )


def _replicas(server: Server, facts: dict[str, Any]) -> Iterator[Risk]:
    if facts.get("role") == "slave":
        yield Risk("the server is a replica, which can't be written to", "Name the primary")
    elif facts.get("connected_slaves") and not server.wait:
        yield Risk(
            "a failover may lose what its replicas do not have yet",
            "Add ?wait=1 to the URL: a save then waits for one of them",
        )
