"""What a MySQL server that has not proven who it is may ask for: not the password in clear."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from pymysql import _auth, err
from pymysql.constants import CR

if TYPE_CHECKING:
    from typing import NoReturn

SHA256 = "sha256_password"
"""Sent in clear within TLS, and by a key of the server's own choice without."""


def refuse() -> NoReturn:
    """Raise the error for a server that asks for too much."""
    raise err.OperationalError(CR.CR_AUTH_PLUGIN_ERR, "It asks for the password itself")


class _Nothing:
    """A way of logging in by which the server would learn the password."""

    def __init__(self, connection: Any) -> None:
        pass

    def authenticate(self, _packet: Any) -> NoReturn:
        refuse()


class _WithinTLS:
    """
    MySQL's default, by which the server learns the password now and then.

    As with MySQL's own programs: within TLS, even if that does not verify the
    server; without TLS only by a public key that is known beforehand, not by
    one that whoever answers has sent. Always or never, lest it works until
    the server has forgotten who was there.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, packet: Any) -> Any:
        link = self._connection
        in_tls = isinstance(link._sock, ssl.SSLSocket)  # noqa: SLF001 - nothing public says so
        if link.password and not in_tls and not link.server_public_key:
            refuse()
        return _auth.caching_sha2_password_auth(link, packet)


UNPROVEN: dict[str, type] = {
    "mysql_clear_password": _Nothing,
    "mysql_old_password": _Nothing,
    "dialog": _Nothing,
    SHA256: _Nothing,
    "caching_sha2_password": _WithinTLS,
}
"""
What does the login that a server asks for, by its name; for servers that
neither TLS nor a Unix socket vouches for. Those not named tell a digest.
"""
