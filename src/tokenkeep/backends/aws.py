"""What both stores at AWS share: the URL, botocore's client, a bound for each call, errors."""

from __future__ import annotations

import json
import os
import random
import re
import time
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError
from botocore.loaders import create_loader
from botocore.session import Session

from tokenkeep.backends.base import FOUND_BY, HEADER, Backend, Record
from tokenkeep.backends.exposure import exposure, warn
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import from_values, to_values
from tokenkeep.backends.urls import StoreURL
from tokenkeep.backends.waiting import NoThread, begin
from tokenkeep.errors import (
    ConfigurationError,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreUnavailable,
    TokenKeepError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from tokenkeep.backends.base import Mark, Risk

_Result = TypeVar("_Result")

_PAGE, _AT_ONCE = 100, 20
"""How many records are cleared in a row, and read at the same time."""

_FORMAT = 2
_OTHER_KEYS = "does not match the schema|condition missed key"
_CONFIGURATION = re.compile("Region|Profile|Config")
_MISSING = re.compile(r"not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9]+)")
_DESCRIPTIONS = create_loader()
"""What reads AWS's descriptions of its services: a fifth of a second, the first time."""

_HINTS = {
    _OTHER_KEYS: "The table has other keys than the strings pk and sk: name another one",
    "Region": "Name a region in the URL, in AWS_DEFAULT_REGION or in the profile",
    "KMS|cryption": "Is the KMS key enabled, and are kms:Decrypt and kms:GenerateDataKey allowed?",
    "AccessDenied|^403 ": "Allow {action} for these credentials; docs/aws.md has the policy",
    "Credential": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role",
    "Expired|SSO|TokenRet": "Get new credentials where these come from, or log in again",
    "UnrecognizedClient": "Are these credentials for this account and region?",
    "Signature": "Check the AWS secret key, and this machine's clock",
    "ResourceNotFound": "Is it the right region and account? To make a table, see docs/aws.md",
    "Validation": "Can it be the name of a table, or begin a secret's?",
    "Throttl|ProvisionedThroughput": "Try later, or ask AWS for a higher quota",
    "LimitExceeded": "Secrets have about 100 versions a day: DynamoDB takes what is written more",
    "BotoCoreError": "Check the region, the profile, endpoint_url, the network and its proxy",
    "": "Try again; if it goes on, see this error in AWS's API reference",
}
"""What to do about what AWS says, or what botocore's error is called."""


def parsed(url: str, options: Mapping[str, Callable[[str], Any]]) -> tuple[str, dict[str, Any]]:
    """
    Return the name in ``scheme://region/name?options``; and region, ``timeout`` and all options.

    No name means ``tokenkeep``.

    Raises:
        ConfigurationError: It is not of this form, or an option can't be meant.
    """
    address = StoreURL.parse(url)
    region, _, name = address.rest.removeprefix("//").partition("/")
    if not address.rest.startswith("//"):
        raise ConfigurationError(
            f"The {address.scheme} URL needs two slashes and a region",
            hint=f"Write {address.scheme}://eu-central-1/name. The credentials are found as boto3 "
            "finds them; another address goes into the option endpoint_url",
        )
    options = {"endpoint_url": str, "profile": str, "timeout": float, **options}
    given: dict[str, Any] = {"timeout": 10.0, "region": region or None, **address.options(options)}
    if not 0 < given["timeout"] <= 3600:  # noqa: PLR2004 - an hour
        raise ConfigurationError("timeout is a number of seconds, up to 3600")
    return unquote(name) or "tokenkeep", given


class AWSBackend(Backend):
    """
    A store in one service of AWS, with a client of its own in each process.

    Args:
        service: As botocore and IAM call it.
        name: What the store is, for people.
        given: What `parsed` returned.

    Raises:
        ConfigurationError: There is no region or profile of that name.
        StoreUnavailable: The credentials could not be asked for.
    """

    def __init__(self, service: str, name: str, given: Mapping[str, Any]) -> None:
        self.service: str = service
        self.timeout: float = given["timeout"]
        self._given, self._name = given, service
        self._clients: dict[int, Any] = {}
        [client] = self.all([self.client])
        place, hint = urlsplit(client.meta.endpoint_url), "Write https:// in endpoint_url"
        # Whoever named it may have put a user and a password there.
        self._name = f"{name} at {place.scheme}://{place.netloc.rpartition('@')[2]}"
        sure = place.scheme == "https"
        self._exposure = exposure([place.hostname or ""], verified=sure, hint=hint)
        warn(self._name, self._exposure)

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """Open the store a URL names; see the class."""
        return cls(url)  # type: ignore[call-arg]

    def client(self) -> Any:
        """Return this process's client; the parent's has connections that are not ours."""
        if client := self._clients.get(os.getpid()):
            return client
        session = Session(profile=self._given.get("profile"))
        session.register_component("data_loader", _DESCRIPTIONS)
        made = session.create_client(
            self.service,
            region_name=self._given["region"],
            endpoint_url=self._given.get("endpoint_url"),
            config=Config(
                connect_timeout=self.timeout / 4,
                read_timeout=self.timeout / 4,
                retries={"mode": "standard"},
                max_pool_connections=256,
            ),
        )
        made.meta.events.register("before-parse", _refuse_part)
        return self._clients.setdefault(os.getpid(), made)

    def read_all(self, ids: Iterable[str]) -> Iterator[Record | None]:
        """Yield the records with these ids, None for one that is not there."""
        rest = iter(ids)
        while some := [partial(self.read, each) for each in islice(rest, _AT_ONCE)]:
            yield from self.all(some)

    def having(self, marks: set[Mark], ids: Iterable[str]) -> list[Record]:
        """Return those with one of these marks by now: indexes are read before records are."""
        found = (record for record in self.read_all(ids) if record)
        return [each for each in found if any((f, getattr(each, f)) in marks for f in FOUND_BY)]

    notes_use = False

    def touch(self, record_id: str, last_used_at: float) -> None:
        """Do nothing: it would be a version of a secret, and write units, each time."""

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
        if client := self._clients.pop(os.getpid(), None):
            client.close()

    def all(
        self, works: Sequence[Callable[[], _Result]], record_id: str | None = None
    ) -> list[_Result]:
        """
        Do several things at the same time, each in a thread, and return what they return.

        Args:
            works: What to do, such as an `ask`.
            record_id: For errors. None if no record is meant, or several.

        Raises:
            StoreUnavailable: They take longer than ``timeout``, or AWS can't be asked.
            ConfigurationError: AWS's configuration can't be meant.
        """
        kind: type[TokenKeepError] = StoreUnavailable
        end = time.monotonic() + self.timeout
        try:
            begun = [begin(each) for each in works]
            return [each.result(end - time.monotonic()) for each in begun]
        except NoThread as exc:
            what, hint = f"was not asked: {exc}", "Try again"
        except TimeoutError:
            what = f"did not answer within {self.timeout:g} s"
            hint = "Try again; is the network slow?"
        except BotoCoreError as exc:
            names = " ".join(each.__name__ for each in type(exc).__mro__)
            what, hint = f"can't be asked ({type(exc).__name__})", _hint(names)
            kind = ConfigurationError if _CONFIGURATION.search(names) else kind
        except ValueError:
            what, kind = "can't be asked: a setting can't be meant", ConfigurationError
            hint = "Look at endpoint_url, and at the AWS_ variables and profile"
        # Out here: what botocore raised, and its frames with credentials, would be its context.
        raise self.error(record_id, f"AWS {what}", hint, kind)

    def ask(self, record_id: str | None, operation: str, *answers: str, **given: Any) -> Any:
        """
        Make a request.

        Args:
            record_id: As for `all`.
            operation: As a client's method is called.
            answers: Patterns of refusals that are an answer: AWS's code, and its message.
            given: Its parameters.

        Returns:
            What AWS answered. If that is one of *answers*, ``refused`` is in it.

        Raises:
            StoreUnavailable: There was no other answer; a write may have been done.
        """
        try:
            return self.all([lambda: getattr(self.client(), operation)(**given)], record_id)[0]
        except ClientError as exc:
            response: Any = exc.response
            action = f"{self.service}:{exc.operation_name}"
        code = response["Error"].get("Code")
        said = f"{code} {response['Error'].get('Message')}"
        if any(re.match(each, said) for each in answers):
            return {**response, "refused": code}
        # Not in there: what AWS says, which may repeat what it was sent, would be its context.
        missing = _MISSING.search(said)
        action = missing[1] if missing else action
        hint = _hint(said).format(action=action)
        kind = StoreForeign if re.search(_OTHER_KEYS, said) else StoreUnavailable
        raise self.error(record_id, f"AWS refused {action} ({code})", hint, kind)

    def tries(self) -> Iterator[None]:
        """Yield once, and again after ever longer sleeps, for twice the ``timeout``."""
        pause, end = 0.1, time.monotonic() + 2 * self.timeout
        yield
        while time.monotonic() + pause < end:
            # Not all at the same moment, lest they are in each other's way again.
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            pause = min(2 * pause, 2.0)
            yield

    def error(
        self,
        record_id: str | None,
        what: str,
        hint: str = "Try again",
        kind: type[TokenKeepError] = StoreUnavailable,
    ) -> TokenKeepError:
        """Return an error of this store; about a record, or None."""
        token_id = None if record_id == HEADER else record_id
        return kind(f"{self.describe()}: {what}", token_id=token_id, hint=hint)


def _refuse_part(response_dict: Any, **_: object) -> None:
    """Refuse an answer that was cut off: botocore takes it for an empty one, with no record."""
    headers, body = response_dict["headers"], response_dict["body"]
    is_chunked = "chunked" in headers.get("transfer-encoding", "")  # it says itself where it ends
    if not is_chunked and headers.get("content-length") != str(len(body)):
        raise ConnectionClosedError(endpoint_url="AWS")


def _hint(said: str) -> str:
    return next(hint for words, hint in _HINTS.items() if re.search(words, said))


def text_of(record: Record, place: str, most: int) -> str:
    """
    Return a record as JSON in ASCII, for people to look at.

    Raises:
        StoreError: It takes more than *most* bytes, which is what *place* holds.
    """
    text = json.dumps({"tokenkeep": _FORMAT, **to_values(record)})
    if len(text) > most:
        raise StoreError(
            f"This token takes {len(text)} bytes, and {place} holds {most}",
            token_id=record.id,
            hint="Is something else than a token in one of its fields?",
        )
    return text


def record_of(text: str, record_id: str) -> Record:
    """
    Return the record in a text of `text_of`.

    Where somebody has changed it, it is one that opens with no key: it hides no other one, its
    reader is told, and it can be deleted.

    Args:
        text: What is stored.
        record_id: Which record it has to be.

    Raises:
        StoreTooNew: A newer tokenkeep wrote it.
    """
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        values: Any = json.loads(text)
        if values.pop("tokenkeep") > _FORMAT:
            raise StoreTooNew(f"{record_id} is of a newer tokenkeep", hint="Upgrade tokenkeep")
        record = from_values(values)
        if record.id == record_id:
            return record
    return Record(id=record_id, version="", owner="", kind="row", key=1, sealed=b"")
