"""What a MySQL server that has not proven who it is may ask for: not the password in clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymysql import _auth, err
from pymysql.connections import Connection
from pymysql.constants import CR

if TYPE_CHECKING:
    from typing import NoReturn

_SHA256 = "sha256_password"


def _refuse(*_: Any) -> NoReturn:
    raise err.OperationalError(CR.CR_AUTH_PLUGIN_ERR, "It asks for the password itself")


class _Nothing:
    """A way of logging in by which the server would learn the password."""

    authenticate = _refuse

    def __init__(self, connection: Any) -> None:
        self._connection = connection


class _WithinTLS(_Nothing):
    """
    MySQL's default, by which the server learns the password now and then.

    As with MySQL's own programs: within TLS, even if that does not verify the
    server; without TLS only by a public key that is known beforehand, not by
    one that whoever answers has sent. Always or never, lest it works until
    the server has forgotten who was there.
    """

    def authenticate(self, packet: Any) -> Any:
        link = self._connection
        if link.password and not link._secure and not link.server_public_key:  # noqa: SLF001 - nothing public says so
            _refuse()
        return _auth.caching_sha2_password_auth(link, packet)


class Discreet(Connection):
    """A connection to a server that neither TLS nor a Unix socket vouches for, as PyMySQL's."""

    _auth_plugin_name: str

    def __init__(self, *args: Any, **options: Any) -> None:
        names = ("mysql_clear_password", "mysql_old_password", "dialog", _SHA256)
        ways = {**dict.fromkeys(names, _Nothing), "caching_sha2_password": _WithinTLS}
        super().__init__(*args, **{"auth_plugin_map": ways, **options})

    def _request_authentication(self) -> None:
        if self._auth_plugin_name == _SHA256:
            # Its password would be in the first packet, before any plugin is asked.
            _refuse()
        super()._request_authentication()  # type: ignore[misc]  # its stub lacks it
