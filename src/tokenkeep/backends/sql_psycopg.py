"""Connections of psycopg that do not wait for ever: libpq knows no limit for an answer."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg

from tokenkeep.backends.deadline import left

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_Result = TypeVar("_Result")

_CANCEL = 1.0
"""How long to try to tell the server that nobody waits any more, in seconds."""


class Unanswered(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""


def connector(timeout: float) -> Callable[..., psycopg.Connection[Any]]:
    """
    Return a replacement for ``psycopg.connect``.

    Args:
        timeout: How long each answer is waited for, in seconds.
    """

    class Bounded(psycopg.Connection[Any]):
        """Give up on an answer after the timeout."""

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            # psycopg looks up from its waiting ten times a second, to see signals.
            try:
                return super().wait(
                    _bounded(gen, monotonic() + min(timeout, left())), *args, **kwargs
                )
            except Unanswered:
                # Without this the server, once it comes to it, would still make the change.
                if psycopg.capabilities.has_cancel_safe():  # the unsafe way can wait for ever
                    with suppress(psycopg.Error):
                        self.cancel_safe(timeout=_CANCEL)
                self.close()
                raise

    return Bounded.connect


def _bounded(gen: Generator[Any, Any, _Result], deadline: float) -> Generator[Any, Any, _Result]:
    """Drive a generator of psycopg: it yields what it waits for and is sent what is ready."""
    try:
        wants = next(gen)
        while True:
            ready = yield wants
            if monotonic() > deadline:  # also when something is ready: an answer may drip
                gen.close()
                raise Unanswered("timed out")
            wants = gen.send(ready)
    except StopIteration as exc:
        return cast("_Result", exc.value)
