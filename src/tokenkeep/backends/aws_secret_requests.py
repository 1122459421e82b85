"""The requests that Secrets Manager is sent, and which of its refusals are answers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tokenkeep.backends.aws_errors import code_of
from tokenkeep.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from tokenkeep.backends.aws_client import AWSClient, Exchange

    _Exchange = Exchange[SecretsManagerClient]

CURRENT = "AWSCURRENT"
PENDING = "tokenkeep-pending"
"""The label of a value that is about to become the current one. Each new one takes it."""

MOST_BYTES = 65_536
"""Secrets Manager's limit of a value."""

_GONE = ("ResourceNotFoundException", "InvalidRequestException")
"""The secret is not there; or it is, and is scheduled for deletion."""


@dataclass(frozen=True, slots=True)
class Stored:
    """
    A secret's current value.

    Args:
        version: AWS's id of it.
        text: The value.
        age: How old it is by AWS's own clock, in seconds. 0 if AWS does not say.
    """

    version: str
    text: str
    age: float


class SecretRequests:
    """
    Ask Secrets Manager.

    Args:
        aws: The client.
        kms_key_id: The KMS key of new secrets. None means AWS's own.
    """

    def __init__(self, aws: AWSClient[SecretsManagerClient], kms_key_id: str | None) -> None:
        self._aws = aws
        self._key: Any = {"KmsKeyId": kms_key_id} if kms_key_id else {}

    def get(self, asked: _Exchange, name: str) -> Stored | None:
        """Return a secret's current value. None if there is no such secret, or not any more."""
        try:
            answer: Any = asked.ask(
                # Named, though it is the default: moto's server goes on
                # answering with the first value otherwise.
                lambda manager: manager.get_secret_value(SecretId=name, VersionStage=CURRENT),
                *_GONE,
            )
        except ClientError as exc:
            if code_of(exc) == "InvalidRequestException" and not self.describe(asked, name)[1]:
                raise self._aws.explain(exc, asked.record_id) from None
            return None
        return _stored(answer)

    def get_all(self, asked: _Exchange, names: list[str]) -> dict[str, Stored]:
        """
        Return the current values of up to 20 secrets, by their names.

        One that is left out may be gone, or may not be read: `get` tells.
        """
        answer: Any = asked.ask(lambda manager: manager.batch_get_secret_value(SecretIdList=names))
        # Some are not the current ones: always with moto's server, which goes on
        # answering with the first value. They are left out.
        return {
            each["Name"]: _stored(each)
            for each in answer["SecretValues"]
            if CURRENT in each.get("VersionStages", ())
        }

    def describe(self, asked: _Exchange, name: str) -> tuple[str | None, bool, list[str]]:
        """
        Say how a secret is.

        Returns:
            AWS's id of its current version, None if there is none; whether it
            is scheduled for deletion; and the keys of its tags.
        """
        try:
            answer: Any = asked.ask(
                lambda manager: manager.describe_secret(SecretId=name),
                "ResourceNotFoundException",
            )
        except ClientError:
            return None, False, []
        stages: dict[str, list[str]] = answer.get("VersionIdsToStages", {})
        current = next((each for each, labels in stages.items() if CURRENT in labels), None)
        tags = [tag["Key"] for tag in answer.get("Tags", [])]
        return current, answer.get("DeletedDate") is not None, tags

    def create(
        self, asked: _Exchange, name: str, text: str, tags: Mapping[str, str], token: str
    ) -> bool:
        """
        Make a secret, whose first version has the id *token*.

        Returns:
            False if there is one of that name, scheduled for deletion or not.
        """
        try:
            asked.ask(
                lambda manager: manager.create_secret(
                    Name=name,
                    ClientRequestToken=token,
                    Description="A token sealed by tokenkeep, which alone may change it",
                    SecretString=self.checked(asked, text),
                    Tags=_tags(tags),
                    **self._key,
                ),
                "ResourceExistsException",
                "InvalidRequestException",
            )
        except ClientError:
            return False
        return True

    def put(self, asked: _Exchange, name: str, text: str, version: str) -> bool:
        """Put a value beside the current one. False if the secret is gone."""
        try:
            asked.ask(
                lambda manager: manager.put_secret_value(
                    SecretId=name,
                    ClientRequestToken=version,
                    SecretString=self.checked(asked, text),
                    VersionStages=[PENDING],
                ),
                *_GONE,
                "LimitExceededException",
            )
        except ClientError as exc:
            if code_of(exc) == "LimitExceededException":
                raise StoreUnavailable(
                    f"{self._aws.place.name}: the secret {name} has as many versions as AWS "
                    "allows: about a hundred in 24 hours",
                    token_id=asked.record_id,
                    hint="This token is written too often for Secrets Manager; "
                    "keep it in DynamoDB or a database",
                ) from None
            return False
        return True

    def move(self, asked: _Exchange, name: str, version: str, replaces: str) -> bool:
        """
        Make a version the current one, instead of a named one.

        Returns:
            False if that is not the current one, or the secret is gone.
        """
        try:
            asked.send(
                lambda manager: manager.update_secret_version_stage(
                    SecretId=name,
                    VersionStage=CURRENT,
                    RemoveFromVersionId=replaces,
                    MoveToVersionId=version,
                ),
                "InvalidParameterException",
                *_GONE,
            )
        except ClientError as exc:
            current, scheduled, _ = self.describe(asked, name)
            if current == replaces and not scheduled:
                raise self._aws.explain(exc, asked.record_id) from None
            return False
        return True

    def tag(self, asked: _Exchange, name: str, tags: Mapping[str, str]) -> None:
        """Give a secret more tags."""
        if tags:
            asked.ask(lambda manager: manager.tag_resource(SecretId=name, Tags=_tags(tags)))

    def untag(self, asked: _Exchange, name: str, keys: Sequence[str]) -> None:
        """Take tags away."""
        if keys:
            with suppress(ClientError):  # gone meanwhile
                asked.ask(
                    lambda manager: manager.untag_resource(SecretId=name, TagKeys=list(keys)),
                    *_GONE,
                )

    def schedule(self, asked: _Exchange, name: str, way: Mapping[str, Any]) -> None:
        """
        Schedule a secret for deletion, or erase it.

        Args:
            asked: The exchange.
            name: The secret.
            way: DeleteSecret's parameters that say when.
        """
        # Sent once: done again, it could take what was made anew meanwhile.
        with suppress(ClientError):  # scheduled already
            asked.send(lambda manager: manager.delete_secret(SecretId=name, **way), *_GONE)

    def restore(self, asked: _Exchange, name: str) -> bool:
        """Take back that a secret is scheduled for deletion. False if it is gone."""
        try:
            asked.ask(lambda manager: manager.restore_secret(SecretId=name), *_GONE)
        except ClientError:
            return False
        return True

    def checked(self, asked: _Exchange, text: str) -> str:
        if len(text) > MOST_BYTES:  # it is ASCII
            raise StoreError(
                f"This token takes {len(text)} bytes, and a secret holds {MOST_BYTES}",
                token_id=asked.record_id,
                hint="Is something else than a token in one of its fields?",
            )
        return text


def _stored(answer: Any) -> Stored:
    """Return the value in an answer of GetSecretValue, or in one part of BatchGetSecretValue."""
    age = 0.0
    sent = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if sent and "CreatedDate" in answer:
        age = (parsedate_to_datetime(sent) - answer["CreatedDate"]).total_seconds()
    return Stored(
        version=str(answer["VersionId"]),
        text=str(answer.get("SecretString", "")),
        age=age,
    )


def _tags(tags: Mapping[str, str]) -> Any:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
