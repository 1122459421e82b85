"""TokenStore: six methods for everybody who keeps tokens. Store: what a keeper asks of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, Self

from tokenkeep.audit import Audit
from tokenkeep.due import due_at
from tokenkeep.errors import ConfigurationError, TokenNotFound, letting_go
from tokenkeep.metrics import Census
from tokenkeep.policy import NO_POLICIES
from tokenkeep.providers.base import Profile
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokenkeep.errors import OnError
    from tokenkeep.journal import Journal
    from tokenkeep.policy import End, Policies
    from tokenkeep.providers import Providers
    from tokenkeep.sinks import Notices
    from tokenkeep.token import Claim, Token


class Opened:
    """What has connections, locks and keys: it stays in its process, and is closed."""

    opened_by = "tokenkeep.open_store(URL)"
    """The code that makes another one, for people."""

    def close(self) -> None:
        """Let go of connections and files."""

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied; a store of your own that can be overrides this."""
        raise of_one_process(self, self.opened_by)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What went wrong inside is what is said, not that letting go did as well.
        with nullcontext() if kind is None else letting_go():
            self.close()


class TokenStore(Opened, ABC):
    """
    Keep tokens; the docstrings are the contract.

    Two promises hold for every store: **tokens are never duplicated** (one
    row per provider, client, user, data centre and environment) and **users
    never mix** (no lookup answers with somebody else's token).

    What a partial token means, and what a save changes, `tokenkeep.lookup` and
    `tokenkeep.saving` know. Subclass `tokenkeep.testing.StoreContract` to know that
    your store is right. One that can compare and write should override `swap` too: then
    a token is renewed once among all processes that share the store, not once in each.
    """

    @abstractmethod
    def find_token(self, token: Token) -> Token | None:
        """
        Return the stored token that a partial one means.

        Args:
            token: What is known. Looked up by id; else user; else access
                token, where client id and secret are both absent; else grant
                token; else refresh token with client id. User, provider,
                client, environment and data centre have to match where they
                are given. Empty strings count as absent.

        Returns:
            The stored token, with id and version. None if there is none.

        Raises:
            EmptyLookup: *token* holds nothing to look for.
            AmbiguousLookup: Several tokens answer.
            StoreError: The store can't be read.
        """

    @abstractmethod
    def save_token(self, token: Token) -> Token:
        """
        Store a token, or update the one that is stored for the same thing.

        The stored row is the one with the same id, else for the same user,
        client and place, else with the same refresh, grant or access token.
        Fields that are None in *token* stay as stored. `tokenkeep.saving` has
        these rules as pure functions:

        - A refresh token that was never in the row, or a grant that is not
          the stored one, is a login: it lifts ``revoked`` and
          ``login_needed``, and what it replaces is not forgotten.
        - A *token* with a version has to have the stored one to change tokens
          or status.
        - A refresh token that the row had before is refused.
        - A refresh token is in one row: a save that would put it into a
          second one is refused.

        A *token* whose own status is ``revoked`` or ``login_needed`` sets it.

        Returns:
            The token as stored, with id and version.

        Raises:
            EmptyLookup: *token* holds no token at all, and is not of a
                provider that gives tokens to the client alone. A store that
                knows no providers takes it if it says user and client.
            TokenRevoked: It holds none, and its row is revoked.
            LookupFailed: A field is not text, or a secret has blanks around it.
            StoreConflict: It was changed or deleted since it was read, or its
                id is another token's.
            StaleToken: Its row had this refresh token before.
            DuplicateRefreshToken: Another row has this refresh token.
            StoreError: It could not be stored; what was stored is unchanged.
        """

    @abstractmethod
    def delete_token(self, token_id: str) -> None:
        """Delete a token. Silent if there is none with this id."""

    @abstractmethod
    def get_tokens(self) -> list[Token]:
        """Return all tokens that can be read. See `iter_tokens` for many."""

    @abstractmethod
    def delete_tokens(self) -> None:
        """Delete all tokens."""

    @abstractmethod
    def find_token_by_id(self, token_id: str) -> Token | None:
        """Return the token with this id. None if there is none."""

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
        """Return the token with this id as it is stored now, past any cache."""
        return self.find_token_by_id(token_id)

    def iter_tokens(self) -> Iterator[Token]:
        """Yield all tokens without holding them all, where the store can."""
        yield from self.get_tokens()


