"""Nobody's token: with it the SDK starts before anybody has logged in."""

from __future__ import annotations

from typing import Any

from zohocrmsdk.src.com.zoho.api.authenticator.token import Token as SDKToken
from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException

from tokenkeep.errors import TokenNotFound

CODE = "TOKENKEEP"
"""The code of each SDKException raised here; its cause is tokenkeep's own error."""


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

    def authenticate(self, url_connection: Any) -> None:
        """
        Refuse a call.

        Args:
            url_connection: The call.

        Raises:
            SDKException: Always.
        """
        del url_connection
        missing = TokenNotFound(
            "The SDK was called for nobody",
            hint="Switch to a user in the thread that makes the call: Initializer.switch_user",
        )
        failure = SDKException(code=CODE, message=str(missing))
        # Given to the constructor, it would write its text a second time.
        failure.cause = missing
        raise failure

    def generate_token(self) -> None:
        """Make no token: there is nobody to make one for."""

    def remove(self) -> bool:
        """Remove nothing; False, as there was nothing."""
        return False


# As with SDKStore: a subclass of what has no type information would have none.
SDKToken.register(NoToken)
