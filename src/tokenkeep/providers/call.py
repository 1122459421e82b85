"""One call to a provider: whose it is, and which error its answer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.token import Token


class Call:
    """
    Whose call it is, for the errors it may end in.

    Args:
        provider: The provider's name.
        token: The token it is about.
    """

    def __init__(self, provider: str, token: Token) -> None:
        self.provider = provider
        self.token = token

    def needs(self, *fields: str) -> Self:
        """
        Return the call itself, if its token has all these fields.

        Raises:
            ConfigurationError: It has not.
        """
        missing = [name for name in fields if not getattr(self.token, name)]
        if missing:
            raise ConfigurationError(
                f"A call to {self.provider} needs {' and '.join(missing)}",
                token_id=self.token.id,
                user=self.token.user,
            )
        return self

    def error(
        self, kind: type[RenewalError], what: str, *, hint: str, **facts: object
    ) -> RenewalError:
        """Return the error of a kind, about this token."""
        return kind(
            f"{self.provider} {what}",
            token_id=self.token.id,
            user=self.token.user,
            hint=hint,
            **facts,
        )


def meanings(errors: Mapping[str, type[RenewalError] | str]) -> dict[str, type[RenewalError]]:
    """
    Return what error codes mean, by the code in lower case.

    Args:
        errors: Kinds of errors, or their names, by error code.

    Raises:
        ConfigurationError: Something else is among them.
    """
    kinds = (GrantRejected, ProviderRefused, CoolingDown, ProviderUnavailable)
    named: dict[object, type[RenewalError]] = {kind.__name__: kind for kind in kinds}
    named |= {kind: kind for kind in kinds}
    unknown = [
        str(code)
        for code, kind in errors.items()
        if not (isinstance(code, str) and isinstance(kind, str | type) and kind in named)
    ]
    if unknown:
        raise ConfigurationError(
            f"It is not clear what the error codes {', '.join(unknown)} mean",
            hint=f"Say one of {', '.join(kind.__name__ for kind in kinds)}",
        )
    return {code.lower(): named[kind] for code, kind in errors.items()}
