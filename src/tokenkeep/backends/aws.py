"""What both stores at AWS share: boto3's client, a bound for each call, errors, the URL."""

from __future__ import annotations

import json
import os
import random
import re
import time
from base64 import b64decode, b64encode
from contextlib import suppress
from functools import cache, partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypedDict, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tokenkeep.backends.base import HEADER, Backend
from tokenkeep.backends.exposure import exposure, warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import COLUMNS, from_row
from tokenkeep.backends.urls import StoreURL, refuse_blank
from tokenkeep.backends.waiting import begin
from tokenkeep.errors import (
    ConfigurationError,
    StoreConflict,
    StoreError,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
    TokenKeepError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

    from tokenkeep.backends.base import Record, Risk

_Store = TypeVar("_Store", bound="AWSBackend")
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_PAGE = 100


class Connection(TypedDict, total=False):
    """
    How AWS is reached; the credentials are found as boto3 finds them.

    Args:
        region: Such as ``eu-central-1``. None means boto3's own: the
            environment's, or the profile's.
        endpoint_url: Instead of AWS's own address. None means that one.
        profile: Of the AWS configuration files. None means the default one.
        timeout: Bound of a whole call of a store's method, all tries and
            requests together, in seconds; 20 if not given. One try connects
            within a quarter of it, and waits as long for the answer.
    """

    region: str | None
    endpoint_url: str | None
    profile: str | None
    timeout: float


class AWSBackend(Backend):
    """
    A store in one service of AWS, with a client of its own in each process.

    Args:
        service: As boto3 and IAM call it.
        name: What the store is, for people; profile and address go into its braces.
        given: How AWS is reached.

    Raises:
        ConfigurationError: There is no region or profile of that name, or an
            option can't be meant.
        StoreUnavailable: The credentials could not be asked for.
    """

    options: ClassVar[Mapping[str, type]]
    """The types of a URL's options, beside those of a `Connection`."""

    def __init__(self, service: str, name: str, given: Connection) -> None:
        self.timeout: float = given.get("timeout", 20.0)
        if not 0 < self.timeout <= 3600:  # noqa: PLR2004 - an hour
            raise ConfigurationError("timeout is a number of seconds, up to 3600")
        self._given = given
        self._clients: dict[tuple[int, bool], Any] = {}
        self.service: str = service
        self.endpoint: str = "AWS"
        self._name = service
        parts = urlsplit(Call(self).run(self.client).meta.endpoint_url)
        self.endpoint = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        of_profile = f" of the profile {profile}" if (profile := given.get("profile")) else ""
        self._name = name.format(f"{of_profile} at {self.endpoint}")
        sure, hint = parts.scheme == "https", "Write https:// in endpoint_url"
        self._exposure = exposure([parts.hostname or ""], verified=sure, hint=hint)
        warn(self._name, self._exposure)

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """
        Open the store a URL names.

        Args:
            url: ``scheme://region/name?options``; without the region it is
                boto3's own. The options are those of the class.

        Raises:
            ConfigurationError: It is not of this form, or an option is wrong.
            StoreError: As for the class.
        """
        parsed = StoreURL.parse(url)
        region, _, name = parsed.rest.removeprefix("//").partition("/")
        if not parsed.rest.startswith("//") or "@" in region or ":" in region:
            raise ConfigurationError(
                f"The {parsed.scheme} URL needs two slashes, a region, and no user or port",
                hint=f"Write {parsed.scheme}://eu-central-1/name. The credentials are found as "
                "boto3 finds them; another address goes into the option endpoint_url",
            )
        for option, value in parsed.query:
            refuse_blank(option, value)
        kinds = {"endpoint_url": str, "profile": str, "timeout": float, **cls.options}
        readers = {n: _choice_of_true_or_false if t is bool else t for n, t in kinds.items()}
        found = parsed.options(readers)
        return cls(unquote(name), **{**found, "region": region or None})

    def client(self, *, once: bool = False) -> Any:
        """
        Return this process's client; the parent's has connections that are not ours.

        Args:
            once: Whether it sends each request but once.
        """
        if (mine := (os.getpid(), once)) in self._clients:
            return self._clients[mine]
        own = botocore.session.Session(profile=self._given.get("profile"))
        own.register_component("data_loader", _descriptions())
        session: Any = boto3.Session(botocore_session=own, region_name=self._given.get("region"))
        config = Config(
            connect_timeout=self.timeout / 4,
            read_timeout=self.timeout / 4,
            retries={"mode": "standard", **({"total_max_attempts": 1} if once else {})},
            max_pool_connections=256,
            tcp_keepalive=True,
        )
        endpoint = self._given.get("endpoint_url")
        try:
            made = session.client(self.service, endpoint_url=endpoint, config=config)
            return self._clients.setdefault(mine, made)
        except BotoCoreError:
            raise
        except ValueError:  # which quotes it, so its context is not ours
            pass
        hint = "Such as https://dynamodb.eu-central-1.amazonaws.com"
        raise ConfigurationError("The endpoint_url is no URL", hint=hint)

    def clear(self) -> int:
        # The header comes first in the order of ids.
        count, after = 0, HEADER
        while page := self.scan(after, _PAGE):
            count += sum(self.delete(each.id) for each in page)
            after = page[-1].id
        return count

    def describe(self) -> str:
        return self._name

    def risks(self) -> list[Risk] | None:
        return self._exposure or None

    def close(self) -> None:
        clients, self._clients = self._clients, {}
        for (process, _), client in clients.items():
            if process == os.getpid():
                with suppress(BotoCoreError, OSError):
                    client.close()


def _choice_of_true_or_false(value: str) -> bool:
    return bool(("false", "true").index(value))


@cache
def _descriptions() -> Any:
    """Return what reads AWS's descriptions of its services: a fifth of a second, each time."""
    return botocore.session.Session().get_component("data_loader")


def in_time(
    method: Callable[Concatenate[_Store, Call, _Given], _Result],
) -> Callable[Concatenate[_Store, _Given], _Result]:
    """Make a method one `Call`, which it is given first."""

    @wraps(method)
    def called(store: _Store, /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        call = Call(store)
        return call.run(partial(method, store, call, *given, **named))

    return called


_LENGTHS = {"content-length", "transfer-encoding"}
"""What says how long an answer is: cut off before it, boto3 takes it for an empty one."""


class Call:
    """
    A call of a store's method: its requests, and the time they have left together.

    Args:
        store: Who is called.
    """

    record_id: str | None = None
    """For errors. None if no record is meant, or several."""

    def __init__(self, store: AWSBackend) -> None:
        self._store = store
        self._end = time.monotonic() + store.timeout

    def run(self, work: Callable[[], _Result]) -> _Result:
        """
        Do something, and wait for it as long as there is time; its requests end with it.

        Raises:
            StoreUnavailable: It takes longer, or AWS can't be asked.
        """
        return self.all([work])[0]

    def all(self, works: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Do several things at the same time, as `run` does one."""
        try:
            begun = [begin(self._guarded(work)) for work in works]
            return [each.result(max(0.0, self._left())) for each in begun]
        except TimeoutError as exc:
            raise self.too_slow() from exc

    def ask(self, operation: str, *answers: str, once: bool = False, **given: Any) -> Any:
        """
        Make a request.

        Args:
            operation: As a client's method is called.
            answers: AWS's names of refusals that are an answer.
            once: Whether it is not sent again, by no means.
            given: Its parameters.

        Returns:
            What AWS answered. For one of *answers* that is ``refused``, its name,
            the ``reasons`` of a transaction, and our ``error`` for it.

        Raises:
            StoreUnavailable: There was no other answer; a write may have been done.
        """
        if self._left() <= 0:
            raise self.too_slow()
        try:
            answer = getattr(self._store.client(once=once), operation)(**given)
            if not _LENGTHS.isdisjoint(answer["ResponseMetadata"]["HTTPHeaders"]):
                return answer
            raise self.error(f"{self._store.endpoint} did not answer to the end")
        except ClientError as exc:
            code = exc.response["Error"].get("Code", "")
            reasons: Any = exc.response.get("CancellationReasons", ())
            reasons = [each.get("Code") for each in reasons]
            error = self._refused(exc)
        # Not in there: what AWS says would be its context.
        if code not in answers:
            raise error
        return {"refused": code, "reasons": reasons, "error": error}

    def tries(self) -> Iterator[None]:
        """Yield once, and again after ever longer sleeps, until the time is over."""
        pause = 0.1
        while True:
            yield
            if self._left() <= pause:
                return
            # Not all at the same moment, lest they are in each other's way again.
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            pause = min(2 * pause, 2.0)

    def too_slow(self) -> TokenKeepError:
        """Return the error for a call that takes too long."""
        what = f"{self._store.endpoint} did not answer within {self._store.timeout:g} s"
        return self.error(what, "Try again; is the network slow?")

    def conflict(self) -> StoreConflict:
        """Return the error for a condition that was not met."""
        return StoreConflict(
            "Somebody else wrote this record first, or another one is for the same thing",
            token_id=self.record_id,
        )

    def error(
        self, what: str, hint: str = "Try again", kind: type[TokenKeepError] = StoreUnavailable
    ) -> TokenKeepError:
        """Return an error of this store, about the record that is meant."""
        its_header = " (the store's header)" if self.record_id == HEADER else ""
        what = f"{self._store.describe()}: {what}{its_header}"
        return kind(what, token_id=None if its_header else self.record_id, hint=hint)

    def _left(self) -> float:
        return self._end - time.monotonic()

    def _guarded(self, work: Callable[[], _Result]) -> Callable[[], _Result]:
        """Let what boto3 itself raises come out as our error."""

        def run() -> _Result:
            try:
                return work()
            except BotoCoreError as exc:
                names = [each.__name__ for each in type(exc).__mro__]
            kind = StoreUnavailable if _CONFIGURATION.isdisjoint(names) else ConfigurationError
            hint = next(_HINTS[name] for name in names if name in _HINTS)
            raise self.error(f"boto3 can't ask {self._store.endpoint} ({names[0]})", hint, kind)

        return run

    def _refused(self, exc: ClientError) -> TokenKeepError:
        """Return our error for one of AWS, whose words it does not repeat."""
        code = str(exc.response["Error"].get("Code"))
        message = str(exc.response["Error"].get("Message"))
        action = f"{self._store.service}:{exc.operation_name}"
        if _OTHER_KEYS.search(message):
            return self.error(f"AWS refused {action} ({code})", _HINTS["keys"], StoreForeign)
        of_kms = code.startswith("KMS")
        if code in {"403", "AccessDenied", "AccessDeniedException"}:
            missing = _MISSING.search(message)
            of_kms = missing is None and "KMS" in message
            if not of_kms:
                action = missing[1] if missing else action
                hint = f"Allow {action} for these credentials; docs/aws.md has the policy"
                return self.error(f"AWS denied {action} ({code})", hint)
        hint = _HINTS["KMS"] if of_kms else _HINTS.get(code, _HINTS["other"])
        return self.error(f"AWS refused {action} ({code})", hint)


_MISSING = re.compile(r"not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9]+)")
_OTHER_KEYS = re.compile("does not match the schema|Query condition missed key")
_CONFIGURATION = {"NoRegionError", "InvalidRegionError", "ProfileNotFound", "ConfigParseError"}

_HINTS = {
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role",
    "PartialCredentialsError": "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ExpiredTokenException": "Get new credentials where these come from, or log in again",
    "UnrecognizedClientException": "Are these credentials for this account and region?",
    "InvalidSignatureException": "Check the AWS secret key, and this machine's clock",
    "KMS": "Is the KMS key enabled, and are kms:Decrypt and kms:GenerateDataKey allowed?",
    "DecryptionFailure": "Is the KMS key enabled, in this region, and kms:Decrypt allowed?",
    "ResourceNotFoundException": "Is it the right region and account? create=true makes a table",
    "keys": "The table has other keys than the strings pk and sk: name another one",
    "ThrottlingException": "AWS went on throttling: try later, or ask for a higher quota",
    "ProvisionedThroughputExceededException": "Try later, or let the table be paid by request",
    "LimitExceededException": "A secret has about a hundred versions in 24 hours: what is written "
    "more often belongs into DynamoDB or a database",
    "other": "Try again; if it goes on, see this error in AWS's API reference",
    "SSLError": "AWS_CA_BUNDLE names the certificates that are trusted",
    "ConnectionError": "Check the region, endpoint_url, the network and its proxy",
    "HTTPClientError": "Try again; is the network slow?",
    "NoRegionError": "Name a region in the URL, in AWS_DEFAULT_REGION or in the profile",
    "ProfileNotFound": "See the profiles there are with: aws configure list-profiles",
    "BotoCoreError": "Check the region, and AWS's configuration",
}
"""What to do, by AWS's code or boto3's class."""


_FORMAT = 2
_TEXTS = ("version", "owner", "kind")


def text_of(record: Record, place: str, most: int) -> str:
    """
    Return a record as JSON in ASCII, for people to look at.

    Raises:
        StoreError: It takes more than *most* bytes, which is what *place* holds.
    """
    fields = {name: value for name in COLUMNS if (value := getattr(record, name)) is not None}
    fields |= {"tokenkeep": _FORMAT, "sealed": b64encode(record.sealed).decode()}
    text = json.dumps(fields)
    if len(text) > most:
        raise StoreError(
            f"This token takes {len(text)} bytes, and {place} holds {most}",
            token_id=record.id,
            hint="Is something else than a token in one of its fields?",
        )
    return text


def record_of(text: str, record_id: str, place: str) -> Record:
    """
    Return the record in a text of `text_of`.

    Raises:
        StoreForeign: What is in *place* is none of tokenkeep.
        StoreTooNew: A newer tokenkeep wrote it.
        StoreTampered: It is not as tokenkeep writes it, or another record than *record_id*.
    """
    written = 0
    with suppress(ValueError, TypeError, KeyError):
        fields: Any = json.loads(text)
        written = int(fields["tokenkeep"])
        fields["sealed"] = b64decode(fields["sealed"], validate=True)
        is_its = fields["id"] == record_id and {type(fields[each]) for each in _TEXTS} == {str}
        if is_its and written == _FORMAT:
            return from_row(fields.get(name) for name in COLUMNS)
    if written < _FORMAT:
        hint = "Move it, or name another prefix"
        raise StoreForeign(f"{place} was not made by this tokenkeep", hint=hint)
    if written > _FORMAT:
        raise StoreTooNew(f"{place} was written by a newer tokenkeep", hint="Upgrade tokenkeep")
    hint = "It was changed outside tokenkeep; restore what it was, or delete it"
    token_id = None if record_id == HEADER else record_id
    raise StoreTampered(f"{place} does not hold what was written", token_id=token_id, hint=hint)
