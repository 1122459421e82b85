"""
A secret that is compared and written: its current version moves only from a named one.

Secrets Manager has no conditional write of a value. So a new value is put
beside the current one, with a label of ours, and then the label AWSCURRENT is
moved to it *from* the version it is to replace; AWS refuses if that is no
longer the current one.

Deleting has no condition either. So a last version is moved there first: it
says that the secret is deleted, and everybody goes by that. Scheduling the
secret for deletion comes after it, and only tidies up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tokenkeep.backends.aws_secret_requests import SecretRequests, Stored
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from tokenkeep.backends.aws_client import AWSClient, Exchange

    _Exchange = Exchange[SecretsManagerClient]

_DELETED = "tokenkeep-deleted-"
_ERASED = "tokenkeep-erased-"
"""What the id of a version begins with that says: deleted; or: without a recovery window."""

_TEXT = '{"tokenkeep": 2, "deleted": true}'

ABANDONED = 60.0
"""After this long, by AWS's clock, who left something half done is gone, in seconds."""
_SOON = 20.0
"""Within this long what was begun is carried through, else left to others, in seconds."""


class Secrets:
    """
    The secrets of one store.

    Args:
        aws: The client.
        kms_key_id: The KMS key of new secrets. None means AWS's own.
        recovery_window: For how many days a deleted secret can be brought
            back by hand, 7 to 30. None means not at all.
    """

    def __init__(
        self,
        aws: AWSClient[SecretsManagerClient],
        *,
        kms_key_id: str | None,
        recovery_window: int | None,
    ) -> None:
        self._place = aws.place
        self._requests = SecretRequests(aws, kms_key_id)
        self._way: Any = {"RecoveryWindowInDays": recovery_window}
        self._last = _DELETED
        if recovery_window is None:
            self._way, self._last = {"ForceDeleteWithoutRecovery": True}, _ERASED

    def get(self, asked: _Exchange, name: str) -> Stored | None:
        """Return a secret's current value. None if there is no such secret, or it is deleted."""
        found = self._requests.get(asked, name)
        return None if found is None or _is_deleted(found.version) else found

    def get_all(self, asked: _Exchange, names: list[str]) -> dict[str, Stored]:
        """
        Return the current values of up to 20 secrets, by their names.

        What is left out may be there all the same: `get` tells.
        """
        found = self._requests.get_all(asked, names)
        return {name: each for name, each in found.items() if not _is_deleted(each.version)}

    def refuse_too_large(self, asked: _Exchange, text: str) -> None:
        """
        Make sure that a secret can hold a value.

        Raises:
            StoreError: It can't.
        """
        self._requests.checked(asked, text)

    def create(self, asked: _Exchange, name: str, text: str, tags: Mapping[str, str]) -> bool:
        """
        Make a secret, anew if it was deleted.

        Returns:
            False if there is one.

        Raises:
            StoreUnavailable: It is just being deleted, or was scheduled for
                deletion by somebody else.
        """
        version = uuid4().hex
        for _ in asked.tries():
            if self._requests.create(asked, name, text, tags, version):
                return True
            current, scheduled, old_tags = self._requests.describe(asked, name)
            if current is None:
                continue  # AWS is about to erase it
            if not _is_deleted(current):
                if scheduled:
                    raise self._deleted_by_others(asked, name)
                return False
            if scheduled and current.startswith(_DELETED):
                free = self._requests.restore(asked, name)
            else:
                # Who deleted it may be about to schedule it, unless that was long ago.
                free = not scheduled and self._is_abandoned(asked, name)
            if free:
                stale = [key for key in old_tags if key not in tags]
                return self.swap(asked, name, text, replaces=current, tags=tags, stale=stale)
        raise StoreUnavailable(
            f"{self._place.name}: the secret {name} is just being deleted",
            token_id=asked.record_id,
            hint="Try again in a minute or two",
        )

    def swap(
        self,
        asked: _Exchange,
        name: str,
        text: str,
        *,
        replaces: str,
        tags: Mapping[str, str],
        stale: Sequence[str],
    ) -> bool:
        """
        Give a secret another value.

        Args:
            asked: The exchange.
            name: The secret.
            text: The value.
            replaces: AWS's id of the version that has to be the current one.
            tags: What the secret is to be found by from now on, and was not before.
            stale: The keys of tags it is not to be found by any more.

        Returns:
            False if another version is the current one, or the secret is gone.
        """
        version = uuid4().hex
        if not self._requests.put(asked, name, text, version):
            return False
        # Before it is the current one, so that what can be read can be found.
        self._requests.tag(asked, name, tags)
        if not self._requests.move(asked, name, version, replaces):
            return False
        self._requests.untag(asked, name, stale)
        return True

    def remove(self, asked: _Exchange, name: str, *, replaces: str) -> bool:
        """
        Delete a secret.

        Args:
            asked: The exchange.
            name: The secret.
            replaces: AWS's id of the version that has to be the current one.

        Returns:
            False if another version is the current one, or the secret is gone.
        """
        version = self._last + uuid4().hex
        began = time.monotonic()
        if not self._requests.put(asked, name, _TEXT, version):
            return False
        if not self._requests.move(asked, name, version, replaces):
            return False
        # It is deleted. Scheduling has no condition: done late, it could
        # take what somebody has made anew meanwhile.
        if time.monotonic() - began < _SOON:
            self._requests.schedule(asked, name, self._way)
        return True

    def tidy(self, asked: _Exchange, name: str) -> None:
        """Schedule a secret whose deleter went away before that."""
        found = self._requests.get(asked, name)
        if found is not None and _is_deleted(found.version) and found.age > ABANDONED:
            self.remove(asked, name, replaces=found.version)

    def untag(self, asked: _Exchange, name: str, keys: Sequence[str]) -> None:
        """Take tags away."""
        self._requests.untag(asked, name, keys)

    def _is_abandoned(self, asked: _Exchange, name: str) -> bool:
        found = self._requests.get(asked, name)
        return found is not None and _is_deleted(found.version) and found.age > ABANDONED

    def _deleted_by_others(self, asked: _Exchange, name: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._place.name}: the secret {name} was scheduled for deletion outside "
            "tokenkeep, which does not undo that",
            token_id=asked.record_id,
            hint="To allow this login, restore it: aws secretsmanager restore-secret "
            f"--secret-id {name}",
        )


def _is_deleted(version: str) -> bool:
    return version.startswith((_DELETED, _ERASED))
