"""Connections of redis-py of which none is used again before its last answer is read whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.connection import AbstractConnection
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import ConnectionPool, Redis


class _Link(AbstractConnection):
    """A connection that is logged in and in its database, or is none."""

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[no-untyped-call]
        except BaseException:
            # redis-py closes it for its own errors alone, and would take the rest for ready.
            self.disconnect()  # type: ignore[no-untyped-call]
            raise


def guard(pool: ConnectionPool) -> None:
    """Let a pool make connections that an interruption leaves closed."""
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Link, kind), {})


def exchange(client: Redis, *commands: Sequence[Any]) -> list[Any]:
    """
    Send commands on one connection, and return their answers, of which an error is one.

    Args:
        client: Whose pool it is.
        commands: Each with its arguments.

    Raises:
        RedisError: There is no answer.
    """
    pool = client.connection_pool
    link: Any = pool.get_connection()
    try:
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
