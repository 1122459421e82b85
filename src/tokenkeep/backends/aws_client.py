"""boto3's client for a store: one per process, and every request ends in time."""

from __future__ import annotations

import random
import threading
import time
import weakref
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from os import getpid
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar
from urllib.parse import urlsplit, urlunsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tokenkeep.backends.aws_errors import Outcome, Place, explain, misconfigured, outcome_of
from tokenkeep.backends.exposure import exposure, warn
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.errors import ConfigurationError, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tokenkeep.backends.base import Risk

_Client = TypeVar("_Client")
_Result = TypeVar("_Result")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class Connection(TypedDict, total=False):
    """
    How AWS is reached; the credentials are found as boto3 finds them.

    Args:
        region: Such as ``eu-central-1``. None means boto3's own: the
            environment's, or the profile's.
        endpoint_url: Instead of AWS's own address. None means that one.
        profile: Of the AWS configuration files. None means the default one.
        connect_timeout: Bound of each connecting, in seconds; 3 if not given.
        read_timeout: Bound of each wait for an answer, in seconds; 5 if not given.
        timeout: Bound of a whole call of a store's method, all tries and
            requests together, in seconds; 20 if not given.
        max_attempts: How often one request is tried, at least 1; 5 if not given.
    """

    region: str | None
    endpoint_url: str | None
    profile: str | None
    connect_timeout: float
    read_timeout: float
    timeout: float
    max_attempts: int


class AWSClient(ForkSafe, Generic[_Client]):
    """
    A client of one service, made anew in a child process.

    Args:
        service: As boto3 calls it.
        name: What the store is called in errors; without a password.
        given: How AWS is reached.

    Raises:
        ConfigurationError: There is no region or profile of that name, or the
            endpoint_url is none.
        StoreUnavailable: The credentials could not be asked for.
    """

    def __init__(self, service: str, name: Callable[[str], str], given: Connection) -> None:
        super().__init__()
        timeouts = ("connect_timeout", "read_timeout", "timeout")
        self._given: Connection = {
            "connect_timeout": 3.0,
            "read_timeout": 5.0,
            "timeout": 20.0,
            "max_attempts": 5,
            **given,
        }
        for option in timeouts:
            if not 0 < self._given[option] <= 3600:  # type: ignore[literal-required]  # noqa: PLR2004 - an hour
                raise ConfigurationError(f"{option} is a number of seconds up to 3600")
        if not 1 <= self._given["max_attempts"] <= 100:  # noqa: PLR2004
            raise ConfigurationError("max_attempts is a number from 1 to 100")
        self._service = service
        self._made: tuple[int, _Client] | None = None
        self._finish: Callable[[], object] = lambda: None
        self.place: Place = Place(service, service, "AWS")
        try:
            client: Any = within(self._given["timeout"], self._client)
        except TimeoutError as exc:
            raise self.begin().too_slow() from exc
        endpoint = _without_password(client.meta.endpoint_url)
        self.place = Place(name(endpoint), service, endpoint)
        address = urlsplit(endpoint)
        self.exposure: list[Risk] = exposure(
            [address.hostname or ""],
            verified=address.scheme == "https",
            hint="Write https:// in endpoint_url",
        )
        warn(self.place.name, self.exposure)

    def begin(self, record_id: str | None = None, *, once: bool = False) -> Exchange[_Client]:
        """
        Begin what is to be over within the timeout.

        Args:
            record_id: Which record it is about, for errors. None if none or several.
            once: Whether a request that fails is not tried again.
        """
        attempts = 1 if once else self._given["max_attempts"]
        return Exchange(self, self._given["timeout"], attempts, record_id)

    def explain(self, exc: ClientError, record_id: str | None) -> StoreError:
        """Return our error for one of AWS."""
        return explain(exc, self.place, record_id)

    def close(self) -> None:
        """Close the connections. The next request opens others."""
        with self._lock:
            self._made = None
            finish, self._finish = self._finish, lambda: None
        finish()

    def _client(self) -> _Client:
        """Return this process's client; the parent's has connections that are not ours."""
        made = self._made
        if made is not None and made[0] == getpid():
            return made[1]
        with self._lock:
            if self._made is None or self._made[0] != getpid():
                client = self._make()
                self._finish = weakref.finalize(self, _close, client)
                self._made = getpid(), client
            return self._made[1]

    def _make(self) -> _Client:
        given = self._given
        config = Config(
            connect_timeout=given["connect_timeout"],
            read_timeout=given["read_timeout"],
            # Retries are ours: boto3's would repeat a write whose outcome is not known.
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=50,
            tcp_keepalive=True,
        )
        try:
            own = botocore.session.Session(profile=given.get("profile"))
            own.register_component("data_loader", _descriptions())
            session = boto3.Session(botocore_session=own, region_name=given.get("region"))
            client: Any = session.client(
                self._service,  # type: ignore[call-overload]  # the stubs know services by literal
                endpoint_url=given.get("endpoint_url"),
                config=config,
            )
        except (BotoCoreError, ValueError) as exc:
            error = misconfigured(exc, self._service)
            if error is None:
                error = explain(exc, self.place)  # type: ignore[assignment, arg-type]  # a ValueError is known
        else:
            made: _Client = client
            return made
        raise error  # type: ignore[misc]  # here, where what boto3 says is not its context


