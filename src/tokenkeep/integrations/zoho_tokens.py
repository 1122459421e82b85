"""Our tokens as the official SDK's, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

from tokenkeep.token import Token

if TYPE_CHECKING:
    from tokenkeep.providers.base import Place


_EMPTY = Token()

_FILLED = (
    ("client_id", "client_id"),
    ("client_secret", "client_secret"),
    ("grant_token", "grant_token"),
    ("redirect_url", "redirect_uri"),
    ("api_domain", "api_domain"),
)
"""The SDK's name -> ours, of what is filled in only where it is missing."""


def asked(token: Any, place: Place | None, **known: object) -> Token:
    """
    Return the SDK's token as a partial one of ours.

    Args:
        token: An OAuthToken.
        place: Where it is asked for. None if that is not known.
        known: Our names and values of what else is known of it.
    """
    signature = token.get_user_signature()
    # A copy of an empty one is made in a third of the time of a new one.
    return _EMPTY.but(
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


def made(token: Token, expires_at: float | None, token_id: str) -> Any:
    """
    Make an OAuthToken; only its own constructor gives it all the SDK will touch.

    Args:
        token: A stored token.
        expires_at: What the SDK is told of its end, in epoch seconds. None if not known.
        token_id: What the SDK is told of its id: the one it was asked by,
            which may be its caller's own.
    """
    # At once, and not by `filled`: the SDK asks for one before each of its calls.
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


def filled(token: Any, stored: Token, expires_at: float | None, token_id: str) -> Any:
    """
    Fill the SDK's token in place: what the row knows better, and what is missing.

    Args:
        token: An OAuthToken.
        stored: What is stored for it.
        expires_at: As for `made`.
        token_id: As for `made`.
    """
    token.set_id(token_id)
    token.set_access_token(stored.access_token)
    token.set_expires_in(_milliseconds(expires_at))
    if stored.refresh_token is not None:
        token.set_refresh_token(stored.refresh_token)
    if token.get_user_signature() is None and stored.user is not None:
        token.set_user_signature(UserSignature(stored.user))
    # By name, so that no secret is in a local variable a traceback may show.
    for name, ours in _FILLED:
        if getattr(token, f"get_{name}")() is None:
            getattr(token, f"set_{name}")(getattr(stored, ours))
    return token


def seconds(expires_in: object) -> float | None:
    """
    Return the SDK's ``expires_in`` as epoch seconds.

    Args:
        expires_in: Epoch milliseconds in a str. What is no number gives None.
    """
    try:
        return int(str(expires_in)) / 1000
    except (ValueError, OverflowError):
        return None


def _milliseconds(expires_at: float | None) -> str | None:
    return None if expires_at is None else str(int(expires_at * 1000))
