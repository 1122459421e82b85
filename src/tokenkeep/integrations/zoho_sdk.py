"""
The official Zoho CRM SDK (zohocrmsdk5_0 to 8_0) on tokenkeep, by changing one line.

    Initializer.initialize(environment=..., token=..., store=SDKStore("sqlite:///tokens.db"))

What the SDK expects of a store, and why each thing here is as it is, is in
docs/zoho-sdk.md.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from tokenkeep.clock import Clock
from tokenkeep.errors import (
    ConfigurationError,
    DriverMissing,
    DuplicateRefreshToken,
    LoginNeeded,
    TokenKeepError,
    TokenNotFound,
    visible,
)
from tokenkeep.events import logger
from tokenkeep.lookup import has_email, is_email, require_sendable
from tokenkeep.saving import is_older, same_thing
from tokenkeep.store import TokenStore, not_found, of_one_process
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tokenkeep.events import Listener
    from tokenkeep.keeper import Keeper
    from tokenkeep.providers.base import Place

try:
    from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
    from zohocrmsdk.src.com.zoho.api.authenticator.store.token_store import (
        TokenStore as SDKTokenStore,
    )
    from zohocrmsdk.src.com.zoho.api.authenticator.token import Token as SDKToken
    from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException
    from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
    from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

    from tokenkeep.integrations.refused import REFUSED, is_refused
except ModuleNotFoundError as _exc:
    raise DriverMissing(
        f"The official Zoho CRM SDK is not installed: no module {_exc.name}",
        hint="Install it: pip install 'tokenkeep[zoho]', or the generation you use",
    ) from _exc

__all__ = ["CODE", "PROVIDER", "REFUSED", "SDK_FLOOR", "NoToken", "SDKStore", "is_refused"]

CODE = "TOKENKEEP"
"""The code of each SDKException raised here; its cause is tokenkeep's own error."""

PROVIDER = "zoho"

SDK_FLOOR = 10.0
"""
The SDK itself asks for a new access token when less than 5 s are left, in
every thread and process. What is valid is shown to it with at least this much
left, in seconds, so that it never does.
"""

_NOTHING = Token()

_FILLED = ("client_id", "client_secret", "grant_token", "api_domain")
"""What is filled into the SDK's token only where it is missing; and the redirect URI."""

_MOST_TOLD = 1000
"""Of how many credentials is told that they were not used."""

_MOST_READ, _MOST_NAMED = 1000, 5
"""How many rows are read to name whom somebody means, in 25 ms, and how many are named."""


