"""Calls to one Redis server: each with an end in time, and no write sent twice."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, TypeVar

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from tokenkeep.backends.deadline import ends_within
from tokenkeep.backends.patience import tries
from tokenkeep.backends.redis_errors import (
    FOREIGN,
    explain,
    is_busy,
    is_demoted,
    is_forbidden,
    is_lost,
)
from tokenkeep.backends.redis_links import exchange, guard
from tokenkeep.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenkeep.backends.redis_scripts import Keys, Script
    from tokenkeep.backends.redis_url import RedisURL

_TIMEOUT = 5.0
"""How long to wait for a connection or an answer if the URL does not say, in seconds."""

_A_DAY = 86400.0

_CLIENTS = 10_000
"""How many connections at most if the URL does not say: as many as a server takes."""

_Result = TypeVar("_Result")


class Server:
    """
    One server. For any number of threads; a forked child makes its own connections.

    Args:
        url: Where it is.
        keys: The keys of the store there.
        busy_timeout: How long to wait while it can do nothing, in seconds.
        wait: How many replicas have to have a write before it is done.
        wait_timeout: How long to wait for them, in seconds.

    Raises:
        ConfigurationError: The driver can't make sense of the URL.
    """

    def __init__(
        self, url: RedisURL, keys: Keys, *, busy_timeout: float, wait: int, wait_timeout: float
    ) -> None:
        self.url = url
        self.keys = keys
        self.wait = wait
        self._busy_timeout = busy_timeout
        self._wait_timeout = wait_timeout
        self._client: Redis | None = None
        self._pid = 0
        pool = self._connections()
        try:
            pool.make_connection()  # which does not connect it
        except (TypeError, RedisError) as exc:
            raise ConfigurationError(f"The Redis URL has an option that can't be: {exc}") from None
        if pool.connection_kwargs.get("socket_read_size", 1) < 1:
            raise ConfigurationError("socket_read_size is a number of bytes")
        self._answer_timeout = _seconds(pool, "socket_timeout")
        if wait and not 0 < wait_timeout < self._answer_timeout:
            raise ConfigurationError(
                "wait_timeout has to be above 0 and below socket_timeout "
                f"({self._answer_timeout:g} s)"
            )
        # To connect, to log in and to be answered.
        self._timeout = _seconds(pool, "socket_connect_timeout") + 2 * self._answer_timeout

    def ask(self, *command: str | bytes, record_id: str | None = None) -> Any:
        """
        Return the answer to a command that changes nothing.

        Args:
            command: Its name and arguments.
            record_id: For the error. None if no record is meant.

        Raises:
            StoreError: There is none.
        """
        return self._patiently(lambda: self._twice(lambda: self._send(*command)), record_id)

    def ask_if_allowed(self, *command: str) -> Any:
        """Return the answer to a command. None if this user may not run it, or nobody may."""

        def attempt() -> Any:
            try:
                return self._twice(lambda: self._send(*command))
            except ResponseError as exc:
                if is_forbidden(exc):
                    return None
                raise

        return self._patiently(attempt, None)

    def look(self, script: Script, keys: Sequence[str], *args: str | bytes) -> Any:
        """
        Return what a script finds that changes nothing.

        Raises:
            StoreError: The server can't be asked.
        """
        return self._patiently(
            lambda: self._twice(lambda: self._run(script, keys, args, self._send)), None
        )

    def change(self, script: Script, *args: str | bytes, record_id: str | None = None) -> Any:
        """
        Run a script on all keys of the store, and wait for the replicas.

        Raises:
            StoreUnavailable: As always; then nobody knows whether it ran. Also
                if it ran, but too few replicas have it.
        """
        return self._patiently(
            lambda: self._run(script, self.keys.everything, args, self._send_and_wait), record_id
        )

    def note(self, script: Script, *args: str | bytes, record_id: str) -> Any:
        """
        Run a script that is not worth waiting for, neither for a busy server nor for replicas.

        Raises:
            StoreUnavailable: As always.
        """
        return self._patiently(
            lambda: self._run(script, self.keys.everything, args, self._send),
            record_id,
            timeout=0.0,
        )

    def close(self) -> None:
        """Close the connections. The next call makes new ones."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            # Those in use are closed when the call that uses them lets go of them.
            client.connection_pool.disconnect(inuse_connections=False)

    def _patiently(
        self, attempt: Callable[[], _Result], record_id: str | None, timeout: float | None = None
    ) -> _Result:
        """Do something; again, while the server says that it can do nothing now."""
        for _ in tries(self._busy_timeout if timeout is None else timeout):
            try:
                with ends_within(self._timeout, anew=True):
                    return attempt()
            except FOREIGN as exc:
                last = exc
                if is_demoted(exc):
                    self.close()  # its name may lead to another server by now
                if not is_busy(exc):
                    break
        raise explain(last, self.url, self.keys, record_id) from last

    def _twice(self, attempt: Callable[[], _Result]) -> _Result:
        """Do something that may be done twice; again, if its connection is lost."""
        try:
            return attempt()
        except RedisError as exc:
            if not is_lost(exc):
                raise
        return attempt()

    def _run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes],
        send: Callable[..., Any],
    ) -> Any:
        try:
            return send("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:  # it has been restarted; nothing was done
            return send("EVAL", script.text, len(keys), *keys, *args)

    def _send(self, *command: str | bytes | int) -> Any:
        (answer,) = self._exchange(command)
        return answer

    def _send_and_wait(self, *command: str | bytes | int) -> Any:
        if not self.wait:
            return self._send(*command)
        # WAIT counts who has what this connection wrote; so both go the same way, in one trip.
        waiting = ("WAIT", self.wait, int(self._wait_timeout * 1000))
        answer, replicas = self._exchange(command, waiting)
        changed = answer > 0 if isinstance(answer, int) else answer == b"done"
        if changed and replicas < self.wait:
            raise StoreUnavailable(
                f"Redis at {self.url.place} wrote it, but only {replicas} of {self.wait} replicas "
                f"have said so within {self._wait_timeout:g} s",
                hint="Look after the replicas; read again to see what is stored",
            )
        return answer

    def _exchange(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        answers = exchange(self._connected(), self._answer_timeout, *commands)
        for each in answers:
            if isinstance(each, Exception):
                raise each
        return answers

    def _connected(self) -> Redis:
        client = self._client
        # A child leaves the connections of its parent alone; they are closed
        # with the client that is dropped here, without a word to the server.
        if client is None or self._pid != os.getpid():
            client = Redis(connection_pool=self._connections())
            self._client, self._pid = client, os.getpid()
        return client

    def _connections(self) -> ConnectionPool:
        try:
            pool = ConnectionPool.from_url(
                self.url.driver,
                socket_connect_timeout=_TIMEOUT,
                socket_timeout=_TIMEOUT,
                max_connections=_CLIENTS,
                protocol=2,  # which every server and proxy speaks
                retry=Retry(NoBackoff(), 0),
                **self.url.arguments,
            )
        except ValueError as exc:
            found = re.search(r"Invalid value for '(\w+)'", str(exc))
            which = f"The option {found[1]!r}" if found else "A part"
            raise ConfigurationError(f"{which} of the Redis URL can't be read") from None
        guard(pool)
        return pool


def _seconds(pool: ConnectionPool, name: str) -> float:
    seconds: float = pool.connection_kwargs[name]
    if not 0 < seconds <= _A_DAY:
        raise ConfigurationError(f"{name} is a number of seconds above 0, a day at most")
    return seconds
