"""
Records in secrets, and that no two have the same owner.

A record whose id is its owner needs nothing for that: its secret's name is
taken. For any other, a second secret, named by the owner, says which record
has it. It is made before the record, and given back after it; one that leads
nowhere is somebody's who is at it, or after a minute nobody's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tokenkeep.backends.aws_content import Claim, content_of, text_of
from tokenkeep.backends.aws_names import tags
from tokenkeep.backends.aws_secrets import ABANDONED
from tokenkeep.errors import StoreConflict, StoreTampered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from tokenkeep.backends.aws_client import Exchange
    from tokenkeep.backends.aws_names import Names
    from tokenkeep.backends.aws_secret_requests import Stored
    from tokenkeep.backends.aws_secrets import Secrets
    from tokenkeep.backends.base import Record

    _Exchange = Exchange[SecretsManagerClient]


class SecretRows:
    """
    Read and write the records of one store.

    Args:
        secrets: The secrets.
        names: Their names.
    """

    def __init__(self, secrets: Secrets, names: Names) -> None:
        self._secrets = secrets
        self._names = names

    def read(self, asked: _Exchange, record_id: str) -> Record | None:
        """Return a record. None if there is none."""
        found = self._found(asked, record_id)
        return found[1] if found else None

    def read_all(self, asked: _Exchange, ids: list[str]) -> dict[str, Record | Claim]:
        """
        Return what the secrets of up to 20 ids hold, in one trip where AWS plays along.

        Raises:
            StoreError: One holds something else than tokenkeep put there.
        """
        names = {self._names.of(each): each for each in ids}
        # One alone is asked for itself: a batch says less of what is not there.
        current = self._secrets.get_all(asked, list(names)) if len(names) > 1 else {}
        found = {}
        for name, record_id in names.items():
            stored = current.get(name) or self._secrets.get(asked, name)
            if stored is not None:
                found[record_id] = self._content(stored, record_id)
        return found

    def insert(self, asked: _Exchange, record: Record) -> None:
        """
        Write a record that is not there yet.

        Raises:
            StoreConflict: It is, or another one has its owner.
        """
        name = self._names.of(record.id)
        if record.id == record.owner:
            if not self._occupy(asked, name, text_of(record), tags(record)):
                raise _conflict(record.id)
            return
        text = text_of(record)
        self._secrets.refuse_too_large(asked, text)  # before anything is claimed for it
        self._claim(asked, record)
        if not self._secrets.create(asked, name, text, tags(record)):
            self._give_back(asked, record)
            raise _conflict(record.id)

    def replace(self, asked: _Exchange, record: Record, replaces: str) -> None:
        """
        Write a record whole, if *replaces* is its stored version.

        Raises:
            StoreConflict: It is not, or another one has the new owner.
        """
        found = self._found(asked, record.id)
        if found is None or found[1].version != replaces:
            raise _conflict(record.id)
        stored, old = found
        text = text_of(replace(record, last_used_at=old.last_used_at))
        moves = old.owner != record.owner
        if moves:
            self._secrets.refuse_too_large(asked, text)
            self._claim(asked, record)
        before, after = tags(old), tags(record)
        added = {key: value for key, value in after.items() if key not in before}
        done = self._secrets.swap(
            asked,
            self._names.of(record.id),
            text,
            replaces=stored.version,
            tags=added,
            stale=[key for key in before if key not in after],
        )
        if done and moves:
            self._give_back(asked, old)
        if not done:
            if moves:
                self._give_back(asked, record)
            self._withdraw(asked, record.id, added)
            raise _conflict(record.id)

    def delete(self, asked: _Exchange, record_id: str, replaces: str | None) -> bool:
        """
        Delete a record.

        Returns:
            False if there is none.

        Raises:
            StoreConflict: *replaces* is given, and not its stored version.
        """
        name = self._names.of(record_id)
        for _ in asked.tries():
            stored = self._secrets.get(asked, name)
            if stored is None:
                self._secrets.tidy(asked, name)
                return False
            record = self._content(stored, record_id)
            if isinstance(record, Claim):
                return False
            if replaces not in (None, record.version):
                raise _conflict(record_id)
            if self._secrets.remove(asked, name, replaces=stored.version):
                self._give_back(asked, record)
                return True
        raise asked.too_slow()

    def _found(self, asked: _Exchange, record_id: str) -> tuple[Stored, Record] | None:
        stored = self._secrets.get(asked, self._names.of(record_id))
        if stored is None:
            return None
        content = self._content(stored, record_id)
        return None if isinstance(content, Claim) else (stored, content)

    def _content(self, stored: Stored, record_id: str) -> Record | Claim:
        name = self._names.of(record_id)
        content = content_of(stored.text, name)
        if not isinstance(content, Claim) and content.id != record_id:
            raise StoreTampered(
                f"The secret {name} holds another token than its name says",
                token_id=record_id,
                hint="It was changed outside tokenkeep; restore an earlier version of it",
            )
        return content

    def _claim(self, asked: _Exchange, record: Record) -> None:
        """
        Take an owner for a record with an id of its own.

        Raises:
            StoreConflict: Another one has it.
        """
        began = time.monotonic()
        name = self._names.of(record.owner)
        if record.id != record.owner and not self._occupy(
            asked, name, text_of(Claim(record.id)), {}
        ):
            raise _conflict(record.id)
        if time.monotonic() - began > ABANDONED / 2:
            raise asked.too_slow()  # others may soon take it for abandoned

    def _give_back(self, asked: _Exchange, record: Record) -> None:
        """Free the owner of a record with an id of its own."""
        if record.id == record.owner:
            return
        name = self._names.of(record.owner)
        stored = self._secrets.get(asked, name)
        if stored and content_of(stored.text, name) == Claim(record.id):
            self._secrets.remove(asked, name, replaces=stored.version)

    def _occupy(self, asked: _Exchange, name: str, text: str, found_by: Mapping[str, str]) -> bool:
        """Make a secret, or take one over that says who has an owner and leads nowhere."""
        if self._secrets.create(asked, name, text, found_by):
            return True
        stored = self._secrets.get(asked, name)
        if stored is None or stored.age <= ABANDONED:
            return False
        content = content_of(stored.text, name)
        if not isinstance(content, Claim):
            return False
        record = self.read(asked, content.record_id)
        if record is not None and self._names.of(record.owner) == name:
            return False
        return self._secrets.swap(
            asked, name, text, replaces=stored.version, tags=found_by, stale=[]
        )

    def _withdraw(self, asked: _Exchange, record_id: str, added: Mapping[str, str]) -> None:
        """Take back the tags of a write that came too late, but those of who was faster."""
        current = self.read(asked, record_id)
        theirs = tags(current) if current else {}
        self._secrets.untag(
            asked, self._names.of(record_id), [key for key in added if key not in theirs]
        )


def _conflict(record_id: str) -> StoreConflict:
    return StoreConflict(
        "Somebody else wrote this record first, or another one is for the same thing",
        token_id=record_id,
    )
