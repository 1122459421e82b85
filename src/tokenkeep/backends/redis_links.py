"""Connections of redis-py of which none is used again before its last answer is read whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.connection import AbstractConnection
from redis.exceptions import ResponseError

from tokenkeep.backends.deadline import ends_within, left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import ConnectionPool, Redis


_PART = 16384
"""How much is sent under one limit, in bytes; TLS sends no more at once."""


class _Socket:
    """
    A socket that waits no longer than `left` says; its own limit is for the next bytes alone.

    Args:
        sock: With a limit.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._limit: float = sock.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float) -> None:
        self._limit = seconds
        self._sock.settimeout(seconds)

    def recv(self, size: int) -> Any:
        self._bound()
        return self._sock.recv(size)

    def recv_into(self, buffer: Any) -> Any:
        self._bound()
        return self._sock.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), _PART):
            self._bound()
            self._sock.sendall(data[start : start + _PART])

    def _bound(self) -> None:
        if self._limit:  # else only what is there already is wanted
            self._sock.settimeout(min(self._limit, left()))


class _Link(AbstractConnection):
    """A connection that is logged in and in its database, or is none."""

    def _connect(self) -> Any:
        return _Socket(super()._connect())  # type: ignore[no-untyped-call, safe-super]

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[no-untyped-call]
        except BaseException:
            # redis-py closes it for its own errors alone, and would take the rest for ready.
            self.disconnect()  # type: ignore[no-untyped-call]
            raise


def guard(pool: ConnectionPool) -> None:
    """Let a pool make connections that an interruption leaves closed, each waiting with an end."""
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Link, kind), {})


def exchange(client: Redis, seconds: float, *commands: Sequence[Any]) -> list[Any]:
    """
    Send commands on one connection, and return their answers, of which an error is one.

    Args:
        client: Whose pool it is.
        seconds: How long to wait for each answer.
        commands: Each with its arguments.

    Raises:
        RedisError: There is no answer.
    """
    pool = client.connection_pool
    link: Any = pool.get_connection()
    try:
        with ends_within(seconds * len(commands)):
            link.send_packed_command(link.pack_commands(commands))
            answers = [_answer(client, link, str(name)) for name, *_ in commands]
    except BaseException:
        # An answer may still come, which nobody shall take for his own.
        link.disconnect()
        pool.release(link)
        raise
    pool.release(link)
    return answers


def _answer(client: Any, link: Any, name: str) -> Any:
    try:
        return client.parse_response(link, name)
    except ResponseError as exc:
        return exc
