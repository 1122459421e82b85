"""One request and its answer, and the means to cut it off."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING

from tokenkeep.providers.connection import connection_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.connection import HTTPConnection

    from tokenkeep.providers.address import Address

MAX_BODY = 1_000_000
"""Longest answer that is read, in bytes."""

GRACE = 1.0
"""How much longer a process that was stopped past the deadline may read, in seconds."""

_PROMPT = 0.02  # a process that runs wakes up no later than this after its deadline, in seconds
_CHUNK = 16_384
_OLDEST_DATE = 946_684_800.0  # the year 2000: a clock before it is not set at all


class TooLong(http.client.HTTPException):
    """The answer is longer than `MAX_BODY`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    What came back, read to its end.

    Args:
        status: The HTTP status, never a redirect.
        body: At most `MAX_BODY` bytes.
        clock_offset: The server's clock minus ours, in seconds, when its
            headers came in. None if it sent no date, or a senseless one.
        retry_after: How long it asks to be left alone, in seconds. None if it
            does not say.
    """

    status: int
    body: bytes = field(repr=False)
    clock_offset: float | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """
    What to send, once.

    Args:
        method: ``POST`` or ``GET``.
        address: Where to.
        headers: Those that are not secret.
        authorization: Value of the ``Authorization`` header. None sends none.
        body: None sends none.
    """

    method: str
    address: Address
    headers: Mapping[str, str]
    authorization: str | None = field(repr=False)
    body: bytes | None = field(repr=False)

    def all_headers(self) -> dict[str, str]:
        """Return the headers with ours added."""
        return {
            "User-Agent": _user_agent(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **self.headers,
            **({"Authorization": self.authorization} if self.authorization else {}),
        }


class Exchange:
    """
    One request under way, and the means to cut it off.

    Args:
        request: What to send.
        timeout: Seconds from now after which nothing is sent any more, and
            nobody waits for what was not read.
        clock: Our time, in epoch seconds.
    """

    def __init__(self, request: Request, timeout: float, clock: Callable[[], float]) -> None:
        self.outcome: Future[Reply] = Future()
        self._request = request
        self._clock = clock
        self._deadline = time.monotonic() + timeout
        self._abandoned = False
        self._connection: HTTPConnection | None = None
        self._socket: object = None
        self._closing = threading.Lock()

    def run(self) -> None:
        """Send and read; the end, whatever it is, goes into *outcome*."""
        try:
            reply = self._exchange()
        except BaseException as exc:  # noqa: BLE001 - raised again in the waiting thread
            self._close()
            self.outcome.set_exception(exc)
        else:
            self._close()
            self.outcome.set_result(reply)

    def wait(self) -> Reply:
        """
        Wait for the end until the deadline.

        A process that was stopped or suspended has missed its deadline when
        it goes on, but the answer may lie in the socket's buffer since long,
        and be the only one: it gets `GRACE` from then on to read it. One that
        runs waits no longer than the deadline, or `GRACE` longer if it was
        held up just then.

        Raises:
            TimeoutError: There is no answer yet.
        """
        end, tolerated = self._deadline, _PROMPT
        while True:
            try:
                return self.outcome.result(end - time.monotonic())
            except TimeoutError:
                if self.outcome.done():
                    return self.outcome.result()
                now = time.monotonic()
                if now - end <= tolerated:
                    raise
                end, tolerated = now + GRACE, GRACE

    def abandon(self) -> None:
        """End the exchange, wherever it is; nothing is sent from now on."""
        self._abandoned = True
        with self._closing:
            sock = self._socket or (self._connection and self._connection.sock)
            # TLS through a TLS proxy wraps the socket instead of being one.
            sock = getattr(sock, "socket", sock)
            if isinstance(sock, socket.socket):
                # SSLSocket.shutdown() would take the TLS state away from
                # under the thread that is reading.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _close(self) -> None:
        # Under a lock: abandon() must not shut a descriptor that was closed
        # and given to somebody else in between.
        with self._closing:
            if self._connection:
                self._connection.close()

    def _exchange(self) -> Reply:
        connection = connection_to(self._request.address, self._remaining())
        self._connection = connection
        # Whoever switched this on for debugging would print the form.
        connection.set_debuglevel(0)
        connection.connect()
        # Kept here: http.client forgets it once the answer says it is the last.
        self._socket = connection.sock
        connection.timeout = self._remaining()
        connection.request(
            self._request.method,
            self._request.address.target,
            body=self._request.body,
            headers=self._request.all_headers(),
        )
        # From here on abandon() is what ends it. A timeout of the socket's own
        # would have run out, too, when a stopped process goes on.
        connection.sock.settimeout(None)
        # urllib3's own getresponse() logs headers it can't parse.
        with http.client.HTTPConnection.getresponse(connection) as response:
            received_at = self._clock()
            return Reply(
                status=response.status,
                body=self._read(response),
                clock_offset=_clock_offset(response.getheader("Date"), received_at),
                retry_after=_retry_after(response.getheader("Retry-After"), received_at),
            )

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        body = bytearray()
        while chunk := response.read1(_CHUNK):
            if self._abandoned:
                raise TimeoutError
            body += chunk
            if len(body) > MAX_BODY:
                raise TooLong
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return bytes(body)

    def _remaining(self) -> float:
        """Return the seconds left; raise TimeoutError if there are none or nobody waits."""
        remaining = self._deadline - time.monotonic()
        if self._abandoned or remaining <= 0:
            raise TimeoutError
        return remaining


@cache
def _user_agent() -> str:
    from importlib.metadata import version

    return f"tokenkeep/{version('tokenkeep')}"


def _clock_offset(date: str | None, now: float) -> float | None:
    moment = _timestamp(date)
    return None if moment is None else moment - now


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds or a date (RFC 9110 section 10.2.3)."""
    if value is not None and value.strip().isdecimal():
        return float(value) if len(value.strip()) < len("1000000000") else None
    moment = _timestamp(value)
    return None if moment is None else max(0.0, moment - now)


def _timestamp(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        moment = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
    return moment if moment >= _OLDEST_DATE else None
