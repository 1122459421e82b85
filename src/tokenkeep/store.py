"""TokenStore: the six methods everybody who keeps tokens has to write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from tokenkeep.errors import TokenNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.token import Token


class TokenStore(ABC):
    """
    Keep tokens; the docstrings are the contract.

    Two promises hold for every store: **tokens are never duplicated** (one
    row per provider, client, user, data centre and environment) and **users
    never mix** (no lookup answers with somebody else's token).

    `tokenkeep.lookup.Lookup` is the one rule for what a partial token means;
    use it instead of writing your own. Subclass
    `tokenkeep.testing.StoreContract` to know that your store is right.

    A store that can compare and write should override `swap` too: then an
    expired token is renewed once among all processes that share the store.
    Without it, once in each process.
    """

    @abstractmethod
    def find_token(self, token: Token) -> Token | None:
        """
        Return the stored token that a partial one means.

        Args:
            token: What is known. Looked up by id; else user (with client_id
                and environment where given); else access token, where client
                id and secret are both absent; else grant token; else refresh
                token with client id. Empty strings count as absent.

        Returns:
            The stored token, with id and version. None if there is none.

        Raises:
            EmptyLookup: *token* holds nothing to look for.
            AmbiguousLookup: Several tokens answer equally well.
            StoreError: The store can't be read.
        """

    @abstractmethod
    def save_token(self, token: Token) -> Token:
        """
        Store a token, or update the one that is stored for the same thing.

        The stored row is the one with the same id, else the same identity,
        else the same refresh, grant or access token. Fields that are None in
        *token* stay as stored. A save that carries the stored refresh token
        never lifts ``revoked`` or ``login_needed``; one with another refresh
        token, or with a grant that is not the stored one, is a new login and
        does. A *token* whose own status is one of these two sets it.
        `tokenkeep.saving` has these rules as pure functions.

        Args:
            token: What to store.

        Returns:
            The token as stored, with id and version.

        Raises:
            EmptyLookup: *token* holds no token at all.
            StoreError: It could not be stored; what was stored is unchanged.
        """

    @abstractmethod
    def delete_token(self, token_id: str) -> None:
        """
        Delete a token. Silent if there is none with this id.

        Args:
            token_id: Which one.
        """

    @abstractmethod
    def get_tokens(self) -> list[Token]:
        """Return all tokens. See `iter_tokens` for many."""

    @abstractmethod
    def delete_tokens(self) -> None:
        """Delete all tokens."""

    @abstractmethod
    def find_token_by_id(self, token_id: str) -> Token | None:
        """
        Return the token with this id. None if there is none.

        Args:
            token_id: As given by `save_token`.
        """

    # What follows is optional.

    def swap(self, token: Token) -> Token:
        """
        Write a token whole, in one atomic step, if nobody wrote in between.

        Args:
            token: As read from this store, with changes; its version must
                still be the stored one.

        Returns:
            The token as stored, with its new version.

        Raises:
            StoreConflict: Another version is stored, or the row is gone.
            StoreUnavailable: The outcome is unknown: read again.
            NotImplementedError: This store can't compare and write.
        """
        raise NotImplementedError

    def reread(self, token_id: str) -> Token | None:
        """
        Return the token with this id as it is stored now, past any cache.

        Args:
            token_id: As given by `save_token`.
        """
        return self.find_token_by_id(token_id)

    def same_login(self, token: Token) -> list[Token]:
        """
        Return the stored tokens that have a token's refresh token, itself among them.

        They share the provider's budget, and are revoked together. A store
        that can't tell returns the token alone.

        Args:
            token: As stored.
        """
        return [token]

    def iter_tokens(self) -> Iterator[Token]:
        """Yield all tokens without holding them all, where the store can."""
        yield from self.get_tokens()

    def close(self) -> None:
        """Let go of connections and files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def existing(store: TokenStore, token_id: str) -> Token:
    """
    Return a row of a store as it is now, whatever its status.

    Args:
        store: Where to look, past any cache.
        token_id: Which one.

    Raises:
        TokenNotFound: There is none.
        StoreError: The store can't be read.
    """
    token = store.reread(token_id)
    if token is None:
        raise TokenNotFound(
            "There is no such token",
            token_id=token_id,
            hint="See those there are with: tokenkeep list",
        )
    return token
