"""What rows are brought into a store; here, those of another store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenkeep import records
from tokenkeep.errors import StoreError, telling
from tokenkeep.policy import NO_POLICIES
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.errors import TokenKeepError
    from tokenkeep.policy import Policies
    from tokenkeep.providers import Providers
    from tokenkeep.vault import Vault

_ENDED = "deleted, but not yet revoked at the provider: sweep the source before you delete it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One row of a source, or another id of one.

    Args:
        token: What it holds, with the id that it gets if it is new. Without a
            version nobody knows when it was written.
        id: The one that it has there. None if it has none.
        number: Of the row in a file or table. None if a source does not count them.
        to: The row that an id leads to. None if this is a row itself.
        problem: Why it is left out. None if it is not.
        failed: Whether that is a failure.
    """

    token: Token = field(default_factory=Token)
    id: str | None = None
    number: int | None = None
    to: Token | None = None
    problem: str | None = None
    failed: bool = False


class Source(ABC):
    """Tokens, which are only read."""

    def describe(self) -> str:
        """Return where they are, for people: a path or an address, and no password."""
        return f"a {type(self).__name__}"

    @property
    def policies(self) -> Policies:
        """What they are held to there."""
        return NO_POLICIES

    @abstractmethod
    def rows(self, now: float, providers: Providers) -> Iterator[Row]:
        """
        Yield the rows in order, never holding them all; other ids of them come last.

        Raises:
            ConfigurationError: The source is damaged.
            StoreError: It can't be read; before or after the rows, it is not settled.
        """


class StoreSource(Source):
    """
    The rows of a store; those that were deleted, with a reason against it.

    Args:
        store: Which one. Only a login that a crash has left on its way is
            brought to its row, as by any lookup.
    """

    def __init__(self, store: Vault) -> None:
        self.store = store

    def describe(self) -> str:
        """See `Source.describe`."""
        return self.store.describe()

    @property
    def policies(self) -> Policies:
        """See `Source.policies`."""
        return self.store.policies

    def rows(self, now: float, providers: Providers) -> Iterator[Row]:  # noqa: ARG002 - `Source`'s
        """See `Source.rows`; what does not open comes behind the others, as failed."""
        self.settle()
        errors: list[TokenKeepError] = []
        for token in self.store.iter_tokens(on_error=errors.append):
            # Where nobody notes use, it may have been used a moment ago.
            used_at = token.last_used_at if self.store.backend.notes_use else now
            yield Row(token=token.but(last_used_at=used_at), id=token.id)
        for token in self.store.due(records.EVER, errors.append):
            if token.ended:
                yield Row(token=token, id=token.id, problem=_ENDED)
        for token_id, to in self.store.iter_added_ids(errors.append):
            row = None
            with telling(errors.append):
                row = self.store.reread(to)  # it may lead there by way of another id
            if row is not None:
                yield Row(id=token_id, to=row)
        # What is due as well is met twice.
        for error in {each.token_id: each for each in errors}.values():
            lost = Token(user=error.user)
            yield Row(token=lost, id=error.token_id, problem=error.what, failed=True)
        self.settle()

    def settle(self) -> None:
        """
        Bring logins on their way to their rows; refuse answers that wait to be saved.

        With a provider that rotates, the refresh tokens stored there are
        spent. Only this host's answers can be seen.
        """
        if waiting := sum(1 for _ in self.store.journal.entries()):
            raise StoreError(
                f"In {self.store.backend.describe()} answers of the provider wait to be saved "
                f"({waiting}): what is stored there is out of date",
                hint="Save them with: tokenkeep sweep --store …, then run this again",
            )
        self.store.finish_moves(records.EVER)