class SDKStore:
    """
    Keep the official SDK's tokens: sealed, renewed once, revoked everywhere.

    The access token is renewed while the SDK looks it up, so the SDK always
    finds a fresh one and never asks for one itself but for the first login.

    Args:
        store: A URL as `tokenkeep.open_store` takes it, or any `TokenStore`.
            None means the default store.
        clock: The time. None means the operating system's.
        on_event: Called with each event. None means that events are only logged.

    Raises:
        TypeError: *store* is one of the SDK's own stores, or no store at all.
        ConfigurationError: The URL, a key or the configuration is wrong or missing.
        StoreError: The store can't be opened.
    """

    def __init__(
        self,
        store: str | TokenStore | None = None,
        *,
        clock: Clock | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if isinstance(store, SDKTokenStore):
            raise TypeError(
                f"{type(store).__name__} is a store of the Zoho SDK; SDKStore takes a URL such as "
                "'sqlite:///tokens.db' or a tokenkeep.TokenStore. To move tokens in from the "
                "SDK's file or database: tokenkeep import"
            )
        # Loaded with the first store, so that importing this module costs the
        # SDK's users next to nothing.
        from tokenkeep.config import open_store
        from tokenkeep.integrations.first_login import FirstLogins
        from tokenkeep.keeper import Keeper as _Keeper

        self._clock = clock or Clock()
        opened = store if isinstance(store, TokenStore) else open_store(store, clock=clock)
        self.keeper: Keeper = _Keeper(opened, clock=clock, on_event=on_event)
        self._logins = FirstLogins(self.keeper.store, self._clock)
        # Hashes of the credentials that were told of.
        self._told: set[int] = set()

    def __repr__(self) -> str:
        return f"<SDKStore {self.keeper.store!r}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise of_one_process(self, "SDKStore(URL)")

    def find_token(self, token: Any) -> Any:
        """
        Fill the SDK's token from the store, renewed if need be.

        Args:
            token: An OAuthToken. With an id it is only read and filled, if user
                and client agree: the SDK's own ``revoke(id)`` comes this way.

        Returns:
            The same object. None if nothing is stored and the caller is to
            log in; others that ask with the same credential meanwhile wait.

        Raises:
            SDKException: It can't be made valid, or a user alone is not stored; the cause
                says why.
        """
        if not isinstance(token, OAuthToken):
            return token
        with _sdk_errors:
            # Whatever login this thread was at, it is not any more.
            self._logins.over()
            if token.get_id():
                # Wherever it is valid, but nobody else's.
                asked = ours(token, None)
                found = self.keeper.store.find_token(asked)
            else:
                asked = ours(token, self._asked_place(token))
                found = self._valid(asked)
                if found is not None:
                    self._warn_if_unused(token, found)
            if found is None:
                return None
            token_id = asked.id or str(found.id)
            return fill(token, found, self._shown_expiry(found), token_id)

    def find_token_by_id(self, id: str) -> Any:  # noqa: A002  # the SDK's own name
        """
        Return a new OAuthToken with the token of this id, renewed if need be.

        Args:
            id: As `save_token` has set it, or one that it was saved with.

        Raises:
            SDKException: There is none, or it can't be made valid.
        """
        with _sdk_errors:
            self._logins.over()
            valid = self._renewed(self._existing(id))
            return theirs(valid, self._shown_expiry(valid), id)

    def save_token(self, token: Any) -> None:
        """
        Store the SDK's token, and set its id if it has none.

        Args:
            token: An OAuthToken with its access, refresh or grant token. An id
                of its own goes on leading to it.

        Raises:
            TypeError: It is no OAuthToken.
            SDKException: It could not be stored, or it is revoked and this is
                no new login.
        """
        _expect_token(token)
        with _sdk_errors:
            environment = _environment()
            named = token.get_api_domain() or None
            # By now the SDK has set the environment to the token's own; the
            # api_domain may be one it took over from Zoho's answer.
            url = environment.url if environment else named
            place, own = self._place(url), self._place(named)
            agrees = place and own and place.environment == own.environment
            issuer = environment.accounts_url if environment else None
            end = _seconds(token.get_expires_in())
            given = ours(
                token,
                place,
                expires_at=None if end is None else end + self.keeper.clock_errors.of(issuer),
                redirect_uri=token.get_redirect_url(),
                api_domain=named if agrees else url,
                issuer=issuer,
            )
            try:
                saved = self.keeper.save(given)
            finally:
                self._logins.over()
            if saved.status is not Status.OK:
                raise LoginNeeded(
                    f"This token is {saved.status.value} and what was saved is no new login",
                    token_id=saved.id,
                    user=saved.user,
                    hint="Log in with a new grant or refresh token",
                )
            # An id of its caller's own is kept, as the official stores do.
            if given.id != saved.id and not (given.id and self._zohos(given.id)):
                token.set_id(saved.id)

    def delete_token(self, id: str) -> None:  # noqa: A002  # the SDK's own name
        """
        Delete a token here; Zoho is not asked. Silent if there is none.

        Args:
            id: As `save_token` has set it.

        Raises:
            SDKException: The store can't be written.
        """
        with _sdk_errors:
            if self._zohos(id) is not None:
                self.keeper.delete(id)

    def get_tokens(self) -> list[Any]:
        """
        Return all of Zoho's tokens as OAuthTokens, as they are stored.

        One that does not open is left out, and logged as an error.

        Raises:
            SDKException: The store can't be read.
        """
        with _sdk_errors:
            found = self.keeper.store.get_tokens()
            return [theirs(t, t.expires_at, str(t.id)) for t in found if t.provider == PROVIDER]

    def delete_tokens(self) -> None:
        """
        Delete all of Zoho's tokens here; Zoho is not asked.

        Raises:
            SDKException: The store can't be written; or one does not open, so
                that nobody knows whose it is: the others are deleted.
        """
        with _sdk_errors:
            for token in self.keeper.tokens():
                if token.provider == PROVIDER:
                    self.keeper.delete(str(token.id))

    # What the SDK's stores don't have.

    def revoke(self, id: str) -> bool:  # noqa: A002  # the SDK's own name
        """
        Revoke a token: in all processes at once, and at Zoho.

        Args:
            id: As `save_token` has set it.

        Returns:
            Whether Zoho confirmed it. If not, `Keeper.sweep` goes on trying;
            it is not handed out any more either way.

        Raises:
            SDKException: There is none, or it could not be written.
        """
        with _sdk_errors:
            self._existing(id)
            return not self.keeper.revoke(id).renewal.to_revoke

    def rejected(self, token: Any) -> None:
        """
        Report that the CRM has refused the access token: `is_refused` tells.

        The SDK never does. Renews only if the stored access token is at least
        a minute old: a younger one is not what the CRM refuses, or came in
        meanwhile. Then make the call once more.

        Args:
            token: The OAuthToken the call was made with.

        Raises:
            TypeError: It is no OAuthToken.
            SDKException: It can't be renewed.
        """
        _expect_token(token)
        with _sdk_errors:
            # The SDK's object keeps its first access token for good; each call is made with the
            # one that is stored then.
            stored = self._existing(str(token.get_id()))
            issuer = self._issuer(stored)
            self.keeper.rejected(str(stored.id), str(stored.access_token), issuer=issuer)

    def as_user(self, token_id: str) -> AbstractContextManager[Callable[[Callable[[], Any]], Any]]:
        """
        Let the SDK work as one user in this thread: switch, call, one retry, clear.

            with store.as_user(token_id) as call:
                leads = call(lambda: RecordOperations("Leads").get_records(parameters, headers))

        The environment is the token's: API, accounts and upload hosts. An
        access token that the CRM refuses is reported (`rejected`), and the
        work done once more. If nobody has called `Initializer.initialize`, the
        SDK is started with nobody logged in, with limits for its waits and a
        folder of this process's own for its files; after a fork with another.

        Args:
            token_id: As `save_token` has set it, or one that it was saved with.

        Returns:
            A context manager for *call*: it takes work that calls the SDK in
            this thread, and returns what that returns.

        Raises:
            TokenKeepError: There is no valid token for it; on entering and by
                *call*, as it is and not as an SDKException's cause.
            ConfigurationError: The SDK was initialized with another store; or
                the token does not say where its API is.
        """
        from tokenkeep.integrations.as_user import switched_to

        stored = self._existing(token_id)
        return switched_to(stored, token_id, store=self, nobody=NoToken())

    def close(self) -> None:
        """Let go of the store's connections and files."""
        self.keeper.close()

    def _valid(self, asked: Token) -> Token | None:
        """Return a valid token. None if the caller is to log in."""
        stored = self.keeper.store.find_token(asked)
        if stored is None and asked.data_center:
            # Rather where the SDK is told to work, else where it is.
            stored = self.keeper.store.find_token(asked.but(data_center=None))
        if stored is not None:
            try:
                return self._renewed(stored, asked)
            except LoginNeeded:
                if not _brings_another_login(asked, stored):
                    raise
        saved = self._first_login(asked)
        return None if saved is None else self._renewed(saved)

    def _renewed(self, stored: Token, asked: Token = _NOTHING) -> Token:
        issuer = self._issuer(stored)
        if issuer is None and stored.status is Status.OK and _environment() is None:
            return stored  # nobody can say yet where it is renewed: it is filled as it is
        return self.keeper.valid(stored, client_secret=asked.client_secret, issuer=issuer)

    def _issuer(self, token: Token) -> str | None:
        """Return where a token is renewed: as it says, else where the SDK works."""
        environment = _environment()
        if token.issuer or environment is None:
            return token.issuer
        here = self._place(environment.url)
        # One of another data centre would be sent to the wrong one.
        is_here = here is None or token.data_center in (None, here.data_center)
        return str(environment.accounts_url) if is_here else None

    def _zohos(self, token_id: str) -> Token | None:
        """Return the token with an id. None if there is none, or it is another provider's."""
        stored = self.keeper.store.find_token_by_id(token_id)
        return stored if stored is not None and stored.provider == PROVIDER else None

    def _existing(self, token_id: str) -> Token:
        stored = self._zohos(token_id)
        if stored is None:
            raise not_found(self.keeper.store, token_id=token_id)
        return stored

    def _warn_if_unused(self, token: Any, valid: Token) -> None:
        """Tell once that a new credential was not used, because the user's login works."""
        for what, new, own in (
            ("grant", token.get_grant_token(), valid.grant_token),
            ("refresh", token.get_refresh_token(), valid.refresh_token),
        ):
            is_news = new and new != own and not is_older(valid, new)
            if is_news and hash(new) not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(hash(new))
                logger.warning(
                    "A %s token was given for user %s, whose stored login %s works: it was not "
                    "used. To log in with it, for other scopes say, delete or revoke the stored "
                    "one first: tokenkeep logout %s",
                    what,
                    visible(str(valid.user)),
                    visible(str(valid.id)),
                    visible(str(valid.id)),
                )

    def _first_login(self, asked: Token) -> Token | None:
        from tokenkeep.providers.address import is_sendable

        environment = _environment()
        if environment is not None and not is_sendable(environment.accounts_url):
            raise ConfigurationError(
                "The environment's accounts URL is plain http: secrets would be sent in clear",
                hint="Use https; plain http is for 127.0.0.1 only",
            )
        require_sendable(asked)
        self._refuse_second_row(asked)
        if asked.user and not (asked.grant_token or asked.refresh_token or asked.access_token):
            raise TokenNotFound(
                f"Nobody is stored under this name in {asked.environment or 'any environment'} "
                f"of {asked.data_center or 'any data centre'}",
                user=asked.user,
                hint=f"{self._stored_as(asked.user)}Give the name, environment and client that "
                "`tokenkeep list` shows, or the id; or log in with a grant or refresh token",
            )
        return self._logins.elect(asked)

    def _stored_as(self, user: str) -> str:
        """Say under which names an e-mail address is stored, as far as a short look tells."""
        if not is_email(user):
            return ""
        with suppress(TokenKeepError):  # what does not open is said where it is asked for
            first = islice(self.keeper.tokens(), _MOST_READ)
            zohos = {str(t.user) for t in first if t.provider == PROVIDER}
            if names := sorted(name for name in zohos if has_email(name, user)):
                return f"Stored is {' and '.join(names[:_MOST_NAMED])}. "
        return ""

    def _refuse_second_row(self, asked: Token) -> None:
        """Refuse a login whose save would be refused: from 6_0 on the SDK keeps that to itself."""
        if not (asked.refresh_token and asked.client_id):
            return
        anywhere = asked.but(
            user=None, access_token=None, grant_token=None, data_center=None, environment=None
        )
        row = self.keeper.store.find_token(anywhere)
        if row is not None and not same_thing(row, asked):
            raise DuplicateRefreshToken(
                "This refresh token is stored already, for another user or environment",
                token_id=row.id,
                user=row.user,
                hint="Start with the user signature and environment of that token, which "
                f"`tokenkeep list` shows, or delete it first: tokenkeep delete {row.id}",
            )

    def _place(self, url: str | None) -> Place | None:
        return self.keeper.providers.named(PROVIDER).place(url)

    def _asked_place(self, token: Any) -> Place | None:
        """Return where a token is asked for: its own API domain if known, as the SDK has it."""
        own = self._place(token.get_api_domain())
        if own is not None and own.environment != own.data_center:
            return own
        environment = _environment()
        return self._place(environment.url) if environment else own

    def _shown_expiry(self, token: Token) -> float | None:
        if token.expires_at is None or token.status is not Status.OK:
            return token.expires_at
        # The SDK compares with this host's clock, be it right or wrong.
        here = self.keeper.clock_errors.local(token).expires_at or 0.0
        return max(here, self._clock.now() + SDK_FLOOR)


class NoToken:
    """
    Initialise the SDK with nobody logged in.

    The SDK can't be initialised without a token, and falls back to that token
    wherever no user was switched to. A server for many users starts with this
    one: what falls back to it is refused, instead of made for somebody else.

        Initializer.initialize(environment=..., token=NoToken(), store=SDKStore())
    """

    def __repr__(self) -> str:
        return "<NoToken>"

    def authenticate(self, url_connection: Any) -> None:  # noqa: ARG002 - the SDK's own name
        """Refuse a call, always: `SDKException`."""
        with _sdk_errors:
            raise TokenNotFound(
                "The SDK was called for nobody",
                hint="Switch to a user in the thread that makes the call: Initializer.switch_user",
            )

    def generate_token(self) -> None:
        """Make no token: there is nobody to make one for."""

    def remove(self) -> bool:
        """Remove nothing; False, as there was nothing."""
        return False


# The SDK asks isinstance of its own classes. Those have no type information:
# subclasses would have none for their users either.
SDKTokenStore.register(SDKStore)
SDKToken.register(NoToken)


def _expect_token(given: object) -> None:
    if not isinstance(given, OAuthToken):
        raise TypeError(f"The SDK's OAuthToken belongs here, not a {type(given).__name__}")


def ours(token: Any, place: Place | None, **known: object) -> Token:
    """Return the SDK's token as a partial one of ours, for *place*, with what is known."""
    signature = token.get_user_signature()
    # A copy of an empty one is made in a third of the time of a new one.
    return _NOTHING.but(
        provider=PROVIDER,
        id=token.get_id() or None,
        user=(signature.get_name() or None) if signature else None,
        client_id=token.get_client_id() or None,
        client_secret=token.get_client_secret() or None,
        access_token=token.get_access_token() or None,
        refresh_token=token.get_refresh_token() or None,
        grant_token=token.get_grant_token() or None,
        data_center=place.data_center if place else None,
        environment=place.environment if place else None,
        **known,
    )


def theirs(token: Token, expires_at: float | None, token_id: str) -> Any:
    """Make an OAuthToken with the end, and the id, that its caller is to see."""
    # By its constructor: only that gives it all the SDK will touch. At once, and not by `fill`:
    # the SDK asks for one before each of its calls.
    sdk_token = OAuthToken(
        client_id=token.client_id,
        client_secret=token.client_secret,
        grant_token=token.grant_token,
        refresh_token=token.refresh_token,
        redirect_url=token.redirect_uri,
        id=token_id,
        access_token=token.access_token,
        user_signature=None if token.user is None else UserSignature(token.user),
        api_domain=token.api_domain,
    )
    sdk_token.set_expires_in(_milliseconds(expires_at))
    return sdk_token


def fill(token: Any, stored: Token, expires_at: float | None, token_id: str) -> Any:
    """Fill the SDK's token in place, as `theirs`: what we know better, and what is missing."""
    token.set_id(token_id)
    token.set_access_token(stored.access_token)
    token.set_expires_in(_milliseconds(expires_at))
    if stored.refresh_token is not None:
        token.set_refresh_token(stored.refresh_token)
    if token.get_user_signature() is None and stored.user is not None:
        token.set_user_signature(UserSignature(stored.user))
    # By name, so that no secret is in a local variable a traceback may show.
    for name in _FILLED:
        if getattr(token, f"get_{name}")() is None:
            getattr(token, f"set_{name}")(getattr(stored, name))
    if token.get_redirect_url() is None:
        token.set_redirect_url(stored.redirect_uri)
    return token


def _seconds(expires_in: object) -> float | None:
    """Return the SDK's ``expires_in`` in epoch seconds. None for what is no number."""
    try:
        return int(str(expires_in)) / 1000
    except (ValueError, OverflowError):
        return None


def _milliseconds(expires_at: float | None) -> str | None:
    return None if expires_at is None else str(int(expires_at * 1000))


def _brings_another_login(asked: Token, stored: Token) -> bool:
    """Tell whether a caller has a credential that the dead row found by its user has not."""
    if not asked.user:
        return False
    if asked.refresh_token and is_older(stored, asked.refresh_token):
        return False
    return (asked.grant_token or stored.grant_token) != stored.grant_token or (
        asked.refresh_token or stored.refresh_token
    ) != stored.refresh_token


def _environment() -> Any:
    """Return the environment the SDK works in now. None before it is initialised."""
    initializer = Initializer.get_initializer()
    return None if initializer is None else initializer.environment


class _SDKErrors:
    """Raise our errors as the SDK's, with ours as the cause."""

    # A class: what contextlib makes of a generator costs a tenth of a lookup.

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, TokenKeepError):
            failure = SDKException(code=CODE, message=str(error))
            # Given to the constructor, it would write its text a second time.
            failure.cause = error
            raise failure from error


_sdk_errors = _SDKErrors()
