"""
Sealed tokens in AWS Secrets Manager: one secret a record, named by its id.

An id is made of the owner, so that no two records can have one. What a record
is found by otherwise are the keys of its secret's tags.

There is no conditional write of a value. So a new one is put beside the
current one, with a label of ours, and then the label AWSCURRENT is moved to it
*from* the version it replaces; AWS refuses if that is no longer the current
one. Nor has deleting a condition. So a last version is moved there first,
whose id says that the secret is deleted, and everybody goes by that.
Scheduling the secret for deletion comes after it, and only tidies up.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Unpack
from uuid import uuid4

from tokenkeep.backends.aws import AWSBackend, Call, Connection, in_time, record_of, text_of
from tokenkeep.backends.base import FOUND_BY, MARKS, WIDTH, Record
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from tokenkeep.backends.base import Due, Mark

_PREFIX = re.compile(r"(?=.{1,256}$)[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)*")
_ID = re.compile(f"[0-9a-f]{{{WIDTH}}}")
_DUE = "tokenkeep:due:"

_MOST_BYTES = 65_536
_LISTED, _READ, _VALUES = 100, 20, 10
"""How much a page of ListSecrets has at most, a BatchGetSecretValue, and a filter."""

_CURRENT = "AWSCURRENT"
_PENDING = "tokenkeep-pending"
"""The label of a value that is about to become the current one. Each new one takes it."""

_DELETED, _ERASED = "tokenkeep-deleted-", "tokenkeep-erased-"
"""What the id of a version begins with that says: deleted; or: without a recovery window."""

_TEXT = '{"tokenkeep": 2, "deleted": true}'

ABANDONED = 60.0
"""After this long, by AWS's clock, who left something half done is gone, in seconds."""
_SOON = 20.0
"""Within this long what was begun is carried through, else left to others, in seconds."""

_EXISTS = "ResourceExistsException"
_ABSENT = "ResourceNotFoundException"
_STATE = "InvalidRequestException"
"""The secret is scheduled for deletion, most often."""


