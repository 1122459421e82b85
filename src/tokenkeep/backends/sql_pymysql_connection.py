"""Connections of PyMySQL that do not wait for ever: its limits are for the next bytes alone."""

from __future__ import annotations

import io
import ssl
import struct
from typing import TYPE_CHECKING, Any

from pymysql import err
from pymysql.connections import Connection
from pymysql.constants import CR

from tokenkeep.backends.deadline import left
from tokenkeep.backends.sql_pymysql_auth import SHA256, UNPROVEN, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

_PART = 16384
"""How much is sent under one limit, in bytes; TLS sends no more at once."""


class Bounded(Connection):
    """
    Wait no longer than `left` says; PyMySQL's own limits hold beside it.

    Args:
        args: As for PyMySQL.
        own_command: Of the user, to be run behind ``init_command``, which
            takes one statement. None if there is none.
        verified: Whether TLS, if it comes about, verifies the server. If not, the
            server is told nothing that gives the password away.
        options: As for PyMySQL. With ``ssl`` there is TLS, or no connection.
    """

    _sock: Any
    connect_timeout: float
    _read_timeout: float
    _write_timeout: float
    _force_close: Callable[[], None]
    _auth_plugin_name: str
    _file: io.BufferedReader | None = None

    @property
    def _rfile(self) -> io.BufferedReader | None:
        return self._file

    @_rfile.setter
    def _rfile(self, file: io.BufferedReader | None) -> None:
        # PyMySQL makes one for each socket, the plain one and that of TLS.
        self._file = file and io.BufferedReader(_Reader(file, self._limit))

    def __init__(
        self,
        *args: Any,
        own_command: str | None = None,
        verified: bool = False,
        **options: Any,
    ) -> None:
        self._own_command = own_command
        self._is_proven = verified or bool(options.get("unix_socket"))
        if not self._is_proven:
            options["auth_plugin_map"] = {**UNPROVEN, **(options.get("auth_plugin_map") or {})}
        self._asks_for_tls = bool(options.get("ssl"))
        super().__init__(*args, **options)

    def connect(self, sock: Any = None) -> None:
        self.connect_timeout = min(self.connect_timeout, left())
        try:
            super().connect(sock)
        except (struct.error, IndexError, ValueError):
            self._force_close()
            raise err.OperationalError(
                CR.CR_MALFORMED_PACKET, "It does not answer as MySQL does"
            ) from None
        except RuntimeError as exc:  # the login that the server asks for takes a package
            self._force_close()
            raise err.OperationalError(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, str(exc)) from None
        if self._asks_for_tls and not isinstance(self._sock, ssl.SSLSocket):
            # PyMySQL before 1.2 went on in clear with a server that offers no TLS.
            self._force_close()
            raise err.OperationalError(CR.CR_SSL_CONNECTION_ERROR, "There is no TLS")
        if self._own_command is not None:
            with self.cursor() as cursor:
                cursor.execute(self._own_command)

    def _request_authentication(self) -> None:
        if not self._is_proven and self._auth_plugin_name == SHA256:
            # Its password would be in the first packet, before any plugin is asked.
            self._force_close()
            refuse()
        super()._request_authentication()  # type: ignore[misc]  # its stub lacks it

    def _write_bytes(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                self._limit(self._write_timeout)
                self._sock.sendall(rest[:_PART])
                rest = rest[_PART:]
        except OSError as exc:
            self._force_close()
            raise err.OperationalError(
                CR.CR_SERVER_GONE_ERROR, f"MySQL server has gone away ({exc!r})"
            ) from None

    def _limit(self, seconds: float | None = None) -> None:
        own = self._read_timeout if seconds is None else seconds
        self._sock.settimeout(min(own, left()))


class _Reader(io.RawIOBase):
    """What is under a buffer: each look at the socket has its limit."""

    def __init__(self, file: io.BufferedReader, limit: Callable[[], None]) -> None:
        super().__init__()
        self._source = file
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._limit()
        return self._source.raw.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()
