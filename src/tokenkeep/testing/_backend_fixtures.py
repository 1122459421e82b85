"""What the contracts of backends share: their one fixture, and texts that break careless code."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.backends.base import Backend

    Factory = Callable[[], Backend]

HARD_TEXTS = (
    "",
    " ",
    "a",
    "A",
    "a ",
    " a",
    "a\0",
    "a\0b",
    "\n\r\t",
    "'; DROP TABLE token; --",
    '"quoted" \\ %s ? :id',
    "caf\u00e9",
    "cafe\u0301",
    "CAF\u00c9",
    "stra\u00dfe",
    "strasse",
    "\U0001f511 \U0001f469\u200d\U0001f4bb",
    "\ufeff\u202e",
    "x" * 65536,
)
"""Texts that look alike to a careless comparison, or break careless quoting."""


class BackendFixtures:
    """The fixtures of each contract. Subclasses give the first."""

    hard_texts: ClassVar[tuple[str, ...]] = HARD_TEXTS
    """Those that records are told apart by; fewer where a store has a limit of its own."""

    very_many: ClassVar[int] = 3000
    """More values than one query may have; fewer where each is a request."""

    @pytest.fixture
    def open_backend(self) -> Factory:
        """Return what opens the store once more. Every subclass overrides this."""
        raise NotImplementedError("give the fixture open_backend: see BackendContract")

    @pytest.fixture
    def connect(self, open_backend: Factory) -> Iterator[Factory]:
        """``open_backend``, with every backend closed at the end."""
        opened: list[Backend] = []

        def connect() -> Backend:
            opened.append(open_backend())
            return opened[-1]

        yield connect
        for backend in opened:
            backend.close()

    @pytest.fixture
    def backend(self, connect: Factory) -> Backend:
        """One opening of the store."""
        return connect()