class SecretsManagerBackend(AWSBackend):
    """
    Serve all who may use the secrets under one prefix.

    A record's id is its owner: two hosts can't make two. What AWS is asked to
    look for by anything but id and owner may be out of date for minutes; what
    it answers is read before it is believed. A write on what is out of date is
    a conflict, never done. `touch` does nothing: it would be a version of the
    secret each time.

    Args:
        prefix: What the names of the secrets begin with, before a slash; in a
            URL the part behind the region. Empty means ``tokenkeep``.
        kms_key_id: The KMS key for secrets made from now on. None means AWS's
            own, ``aws/secretsmanager``.
        recovery_window: For how many days a deleted secret can be brought
            back by hand, 7 to 30.
        force_delete: Whether deleted secrets are erased at once instead.
        connection: How AWS is reached.

    Raises:
        ConfigurationError: An option is wrong, or there is no region.
    """

    finds_late = True
    options: ClassVar[Mapping[str, type]] = {
        "kms_key_id": str,
        "recovery_window": int,
        "force_delete": bool,
    }

    @without_frames
    def __init__(
        self,
        prefix: str = "",
        *,
        kms_key_id: str | None = None,
        recovery_window: int = 30,
        force_delete: bool = False,
        **connection: Unpack[Connection],
    ) -> None:
        prefix = prefix or "tokenkeep"
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "This can't be the prefix of a secret's name",
                hint="It has up to 256 letters, digits and _+=.@- with slashes in between",
            )
        if not 7 <= recovery_window <= 30:  # noqa: PLR2004 - AWS's limits
            raise ConfigurationError("recovery_window is a number of days from 7 to 30")
        self._prefix = f"{prefix}/"
        self._key: dict[str, Any] = {"KmsKeyId": kms_key_id} if kms_key_id else {}
        self._last = _DELETED
        self._way: dict[str, Any] = {"RecoveryWindowInDays": recovery_window}
        if force_delete:
            self._last, self._way = _ERASED, {"ForceDeleteWithoutRecovery": True}
        name = f"AWS Secrets Manager{{}}, secrets {prefix}/*"
        super().__init__("secretsmanager", name, connection)

    def id_for(self, owner: str) -> str:
        return owner

    @in_time
    def read(self, call: Call, record_id: str) -> Record | None:
        _, record = self._read(call, record_id)
        return record

    @in_time
    def find(self, call: Call, marks: Sequence[Mark]) -> list[Record]:
        wanted = dict.fromkeys(marks)
        ids = dict.fromkeys(value for field, value in wanted if field in {"id", "owner"})
        keys = [_tag(*mark) for mark in wanted if mark[0] in MARKS]
        for start in range(0, len(keys), _VALUES):
            some = keys[start : start + _VALUES]
            ids.update(dict.fromkeys(each for each, _ in self._listed(call, some)))
        # What AWS lists may be out of date: what is read decides.
        return [
            record
            for record in self._read_all(call, ids)
            if record and any((field, getattr(record, field)) in wanted for field in FOUND_BY)
        ]

    @in_time
    def write(self, call: Call, record: Record, *, replaces: str | None) -> None:
        if record.id != record.owner:
            raise StoreError("In Secrets Manager a record's id is its owner", token_id=record.id)
        call.record_id = record.id
        if replaces is None:
            self._insert(call, record)
            return
        version, old = self._read(call, record.id)
        if old is None or old.version != replaces:
            raise call.conflict()
        before, after = _tags(old), _tags(record)
        text = _text(replace(record, last_used_at=old.last_used_at))
        added, stale = after - before, before - after
        if self._swap(call, record.id, text, version, added=added, stale=stale):
            return
        # A tag of a write that came too late is taken back, but not from who was faster.
        _, winner = self._read(call, record.id)
        self._untag(call, record.id, added - (_tags(winner) if winner else set()))
        raise call.conflict()

    @in_time
    def delete(self, call: Call, record_id: str, *, replaces: str | None = None) -> bool:
        for _ in call.tries():
            began = time.monotonic()
            current, record = self._read(call, record_id)
            if record is None:
                return False
            if replaces not in (None, record.version):
                raise call.conflict()
            last = self._last + uuid4().hex
            if not self._swap(call, record_id, _TEXT, current, version=last):
                continue
            # Scheduling has no condition: done late or twice, it could take
            # what somebody has made anew meanwhile.
            if time.monotonic() - began < _SOON:
                way, name = self._way, self._prefix + record_id
                call.ask("delete_secret", _ABSENT, _STATE, once=True, SecretId=name, **way)
            return True
        raise call.error("others kept writing the same secret")

    def touch(self, record_id: str, last_used_at: float) -> None:
        pass

    @in_time
    def scan(
        self, call: Call, after: str | None, limit: int, *, mark: Mark | None = None
    ) -> list[Record]:
        tag = _tag(*mark) if mark else None
        listed = self._listed(call, [tag] if tag else ())
        records = self._read_all(call, (each for each, _ in listed if each > (after or "")))
        found = (each for each in records if each and (tag is None or tag in _tags(each)))
        return list(islice(found, limit))

    @in_time
    def due(
        self, call: Call, before: float, limit: int, *, after: Due | None = None
    ) -> list[Record]:
        places = sorted(
            place
            for each, keys in self._listed(call, [_DUE])
            for key in keys
            if key.startswith(_DUE)
            and (place := (float(key.removeprefix(_DUE)), each))[0] <= before
            and (after is None or place > after)
        )
        records = self._read_all(call, (each for _, each in places))
        now = zip(places, records, strict=True)
        return list(islice((each for (at, _), each in now if each and each.due_at == at), limit))

    def _listed(self, call: Call, keys: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
        """
        Return the ids of secrets with a tag that begins so, in order, and all their tags.

        AWS may take minutes to know of a tag, and to forget it.
        """
        filters = [{"Key": "name", "Values": [self._prefix]}]
        filters += [{"Key": "tag-key", "Values": keys}] if keys else []
        found: list[tuple[str, list[str]]] = []
        more: dict[str, Any] = {}
        while True:
            answer = call.ask("list_secrets", MaxResults=_LISTED, Filters=filters, **more)
            for each in answer["SecretList"]:
                last = each["Name"].removeprefix(self._prefix)
                if _ID.fullmatch(last):
                    found.append((last, [tag["Key"] for tag in each.get("Tags", [])]))
            if not answer.get("NextToken"):
                return sorted(found)
            more = {"NextToken": answer["NextToken"]}

    # One secret

    def _read(self, call: Call, record_id: str) -> tuple[str, Record | None]:
        """Return the id of a secret's current version, and the record in it, None if deleted."""
        call.record_id = record_id
        name = self._prefix + record_id
        # The stage is named, though it is the default: moto goes on answering with the
        # first value otherwise.
        answer = call.ask(
            "get_secret_value", _ABSENT, _STATE, SecretId=name, VersionStage=_CURRENT
        )
        if answer.get("refused") == _STATE and "DeletedDate" not in self._told(call, record_id):
            raise answer["error"]
        return ("", None) if "refused" in answer else self._content(answer, record_id)

    def _read_all(self, call: Call, ids: Iterable[str]) -> Iterator[Record | None]:
        """Yield the records with these ids, None for one that is not there."""
        rest = iter(ids)
        while batch := list(islice(rest, _READ)):
            names = list({self._prefix + each for each in batch})
            values: Any = ()
            if len(names) > 1:  # one alone is asked for itself
                values = call.ask("batch_get_secret_value", SecretIdList=names)["SecretValues"]
            # Some are not the current ones: always with moto. They are read by themselves, as is
            # what is left out: it may be gone, or may not be read.
            current = {
                each["Name"]: each for each in values if _CURRENT in each.get("VersionStages", ())
            }
            for each in batch:
                value = current.get(self._prefix + each)
                _, record = self._content(value, each) if value else self._read(call, each)
                yield record

    def _content(self, answer: Any, record_id: str) -> tuple[str, Record | None]:
        version = answer["VersionId"]
        if version.startswith((_DELETED, _ERASED)):
            return version, None
        place = f"The secret {self._prefix}{record_id}"
        return version, record_of(answer.get("SecretString", ""), record_id, place)

    def _told(self, call: Call, record_id: str) -> dict[str, Any]:
        """Return what AWS tells of a secret. Empty if it is not there."""
        answer = call.ask("describe_secret", _ABSENT, SecretId=self._prefix + record_id)
        return {} if "refused" in answer else dict(answer)

    def _insert(self, call: Call, record: Record) -> None:
        """Make a secret, anew if it was deleted."""
        name, tags, text = self._prefix + record.id, _tags(record), _text(record)
        made = {
            "Name": name,
            "ClientRequestToken": uuid4().hex,
            "Description": "A token sealed by tokenkeep, which alone may change it",
            "SecretString": text,
            "Tags": _as_tags(tags),
            **self._key,
        }
        for _ in call.tries():
            if "refused" not in call.ask("create_secret", _EXISTS, _STATE, **made):
                return
            told = self._told(call, record.id)
            current, scheduled = _current(told), "DeletedDate" in told
            if not current:
                continue  # AWS is about to erase it
            if not current.startswith((_DELETED, _ERASED)):
                if not scheduled:
                    raise call.conflict()
                raise call.error(
                    f"the secret {name} was scheduled for deletion outside tokenkeep",
                    f"To allow this login: aws secretsmanager restore-secret --secret-id {name}",
                )
            if scheduled and current.startswith(_DELETED):
                free = "refused" not in call.ask("restore_secret", _ABSENT, _STATE, SecretId=name)
            else:
                # Who deleted it may be about to schedule it, unless that was long ago.
                free = not scheduled and _age(told) > ABANDONED
            if free:
                had = {each["Key"] for each in told.get("Tags", [])}
                if self._swap(call, record.id, text, current, added=tags - had, stale=had - tags):
                    return
                raise call.conflict()
        hint = "Try again in a minute or two"
        raise call.error(f"the secret {name} is just being deleted", hint)

    def _swap(
        self,
        call: Call,
        record_id: str,
        text: str,
        replaces: str,
        *,
        version: str | None = None,
        added: Collection[str] = (),
        stale: Collection[str] = (),
    ) -> bool:
        """
        Give a secret another value, and tags that are added before it and taken away after it.

        *replaces* and *version* are AWS's ids of the version that has to be the
        current one, and of the new one. False: it is not, or the secret is gone.
        """
        name, version = self._prefix + record_id, version or uuid4().hex
        new: dict[str, Any] = {"ClientRequestToken": version, "VersionStages": [_PENDING]}
        new |= {"SecretId": name, "SecretString": text}
        if "refused" in call.ask("put_secret_value", _ABSENT, _STATE, **new):
            return False
        if added:  # before it is the current one, so that what can be read can be found
            call.ask("tag_resource", SecretId=name, Tags=_as_tags(added))
        move: dict[str, Any] = {"RemoveFromVersionId": replaces, "MoveToVersionId": version}
        move |= {"SecretId": name, "VersionStage": _CURRENT}
        late = (_ABSENT, _STATE, "InvalidParameterException")
        moved = call.ask("update_secret_version_stage", *late, **move)
        if "refused" in moved:
            told = self._told(call, record_id)
            if _current(told) == replaces and "DeletedDate" not in told:
                raise moved["error"]
            # It was done where the answer was lost and boto3 has asked again.
            labels = told.get("VersionIdsToStages", {}).get(version, ())
            if {_CURRENT, "AWSPREVIOUS"}.isdisjoint(labels):
                return False
        self._untag(call, record_id, stale)
        return True

    def _untag(self, call: Call, record_id: str, keys: Collection[str]) -> None:
        if keys:
            name = self._prefix + record_id
            call.ask("untag_resource", _ABSENT, _STATE, SecretId=name, TagKeys=[*keys])


def _current(told: dict[str, Any]) -> str:
    """Return the id of a secret's current version. Empty if there is none."""
    stages = told.get("VersionIdsToStages", {})
    return next((each for each, labels in stages.items() if _CURRENT in labels), "")


def _age(told: dict[str, Any]) -> float:
    """Return how long ago a secret was changed, by AWS's own clock, in seconds."""
    now = parsedate_to_datetime(told["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - told["LastChangedDate"]).total_seconds())


def _text(record: Record) -> str:
    return text_of(record, "a secret", _MOST_BYTES)


def _tag(field: str, value: object) -> str:
    return f"tokenkeep:{field}:{value}"


def _tags(record: Record) -> set[str]:
    """Return the keys of the tags that a record is found by."""
    marks = ((field, getattr(record, field)) for field in MARKS)
    found = {_tag(field, value) for field, value in marks if value is not None}
    return found if record.due_at is None else found | {f"{_DUE}{float(record.due_at)!r}"}


def _as_tags(keys: Iterable[str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": ""} for key in keys]
