"""What is posted, kept from whoever prints it."""

from __future__ import annotations

import base64
from urllib.parse import quote_plus, urlencode

_SECRET_FIELDS = frozenset({"client_secret", "refresh_token", "code", "code_verifier", "token"})


class Form:
    """
    The fields of a form post; its ``repr`` shows their names only.

    Not a dict: what prints local variables (crash reporters, rich) looks
    into dicts.

    Args:
        fields: Those that are None are left out.

    Attributes:
        authorization: Value of the ``Authorization`` header. None sends none.
    """

    __slots__ = ("_fields", "authorization")

    def __init__(self, **fields: str | None) -> None:
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self.authorization: str | None = None

    def __repr__(self) -> str:
        return f"<Form {', '.join(self._fields)}>"

    def authenticate(self, client_id: str, client_secret: str) -> None:
        """Name the client in the header, form-encoded before (RFC 6749 section 2.3.1)."""
        self.authorization = basic(f"{quote_plus(client_id)}:{quote_plus(client_secret)}")

    def is_quoted_in(self, text: str) -> bool:
        """Whether *text* has the value of a secret field in it."""
        return any(self._fields[name] in text for name in _SECRET_FIELDS & self._fields.keys())

    def encode(self) -> bytes:
        """Return the body to send (``application/x-www-form-urlencoded``)."""
        return urlencode(self._fields).encode()


def basic(pair: str) -> str:
    """Return the header value for a user name and password joined by a colon (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
