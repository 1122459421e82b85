"""Sealed tokens in AWS Secrets Manager: one secret each, named by what it is for."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Unpack

from tokenkeep.backends import aws_names, aws_url
from tokenkeep.backends.aws_client import AWSClient, Connection
from tokenkeep.backends.aws_hints import Hints
from tokenkeep.backends.aws_names import Names
from tokenkeep.backends.aws_secret_rows import SecretRows
from tokenkeep.backends.aws_secrets import Secrets
from tokenkeep.backends.base import FIELDS, Backend, Record
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from mypy_boto3_secretsmanager import SecretsManagerClient

_PREFIX = re.compile(r"(?=.{1,256}$)[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)*")

_BATCH = 20
"""How many secrets one BatchGetSecretValue reads at most."""


class SecretsManagerBackend(Backend):
    """
    Serve all who may use the secrets under one prefix.

    A record's secret is named by its id, which is a digest of its identity:
    two hosts can't make two. A record that comes with another id, copied from
    another store, has a second secret, named as its identity wants it, which
    says whose it is.

    AWS's answers may be out of date for a moment, and what it is asked to look
    for by anything but id and identity for minutes. A write on what is out of
    date is a conflict, never done. `touch` does nothing: it would be a version
    of the secret each time.

    Args:
        prefix: What the names of the secrets begin with, before a slash.
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

    @without_frames
    def __init__(
        self,
        prefix: str = "tokenkeep",
        *,
        kms_key_id: str | None = None,
        recovery_window: int = 30,
        force_delete: bool = False,
        **connection: Unpack[Connection],
    ) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "This can't be the prefix of a secret's name",
                hint="It has up to 256 letters, digits and _+=.@- with slashes in between",
            )
        if not 7 <= recovery_window <= 30:  # noqa: PLR2004 - AWS's limits
            raise ConfigurationError("recovery_window is a number of days from 7 to 30")
        profile = connection.get("profile")
        of_profile = f" of the profile {profile}" if profile else ""
        self._aws: AWSClient[SecretsManagerClient] = AWSClient(
            "secretsmanager",
            lambda endpoint: f"AWS Secrets Manager{of_profile} at {endpoint}, secrets {prefix}/*",
            connection,
        )
        self._names = Names(self._aws, prefix)
        self._secrets = Secrets(
            self._aws,
            kms_key_id=kms_key_id,
            recovery_window=None if force_delete else recovery_window,
        )
        self._rows = SecretRows(self._secrets, self._names)
        self._hints = Hints()

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """
        Open the store a URL names.

        Args:
            url: ``aws-secretsmanager://region/prefix``; options
                ``kms_key_id``, ``recovery_window``, ``force_delete=true``, and
                those of `Connection`.

        Raises:
            ConfigurationError: The prefix or an option is wrong.
        """
        own = {"kms_key_id": str, "recovery_window": int, "force_delete": bool}
        prefix, options = aws_url.parse(url, own)
        return cls(prefix or "tokenkeep", **options)

    def id_for(self, identity: str) -> str:
        return aws_names.id_for(identity)

    def read(self, record_id: str) -> Record | None:
        return self._rows.read(self._aws.begin(record_id), record_id)

    def find(self, field: str, values: Sequence[str]) -> list[Record]:
        if field not in FIELDS:
            raise ValueError(f"a record has no field {field!r} to search")
        distinct = dict.fromkeys(values)
        if field == "identity":
            found = [self._rows.owner(self._aws.begin(), each) for each in distinct]
        else:
            ids = dict.fromkeys(self._hints.ids(field, distinct))
            ids.update(dict.fromkeys(self._names.tagged(field, list(distinct))))
            found = [self.read(each) for each in ids]
        # What AWS lists may be out of date: what was read decides.
        records = [each for each in found if each and getattr(each, field) in distinct]
        for record in records:
            self._hints.note(record)
        return records

    def write(self, record: Record, *, replaces: str | None) -> None:
        asked = self._aws.begin(record.id)
        if replaces is None:
            self._rows.insert(asked, record)
        else:
            self._rows.replace(asked, record, replaces)
        self._hints.note(record)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        return self._rows.delete(self._aws.begin(record_id), record_id, replaces)

    def touch(self, record_id: str, last_used_at: float) -> None:
        pass

    def scan(self, after: str | None, limit: int) -> list[Record]:
        found: list[Record] = []
        ids = self._names.after(after)
        while wanted := min(_BATCH, limit - len(found)):
            batch = list(islice(ids, wanted))
            if not batch:
                break
            found += self._batch(batch)
        return found

    def clear(self) -> int:
        return sum(self.delete(record_id) for record_id in self._names.after(None))

    def describe(self) -> str:
        return self._aws.place.name

    def store_id(self) -> str | None:
        return self._secrets.account

    def close(self) -> None:
        self._aws.close()

    def _batch(self, ids: list[str]) -> list[Record]:
        """Return the records of several ids, in one trip where AWS plays along."""
        names = {str(self._names.of(each)): each for each in ids}
        asked = self._aws.begin()
        current = self._secrets.get_all(asked, list(names))
        records = []
        for name, record_id in names.items():
            stored = current.get(name) or self._secrets.get(asked, name)
            record = self._rows.record_in(stored, record_id) if stored else None
            if record is not None:
                records.append(record)
        return records