@cache
def _descriptions() -> Any:
    """Return what reads AWS's descriptions of its services: a fifth of a second, each time."""
    return botocore.session.Session().get_component("data_loader")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _close(client: Any) -> None:
    with suppress(BotoCoreError, OSError):
        client.close()


class Exchange(Generic[_Client]):
    """
    The requests of one call to a store, and the time they have left together.

    Args:
        aws: Who asks.
        timeout: For all requests, in seconds.
        attempts: For each request.
        record_id: For errors. None if no record is meant.
    """

    def __init__(
        self, aws: AWSClient[_Client], timeout: float, attempts: int, record_id: str | None
    ) -> None:
        self._aws = aws
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._attempts = attempts
        self.record_id = record_id

    def ask(self, work: Callable[[_Client], _Result], *expected: str) -> _Result:
        """
        Do what may be done twice: reading, and writing that AWS knows again by its token.

        Args:
            work: Makes the one request.
            expected: AWS's names of errors that are an answer, and raised as they are.

        Raises:
            ClientError: One of *expected*.
            StoreUnavailable: There was no other answer in time.
        """
        return self._repeated(work, expected, {Outcome.NOT_NOW, Outcome.UNKNOWN})

    def send(self, work: Callable[[_Client], _Result], *expected: str) -> _Result:
        """
        Do what must not be done twice: it is repeated only where it was surely not done.

        Args:
            work: As for `ask`.
            expected: As for `ask`.

        Raises:
            ClientError: One of *expected*.
            StoreUnavailable: There was no other answer, and it may have been done.
        """
        return self._repeated(work, expected, {Outcome.NOT_NOW})

    def tries(self) -> Iterator[None]:
        """Yield once, and again after ever longer sleeps, until the time is over."""
        pause = _FIRST_PAUSE
        while True:
            yield
            if self.left() <= pause:
                return
            # Not all at the same moment, lest they are in each other's way again.
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            pause = min(2 * pause, _LONGEST_PAUSE)

    def left(self) -> float:
        """Return how much time is left, in seconds."""
        return self._deadline - time.monotonic()

    def too_slow(self) -> StoreUnavailable:
        """Return the error for a call that takes too long."""
        place = self._aws.place
        return StoreUnavailable(
            f"{place.name}: {place.endpoint} did not answer within {self._timeout:g} s",
            token_id=self.record_id,
            hint="Try again; is the network slow?",
        )

    def _repeated(
        self,
        work: Callable[[_Client], _Result],
        expected: tuple[str, ...],
        repeatable: set[Outcome],
    ) -> _Result:
        for attempt, _ in enumerate(self.tries(), 1):
            if self.left() <= 0:
                raise self.too_slow()
            try:
                return within(self.left(), lambda: work(self._aws._client()))  # noqa: SLF001 - one idea, two classes
            except TimeoutError as exc:
                raise self.too_slow() from exc
            except (BotoCoreError, ClientError) as exc:
                if isinstance(exc, ClientError) and exc.response["Error"]["Code"] in expected:
                    raise
                # Their words are kept nowhere, not even in this frame: they may quote what
                # was sent, or the address with its password.
                error = explain(exc, self._aws.place, self.record_id)
                if attempt >= self._attempts or outcome_of(exc) not in repeatable:
                    break
        raise error


_AT_ONCE = 16
"""How many requests `at_once` makes at the same time; a client has more connections."""


def at_once(works: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """
    Do several things at the same time, each of which ends in time.

    Returns:
        What each of them returns.

    Raises:
        Exception: As one of them. What the others are at goes on, and nobody hears of it.
    """
    if len(works) == 1:
        return [works[0]()]
    results: list[_Result] = []
    for start in range(0, len(works), _AT_ONCE):
        begun = [_begin(each) for each in works[start : start + _AT_ONCE]]
        results += [result(None) for result in begun]
    return results


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """
    Do something in a thread of its own, and wait for it only so long.

    boto3's timeouts bound each step; finding an address or credentials, and an
    answer that drips, have no bound there.

    Raises:
        TimeoutError: It takes longer. It goes on, and nobody hears of it.
    """
    return _begin(work)(seconds)


def _begin(work: Callable[[], _Result]) -> Callable[[float | None], _Result]:
    """Begin something in a thread of its own, and return what waits for it, some seconds."""
    results: list[_Result] = []
    errors: list[BaseException] = []
    done = threading.Event()
    context = copy_context()

    def run() -> None:
        try:
            results.append(context.run(work))
        except BaseException as exc:  # noqa: BLE001 - raised again by who waits
            errors.append(exc)
        finally:
            done.set()

    def result(seconds: float | None) -> _Result:
        if not done.wait(seconds):
            raise TimeoutError
        if errors:
            raise errors[0]
        return results[0]

    threading.Thread(target=run, name="tokenkeep-aws", daemon=True).start()
    return result
