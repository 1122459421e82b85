"""Which of all stored tokens are meant: those that have everything that is said of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from tokenkeep.errors import LookupFailed, UnknownName
from tokenkeep.lookup import is_text, trimmed
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.errors import OnError
    from tokenkeep.providers import Providers
    from tokenkeep.store import Store

_PLACE = ("data_center", "environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """
    Several conditions on tokens, all of which have to hold; None of any is all tokens.

    Args:
        user: Whose; for Zoho ``email:zgid``. None means everybody's.
        client_id: Of which client. None means of any, and so on.
        tenant: Of which organisation, by the provider's name; for Zoho the zgid.
        provider: Of which provider.
        environment: Of which environment.
        data_center: Of which data centre.
        status: In which state.

    Raises:
        LookupFailed: One is empty, or no text: a variable that is not set must not
            choose among all.
        UnknownName: There is no such state.
    """

    user: str | None = None
    client_id: str | None = None
    tenant: str | None = None
    provider: str | None = None
    environment: str | None = None
    data_center: str | None = None
    status: Status | None = None

    def __post_init__(self) -> None:
        for name, value in self.named.items():
            if not (is_text(value) and trimmed(str(value))):
                hint = "Give its value, or leave it out"
                raise LookupFailed(f"The {name} is empty, or no text", hint=hint)
        if self.status is not None and self.status not in list(Status):
            hint = f"Known are {', '.join(Status)}"
            raise UnknownName(f"There is no state {self.status!r}", hint=hint)

    @property
    def named(self) -> dict[str, object]:
        """The conditions that there are, by their names."""
        all_of_it = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in all_of_it if value is not None}

    def expect_known(self, providers: Providers) -> None:
        """Raise `UnknownName`, with those known, for a provider or place that there is not."""
        if self.provider or any(getattr(self, name) for name in _PLACE):
            place = {name: getattr(self, name) for name in _PLACE}
            providers.expect_known(Token(provider=self.provider, **place))

    def tokens(
        self, store: Store, providers: Providers, on_error: OnError = None
    ) -> Iterator[Token]:
        """
        Yield those of a store, in the order of their ids, without holding them all.

        By user, organisation, client and state a vault reads no others; for the other
        conditions it reads all that these leave.

        Args:
            store: Where they are.
            providers: They know whose organisation a token is of.
            on_error: Called for a row that does not open, instead of raising. None
                raises the first such error once all others were yielded.
        """
        found = store.iter_tokens(
            user=self.user,
            client_id=self.client_id,
            tenant=self.tenant,
            status=self.status,
            on_error=on_error,
        )
        return (token for token in found if self.admits(token, providers))

    def admits(self, token: Token, providers: Providers) -> bool:
        """Tell whether a token has all of it."""
        its = {name: getattr(token, name, None) for name in self.named}
        if "tenant" in its:
            its["tenant"] = providers.tenant(token)
        if "provider" in its:
            its["provider"] = token.provider or providers.default
        return its == self.named
