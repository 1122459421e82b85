"""Sealed tokens in AWS Secrets Manager: one secret each, named by its owner."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Unpack

from tokenkeep.backends import aws_url
from tokenkeep.backends.aws_client import AWSClient, Connection
from tokenkeep.backends.aws_content import Claim
from tokenkeep.backends.aws_hints import Hints
from tokenkeep.backends.aws_names import Names, due_tag, tag, tags
from tokenkeep.backends.aws_secret_rows import SecretRows
from tokenkeep.backends.aws_secrets import Secrets
from tokenkeep.backends.base import FOUND_BY, HEADER, Backend, Record
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from tokenkeep.backends.base import Due, Mark, Risk

_PREFIX = re.compile(r"(?=.{1,256}$)[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)*")

_BATCH = 20
"""How many secrets one BatchGetSecretValue reads at most."""


class SecretsManagerBackend(Backend):
    """
    Serve all who may use the secrets under one prefix.

    A record's secret is named by its id, which is its owner: two hosts can't
    make two. A record that comes with another id, copied from another store,
    has a second secret, named by the owner, which says which record it is.

    AWS's answers may be out of date for a moment, and what it is asked to look
    for by anything but id and owner for minutes. A write on what is out of
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

    def id_for(self, owner: str) -> str:
        return owner

    def read(self, record_id: str) -> Record | None:
        return self._rows.read(self._aws.begin(record_id), record_id)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = dict.fromkeys(marks)
        for field, _ in wanted:
            if field not in FOUND_BY:
                raise ValueError(f"a record has no field {field!r} to search")
        # An owner's secret is the record itself, or leads to it.
        ids = dict.fromkeys(value for field, value in wanted if field in ("id", "owner"))
        ids.update(self._tagged([tag(each) for each in wanted if each[0] not in ("id", "owner")]))
        found = self._read_all(list(ids))
        claims = [each.record_id for each in found.values() if isinstance(each, Claim)]
        found.update(self._read_all([each for each in claims if each not in found]))
        # What AWS lists may be out of date: what was read decides.
        return [
            each
            for each in found.values()
            if isinstance(each, Record)
            and any((field, getattr(each, field)) in wanted for field in FOUND_BY)
        ]

    def write(self, record: Record, *, replaces: str | None) -> None:
        asked = self._aws.begin(record.id)
        if replaces is None:
            self._rows.insert(asked, record)
        else:
            self._rows.replace(asked, record, replaces)
        self._hints.note(record)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        deleted = self._rows.delete(self._aws.begin(record_id), record_id, replaces)
        self._hints.forget(record_id)
        return deleted

    def touch(self, record_id: str, last_used_at: float) -> None:
        pass

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        if mark is None:
            return self._first(((each, None) for each in self._names.after(after)), limit)
        if mark[0] in ("id", "owner"):
            return [each for each in self.find([mark]) if after is None or each.id > after]
        key = tag(mark)
        ids = sorted(each for each in self._tagged([key]) if after is None or each > after)
        return self._first(((each, key) for each in ids), limit)

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        places = sorted(
            each
            for each in {*self._hints.due(), *self._names.due()}
            if each[0] <= before and (after is None or each > after)
        )
        return self._first(((each, due_tag(at)) for at, each in places), limit)

    def clear(self) -> int:
        return sum(self.delete(each) for each in self._names.after(None) if each != HEADER)

    def describe(self) -> str:
        return self._aws.place.name

    def risks(self) -> list[Risk] | None:
        return self._aws.exposure or None

    def close(self) -> None:
        self._aws.close()

    def _tagged(self, keys: list[str]) -> dict[str, None]:
        """Return the ids of records that have one of these tags, or had it lately."""
        return dict.fromkeys([*self._hints.tagged(keys), *self._names.tagged(keys)])

    def _first(self, places: Iterable[tuple[str, str | None]], limit: int) -> list[Record]:
        """
        Return the first records of a list.

        Args:
            places: The ids, each with the tag that its record must have. None means any.
            limit: At most so many.
        """
        rest = iter(places)
        found: list[Record] = []
        while batch := list(islice(rest, min(_BATCH, limit - len(found)))):
            contents = self._read_all([each for each, _ in batch])
            for record_id, key in batch:
                record = contents.get(record_id)
                if isinstance(record, Record) and (key is None or key in tags(record)):
                    found.append(record)
        return found

    def _read_all(self, ids: list[str]) -> dict[str, Record | Claim]:
        """Return what the secrets of these ids hold, in the order of the ids."""
        found: dict[str, Record | Claim] = {}
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            contents = self._rows.read_all(self._aws.begin(), batch)
            for record_id in batch:
                content = contents.get(record_id)
                if content is not None:
                    found[record_id] = content
                if isinstance(content, Record):
                    self._hints.note(content)
                else:
                    self._hints.forget(record_id)
        return found
