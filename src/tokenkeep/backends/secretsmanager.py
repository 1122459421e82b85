"""
Sealed tokens in AWS Secrets Manager: one secret a record, named by its id.

An id is made of the owner, so that no two records can have one. What a record
is found by otherwise are the keys of its secret's tags.

There is no conditional write of a value. So a new one is put beside the
current one, with a label of ours, and then the label AWSCURRENT is moved to it
*from* the version it replaces; AWS refuses if that is no longer the current
one. Nor has deleting a condition. So a last version is moved there first,
whose id says that the secret is deleted. Nothing ever takes its place, so
anybody may erase the secret from then on; by its ARN, which no secret that
is made later under this name has.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tokenkeep.backends.aws import AWSBackend, parsed, record_of, text_of
from tokenkeep.backends.base import MARKS, WIDTH, Record, written_first
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tokenkeep.backends.base import Due, Mark

_ID = re.compile(f"[0-9a-f]{{{WIDTH}}}")
_DUE = "tokenkeep:due:"

_MOST_BYTES = 65_536
_LISTED, _VALUES = 100, 10
"""How much a page of ListSecrets has at most, and a filter."""

_CURRENT = "AWSCURRENT"
_PENDING = "tokenkeep-pending"
"""The label of a value that is about to become the current one. Each new one takes it."""

_DELETED = "tokenkeep-deleted-"
"""What the id of a version begins with that says: deleted."""

_GONE = ("ResourceNotFoundException", "InvalidRequestException .*marked")
"""There is no such secret, or it is scheduled for deletion: its request may be wrong otherwise."""


class SecretsManagerBackend(AWSBackend):
    """
    Serve all who may use the secrets under one prefix.

    A record's id is its owner: two hosts can't make two. What AWS is asked to
    look for by anything but id and owner may be out of date for minutes; what
    it answers is read before it is believed. A write on what is out of date is
    a conflict, never done.

    Args:
        url: ``aws-secretsmanager://region/prefix``. The prefix is what the names of the secrets
            begin with, before a slash; empty means ``tokenkeep``. docs/aws.md has the options.

    Raises:
        ConfigurationError: A part of it is wrong, or there is no region.
    """

    finds_late = True
    beats_every: float = 1800.0  # AWS allows about a hundred versions of a secret a day

    @without_frames
    def __init__(self, url: str) -> None:
        name, given = parsed(url, {"kms_key_id": str})
        self._prefix = f"{name.rstrip('/')}/"
        self._key = {"KmsKeyId": given["kms_key_id"]} if "kms_key_id" in given else {}
        super().__init__("secretsmanager", f"AWS Secrets Manager, secrets {self._prefix}*", given)

    def id_for(self, owner: str) -> str:
        return owner

    def read(self, record_id: str) -> Record | None:
        return self._read(record_id)[0]

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = set(marks)
        ids = {value for field, value in wanted if field in {"id", "owner"}}
        keys = [_tag(*mark) for mark in wanted if mark[0] in MARKS]
        for start in range(0, len(keys), _VALUES):
            ids.update(self._listed(keys[start : start + _VALUES]))
        return self.having(wanted, ids)

    def write(self, record: Record, *, replaces: str | None) -> None:
        if record.id != record.owner:
            raise StoreError("In Secrets Manager a record's id is its owner", token_id=record.id)
        if replaces is None:
            self._insert(record)
            return
        old, answer = self._read(record.id)
        if old is None or old.version != replaces:
            raise written_first(record.id)
        before, after = _tags(old), _tags(record)
        kept = replace(record, last_used_at=old.last_used_at)
        text = text_of(kept, "a secret", _MOST_BYTES)
        if self._swap(answer, text, uuid4().hex, after - before):
            self._untag(answer, before - after)
            return
        # A tag of a write that came too late is taken back, but not from who was faster.
        winner, _ = self._read(record.id)
        self._untag(answer, after - before - (_tags(winner) if winner else set()))
        raise written_first(record.id)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        for _ in self.tries():
            record, answer = self._read(record_id)
            if record is not None:
                if replaces not in (None, record.version):
                    raise written_first(record_id)
                last = _DELETED + uuid4().hex
                if not self._swap(answer, '{"tokenkeep": 2, "deleted": true}', last):
                    continue
            self._erase(answer)
            return record is not None
        raise self.error(record_id, "others kept writing the same secret")

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        listed = self._listed([_tag(*mark)] if mark else ())
        records = self.read_all(each for each in listed if each > (after or ""))
        found = (each for each in records if each and (not mark or _tag(*mark) in _tags(each)))
        return list(islice(found, limit))

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        listed = self._listed([_DUE])
        tags = [(key, each) for each, keys in listed.items() for key in keys if _DUE in key]
        places = sorted((float(key.removeprefix(_DUE)), each) for key, each in tags)
        behind = [each for each in places if each[0] <= before and (not after or each > after)]
        records = zip(behind, self.read_all(each for _, each in behind), strict=True)
        now = (each for (at, _), each in records if each and each.due_at == at)
        return list(islice(now, limit))

    def _listed(self, keys: Sequence[str] = ()) -> dict[str, list[str]]:
        """
        Return the ids of secrets with a tag that begins so, in order, and the keys of their tags.

        AWS may take minutes to know of a tag, and to forget it.
        """
        filters = [{"Key": "name", "Values": [self._prefix]}]
        filters += [{"Key": "tag-key", "Values": keys}] if keys else []
        found: dict[str, list[str]] = {}
        page: dict[str, Any] = {"MaxResults": _LISTED, "Filters": filters}
        while True:
            answer = self.ask(None, "list_secrets", **page)
            for each in answer["SecretList"]:
                last = each["Name"].removeprefix(self._prefix)
                if _ID.fullmatch(last):
                    found[last] = [tag["Key"] for tag in each.get("Tags", ())]
            if not answer.get("NextToken"):
                return dict(sorted(found.items()))
            page["NextToken"] = answer["NextToken"]

    # One secret

    def _read(self, record_id: str) -> tuple[Record | None, dict[str, Any]]:
        """Return the record in a secret, None if it is deleted; and what AWS answered."""
        name = self._prefix + record_id
        # The stage is named, though it is the default: moto goes on answering with the
        # first value otherwise.
        asked = {"SecretId": name, "VersionStage": _CURRENT}
        answer = self.ask(record_id, "get_secret_value", *_GONE, **asked)
        if "refused" in answer or answer["VersionId"].startswith(_DELETED):
            return None, answer
        return record_of(answer.get("SecretString", ""), record_id), answer

    def _insert(self, record: Record) -> None:
        name = self._prefix + record.id
        made = {
            "Name": name,
            "ClientRequestToken": uuid4().hex,
            "Description": "A token sealed by tokenkeep, which alone may change it",
            "SecretString": text_of(record, "a secret", _MOST_BYTES),
            "Tags": _as_tags(_tags(record)),
            **self._key,
        }
        exists, scheduled = "ResourceExistsException", "InvalidRequestException"
        for _ in self.tries():
            if "refused" not in self.ask(record.id, "create_secret", exists, scheduled, **made):
                return
            stored, answer = self._read(record.id)
            if stored is not None:
                raise written_first(record.id)
            self._erase(answer)  # who deleted it may have died before that
        raise self.error(
            record.id,
            f"the secret {name} is being deleted",
            "Try again in a minute. If you scheduled it for deletion by hand, restore it: "
            f"aws secretsmanager restore-secret --secret-id {name}",
        )

    def _swap(self, read: Any, text: str, version: str, added: Collection[str] = ()) -> bool:
        """
        Give a secret, as it was *read*, a value of AWS's new *version*, and tags.

        False: another version is the current one, or the secret is gone.
        """
        ask = partial(self._changed, read)
        new = {"SecretString": text, "ClientRequestToken": version, "VersionStages": [_PENDING]}
        if not ask("put_secret_value", **new):
            return False
        # Before it is the current one, so that what can be read can be found.
        if added and not ask("tag_resource", Tags=_as_tags(added)):
            return False
        move = {"RemoveFromVersionId": read["VersionId"], "MoveToVersionId": version}
        late = "InvalidParameterException"
        if ask("update_secret_version_stage", late, VersionStage=_CURRENT, **move):
            return True
        # It was done where the answer was lost and botocore has asked again.
        mine = ask("get_secret_value", VersionId=version)
        return not {_CURRENT, "AWSPREVIOUS"}.isdisjoint(mine.get("VersionStages", ()))

    def _changed(self, read: Any, operation: str, *answers: str, **given: Any) -> Any:
        """Ask about a secret as it was *read*; nothing comes back if it is gone, or *answers*."""
        given["SecretId"] = read["ARN"]
        answer = self.ask(read["Name"][-WIDTH:], operation, *_GONE, *answers, **given)
        return {} if "refused" in answer else answer

    def _untag(self, read: Any, keys: Collection[str]) -> None:
        if keys:
            self._changed(read, "untag_resource", TagKeys=[*keys])

    def _erase(self, read: Any) -> None:
        """Erase a secret that says it is deleted; there may be none."""
        if "ARN" in read:
            self._changed(read, "delete_secret", ForceDeleteWithoutRecovery=True)


def _tag(field: str, value: object) -> str:
    return f"tokenkeep:{field}:{value}"


def _tags(record: Record) -> set[str]:
    """Return the keys of the tags that a record is found by."""
    marks = ((field, getattr(record, field)) for field in MARKS)
    found = {_tag(field, value) for field, value in marks if value is not None}
    return found if record.due_at is None else found | {f"{_DUE}{float(record.due_at)!r}"}


def _as_tags(keys: Iterable[str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": ""} for key in keys]
