"""
Records in secrets, and that no two have the same identity.

A record whose id is the one of its identity needs nothing for that: its
secret's name is taken. For any other, a second secret of that name says whose
the identity is. It is made before the record, and given back after it; one
that leads nowhere is somebody's who is at it, or after a minute nobody's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tokenkeep.backends.aws_content import Claim, content_of, text_of
from tokenkeep.backends.aws_names import id_for, tags
from tokenkeep.backends.aws_secrets import ABANDONED
from tokenkeep.errors import StoreConflict, StoreError, StoreTampered

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

    def record_in(self, stored: Stored, record_id: str) -> Record | None:
        """
        Return the record that a secret holds. None if it holds none.

        Raises:
            StoreError: It holds something else than tokenkeep put there.
        """
        name = str(self._names.of(record_id))
        content = content_of(stored.text, name)
        if isinstance(content, Claim):
            return None
        if content.id != record_id:
            raise StoreTampered(
                f"The secret {name} holds another token than its name says",
                token_id=record_id,
                hint="It was changed outside tokenkeep; restore an earlier version of it",
            )
        return content

    def owner(self, asked: _Exchange, identity: str) -> Record | None:
        """Return the record that has an identity. None if there is none."""
        home = id_for(identity)
        name = str(self._names.of(home))
        stored = self._secrets.get(asked, name)
        if stored is None:
            return None
        content = content_of(stored.text, name)
        record = self.read(asked, content.owner) if isinstance(content, Claim) else content
        return record if record is not None and record.identity == identity else None

    def insert(self, asked: _Exchange, record: Record) -> None:
        """
        Write a record that is not there yet.

        Raises:
            StoreConflict: It is, or another one has its identity.
        """
        name = self._name(record)
        if record.id == id_for(record.identity):
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
            StoreConflict: It is not, or another one has the new identity.
        """
        name = self._name(record)
        found = self._found(asked, record.id)
        if found is None or found[1].version != replaces:
            raise _conflict(record.id)
        stored, old = found
        text = text_of(replace(record, last_used_at=old.last_used_at))
        moves = old.identity != record.identity
        if moves:
            self._secrets.refuse_too_large(asked, text)
            self._claim(asked, record)
        before, after = tags(old), tags(record)
        added = {key: value for key, value in after.items() if key not in before}
        done = self._secrets.swap(
            asked,
            name,
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
            stored = self._secrets.get(asked, name) if name else None
            if name is None:
                return False
            if stored is None:
                self._secrets.tidy(asked, name)
                return False
            record = self.record_in(stored, record_id)
            if record is None:
                return False
            if replaces not in (None, record.version):
                raise _conflict(record_id)
            if self._secrets.remove(asked, name, replaces=stored.version):
                self._give_back(asked, record)
                return True
        raise asked.too_slow()

    def _found(self, asked: _Exchange, record_id: str) -> tuple[Stored, Record] | None:
        name = self._names.of(record_id)
        stored = self._secrets.get(asked, name) if name else None
        record = self.record_in(stored, record_id) if stored else None
        return (stored, record) if stored and record else None

    def _name(self, record: Record) -> str:
        name = self._names.of(record.id)
        if name is None:
            raise StoreError(
                "An id in Secrets Manager is not empty, and no longer than a secret's name",
                token_id=record.id[:100],
            )
        return name

    def _claim(self, asked: _Exchange, record: Record) -> None:
        """
        Take an identity for a record with an id of its own kind.

        Raises:
            StoreConflict: Another one has it.
        """
        home = id_for(record.identity)
        began = time.monotonic()
        name = str(self._names.of(home))
        if record.id != home and not self._occupy(asked, name, text_of(Claim(record.id)), {}):
            raise _conflict(record.id)
        if time.monotonic() - began > ABANDONED / 2:
            raise asked.too_slow()  # others may soon take it for abandoned

    def _give_back(self, asked: _Exchange, record: Record) -> None:
        """Free the identity of a record with an id of its own kind."""
        home = id_for(record.identity)
        if record.id == home:
            return
        name = str(self._names.of(home))
        stored = self._secrets.get(asked, name)
        if stored and content_of(stored.text, name) == Claim(record.id):
            self._secrets.remove(asked, name, replaces=stored.version)

    def _occupy(self, asked: _Exchange, name: str, text: str, found_by: Mapping[str, str]) -> bool:
        """Make a secret, or take one over that says whose an identity is and leads nowhere."""
        if self._secrets.create(asked, name, text, found_by):
            return True
        stored = self._secrets.get(asked, name)
        if stored is None or stored.age <= ABANDONED:
            return False
        content = content_of(stored.text, name)
        if not isinstance(content, Claim):
            return False
        owner = self.read(asked, content.owner)
        if owner is not None and self._names.of(id_for(owner.identity)) == name:
            return False
        return self._secrets.swap(
            asked, name, text, replaces=stored.version, tags=found_by, stale=[]
        )

    def _withdraw(self, asked: _Exchange, record_id: str, added: Mapping[str, str]) -> None:
        """Take back the tags of a write that came too late, but those of who was faster."""
        current = self.read(asked, record_id)
        theirs = tags(current) if current else {}
        name = str(self._names.of(record_id))
        self._secrets.untag(asked, name, [key for key in added if key not in theirs])


def _conflict(record_id: str) -> StoreConflict:
    return StoreConflict(
        "Somebody else wrote this record first, or another one is for the same thing",
        token_id=record_id,
    )
