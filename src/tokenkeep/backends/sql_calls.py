"""One call of a SQL store: how often it is tried, when it ends, and what is said of a failure."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeout

from tokenkeep.backends.deadline import ends_within
from tokenkeep.backends.patience import tries
from tokenkeep.backends.sql_connections import Connections, Lost, unwrapped
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from tokenkeep.backends.sql_errors import Explainer
    from tokenkeep.backends.sql_statements import Statement
    from tokenkeep.backends.sql_target import Target
    from tokenkeep.errors import StoreError

_Result = TypeVar("_Result")

_TIMES = 3
"""
How many timeouts a call takes at most: for a connection of the pool, for
trying while others are in the way, and for the last answer.
"""


class Calls:
    """
    Run statements, each by itself.

    Args:
        target: The database.
        connections: To it.
        errors: Makes our errors.
    """

    def __init__(self, target: Target, connections: Connections, errors: Explainer) -> None:
        self._target = target
        self._connections = connections
        self._errors = errors

    def rows(
        self, statement: Statement, values: Sequence[Any], record_id: str | None = None
    ) -> Sequence[Any]:
        """
        Return the rows that a statement finds; asked once more if the connection was dead.

        Args:
            statement: What to ask.
            values: For its parameters.
            record_id: For the error. None if no record is meant, or several.

        Raises:
            StoreUnavailable: The database can't be reached or used.
            StoreForeign: The table is not ours any more.
        """
        parameters = statement.bind(values)

        def attempt() -> Sequence[Any]:
            return self._connections.fetch(statement.sql, parameters)

        begun = monotonic()
        with self._bounded():
            try:
                return self._patiently(attempt, "SELECT", record_id)
            except Lost as exc:
                lost = exc
            # Not when an answer was waited for in vain: the next one would be as late.
            if monotonic() - begun < self._target.timeout / 2:
                try:
                    return self._patiently(attempt, "SELECT", record_id)
                except Lost as exc:
                    lost = exc
        raise self._lost(lost, "SELECT", record_id) from None

    def change(
        self,
        statement: Statement,
        values: Sequence[Any],
        doing: str,
        record_id: str | None = None,
        *,
        patience: float | None = None,
    ) -> int:
        """
        Run a statement that writes, and return how many rows it changed.

        Args:
            statement: What to do.
            values: For its parameters.
            doing: Which privilege it takes.
            record_id: For the error. None if no record is meant.
            patience: How long to try while others are in the way, in seconds.
                None means the timeout.

        Raises:
            StoreConflict: An id or owner is taken.
            StoreUnavailable: It was not done; or the connection was lost and
                nobody knows, so it was not tried again.
        """
        parameters = statement.bind(values)

        def attempt() -> int:
            return self._connections.change(statement.sql, parameters)

        try:
            with self._bounded():
                return self._patiently(attempt, doing, record_id, patience=patience)
        except Lost as exc:
            lost = exc
        raise self._lost(lost, doing, record_id)

    def _bounded(self) -> AbstractContextManager[None]:
        return ends_within(_TIMES * self._target.timeout, anew=True)

    def _lost(self, lost: Lost, doing: str, record_id: str | None) -> StoreError:
        return self._errors.explain(lost.cause, doing=doing, record_id=record_id, lost=True)

    def _patiently(
        self,
        attempt: Callable[[], _Result],
        doing: str,
        record_id: str | None,
        *,
        patience: float | None = None,
    ) -> _Result:
        """Do something; again, while the database undoes it because others are in the way."""
        for _ in tries(self._target.timeout if patience is None else patience):
            try:
                return attempt()
            except PoolTimeout:
                raise StoreUnavailable(
                    "All connections of this process to "
                    f"{self._target.database()} were in use for {self._target.timeout:g} seconds",
                    hint="Try again, or raise pool_size",
                ) from None
            except self._connections.errors as exc:
                last = unwrapped(exc)
                if not self._errors.is_busy(last):
                    break
        raise self._errors.explain(last, doing=doing, record_id=record_id) from None
