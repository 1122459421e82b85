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
    """

    __slots__ = ("_fields",)

    def __init__(self, **fields: str | None) -> None:
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def __repr__(self) -> str:
        return f"<Form {', '.join(self._fields)}>"

    def is_quoted_in(self, text: str) -> bool:
        """Whether *text* has the value of a secret field in it."""
        return any(self._fields[name] in text for name in _SECRET_FIELDS & self._fields.keys())

    def encode(self) -> bytes:
        """Return the body to send (``application/x-www-form-urlencoded``)."""
        return urlencode(self._fields).encode()


class Basic:
    """
    Client authentication in a header (RFC 6749 section 2.3.1).

    Args:
        client_id: Form-encoded before it is sent, as the RFC wants it.
        client_secret: Likewise.
    """

    __slots__ = ("_value",)

    def __init__(self, client_id: str, client_secret: str) -> None:
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._value = basic(pair)

    def __repr__(self) -> str:
        return "<Basic>"

    def header(self) -> str:
        """Return the value of the ``Authorization`` header."""
        return self._value


def basic(pair: str) -> str:
    """Return the header value for a user name and password joined by a colon (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