class Store(TokenStore):
    """
    What a keeper asks of a store: the six methods, compare and write, and some more.

    `tokenkeep.vault.Vault` is one; any other `TokenStore` becomes one by
    `tokenkeep.local_swap.LocalSwap`. Where *on_error* is taken, it is called for a record
    that does not open, instead of raising.
    """

    providers: Providers | None = None
    """Whom its tokens are of. None means those that come with tokenkeep."""

    audit: Audit = Audit()
    """Where it is told who did what to tokens. It is nowhere in a store without keys."""

    journal: Journal | None = None
    """Where answers are kept until they are saved. None means in memory."""

    notices: Notices | None = None
    """Whom to tell of deaths and outages. None means nobody."""

    @property
    def policies(self) -> Policies:
        """What holds for its tokens; as others have set it at most a minute ago."""
        return NO_POLICIES

    def set_policies(self, policies: Policies) -> None:
        """
        Let these policies hold from now on, and no others.

        Each process that has the store open takes them up within a minute. What others have
        ended stays so.

        Raises:
            ConfigurationError: The store does not note what one of them needs.
            StoreError: It could not be written.
        """
        if policies:
            raise ConfigurationError(f"{self.describe()} keeps no policies")

    @property
    def is_applied(self) -> bool:
        """Whether it is known of each token when it is due by the policies: `apply_policies`."""
        return True

    def beyond(self, row: Token, policies: Policies) -> End | None:
        """Return since when its user has more logins than may be, if a row is one too many."""
        del row, policies
        return None

    def describe(self) -> str:
        """Return where the tokens are, for errors: a path or an address, and no password."""
        return f"a {type(self).__name__}"

    def delete_token(self, token_id: str) -> None:
        """See `TokenStore.delete_token`."""
        self.delete_version(token_id, None)

    @abstractmethod
    def iter_tokens(
        self,
        *,
        user: str | None = None,
        client_id: str | None = None,
        tenant: str | None = None,
        status: Status | None = None,
        on_error: OnError = None,
    ) -> Iterator[Token]:
        """
        Yield tokens without holding them all; see `tokenkeep.selection` for more conditions.

        What is said of them spares reading others, where the store can look by it. Where it
        can't, others are among what is yielded.

        Args:
            user: Only this user's. None means everybody's.
            client_id: Only this client's, likewise.
            tenant: Only this organisation's, likewise.
            status: Only those in this state, likewise.
            on_error: As for the others. None raises the first such error once all others were
                yielded.
        """

    @abstractmethod
    def delete_version(self, token_id: str, version: str | None) -> None:
        """
        Delete a token if this version is stored; None deletes any. Silent if there is none.

        What the provider has not confirmed to be revoked is kept, out of sight, until
        it has, where there is a place for it: see `Keeper.sweep`.

        Raises:
            StoreConflict: Another version is.
        """

    def make_sole(self, token: Token) -> bool:
        """
        Make sure before a renewal that no other row has a token's refresh token.

        Looks only as long as no renewal has, a minute after the login: as it saves, a
        store has looked. False, or `StoreConflict`: it was written, read it again.
        """
        del token
        return True

    def touch(self, token_id: str, last_used_at: float) -> None:
        """Note when a token was last handed out, in epoch seconds, if there is a place for it."""
        del token_id, last_used_at

    def due(self, now: float, on_error: OnError = None) -> Iterator[Token]:
        """Yield the tokens with something to do by now, in epoch seconds; deleted ones too."""
        del on_error
        for token in self.iter_tokens():
            at = due_at(token, now, self.policies, Profile())
            if at is not None and at <= now:
                yield token

    def some_due(self, now: float, most: int, on_error: OnError = None) -> list[Token]:
        """Return at most so many of the tokens that are `due`: not to everybody the same ones."""
        return list(islice(self.due(now, on_error), most))

    def put_off(self, token: Token, now: float) -> None:
        """Note of a token that was due, and that nothing is to do about by now, when there is."""
        del token, now

    def apply_policies(self, on_error: OnError = None) -> bool:
        """
        Look at all tokens once after policies were set, for when each is due by them.

        Broken off, it begins anew. It is done again, by the next sweep, until every process
        has had the time to take them up.

        Returns:
            Whether there was anything to do.
        """
        del on_error
        return False

    def tidy(self, now: float, on_error: OnError = None) -> int:
        """Finish what crashes have left over by now, and return how many records were dropped."""
        del now, on_error
        return 0

    def census(self, now: float, on_error: OnError = None) -> Census:
        """Count what there is, and what is due by now, in epoch seconds; memory stays flat."""
        tokens = Counter(dict.fromkeys(map(str, Status), 0))
        tokens.update(token.status for token in self.iter_tokens())
        pending = [len(token.renewal.to_revoke) for token in self.due(now, on_error)]
        return Census(tokens=dict(tokens), due=len(pending), revocations=sum(pending))

    def beat(self, now: float) -> float | None:
        """
        Prove that the store opens, and that this process may write there; make nothing.

        A store that has no place of its own for it is not asked.

        Args:
            now: This host's time, in epoch seconds, which is noted.

        Returns:
            What was noted before, by whatever host. None if nothing was.

        Raises:
            StoreError: It is not there, or can't be written.
            ConfigurationError: Its key is not at hand.
        """
        del now
        return None

    @abstractmethod
    def hold(
        self, name: str, claim: Claim, login: Mapping[str, str] | None = None
    ) -> tuple[str, Claim]:
        """
        Note that a login is under way, unless it is already; a sweep may drop it once it is over.

        Args:
            name: What it is known by: a digest of what is secret, since frames show it.
            claim: Who logs in, since when, and how long that is believed.
            login: What it takes to accept the answer to a browser's login; may be secret. None
                for the first login with a credential (`tokenkeep.lookup.first_login_of`).

        Returns:
            A version, to `let_go` of it by, and whose it is.
        """

    @abstractmethod
    def let_go(self, name: str, version: str | None = None) -> Mapping[str, str] | None:
        """
        Say that a login is not under way any more. Silent if it was not.

        Args:
            name: As for `hold`.
            version: Of which one. None means any.

        Returns:
            What was held to accept an answer, to one of those who ask. None if there is nothing.

        Raises:
            StoreConflict: It is another one by now.
        """

    @abstractmethod
    def note(self, name: str) -> tuple[str, Mapping[str, str]] | None:
        """Return the version and the facts that are noted under a name. None if nothing is."""

    @abstractmethod
    def put_note(
        self,
        name: str,
        facts: Mapping[str, str],
        *,
        replaces: str | None,
        until: float | None = None,
    ) -> str:
        """
        Note something for all processes, by compare and write.

        Args:
            name: What it is known by: without a secret, since frames show it.
            facts: What to note; may be secret.
            replaces: The version that must be noted now. None if nothing must be.
            until: When a sweep may drop it, in epoch seconds. None means never.

        Returns:
            Its version.

        Raises:
            StoreConflict: Another version is noted, or none is any more.
        """

    @abstractmethod
    def drop_note(self, name: str, version: str) -> bool:
        """Drop this version of a note; tell whether it was this caller who did."""


def of_one_process(thing: object, opened: str) -> TypeError:
    """Return the error for pickling or copying a thing; *opened* is code that makes another."""
    return TypeError(
        f"A {type(thing).__name__} is not pickled, nor copied: its keys, connections and locks "
        "stay in this process. Open another one in each worker, as its pool's initializer does: "
        f"{opened}. See Workers in docs/stores.md"
    )


def existing(store: Store, token_id: str) -> Token:
    """Return a row of a store as it is now, whatever its status, past any cache; or raise."""
    token = store.reread(token_id)
    if token is None:
        raise not_found(store, token_id=token_id)
    return token


def not_found(
    store: Store, *, token_id: str | None = None, user: str | None = None
) -> TokenNotFound:
    """Return the error to raise for a token that is not in a store; it says in which."""
    return TokenNotFound(
        f"There is no such token in {store.describe()}",
        token_id=token_id,
        user=user,
        hint="It was deleted, or never there; see those there are with: tokenkeep list",
    )
