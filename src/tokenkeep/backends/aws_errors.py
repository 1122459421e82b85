"""What AWS answers instead of doing it: what it means, and our error for it, without its words."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from tokenkeep.errors import ConfigurationError, StoreError, StoreForeign, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = "docs/aws.md has the policy"

_THROTTLED = {
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_CREDENTIALS = {
    "ExpiredToken": "have expired",
    "ExpiredTokenException": "have expired",
    "IncompleteSignature": "are not those of AWS",
    "InvalidAccessKeyId": "are not known",
    "InvalidClientTokenId": "are not known",
    "MissingAuthenticationToken": "are missing",
    "MissingAuthenticationTokenException": "are missing",
    "NotAuthorized": "are not accepted",
    "OptInRequired": "have no access to this service or region",
    "SubscriptionRequiredException": "have no access to this service",
    "UnrecognizedClientException": "are not known, or not in this region",
}
_CLOCK = {
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_DENIED = {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
"""The number is what boto3 has where the answer is none of AWS's."""
_KEY = {"DecryptionFailure", "EncryptionFailure", "KMSAccessDeniedException"}
_ACTION = re.compile(r"not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9]+)")

_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.LoginError,
    boto.NoAuthTokenError,
    boto.MetadataRetrievalError,
    boto.RefreshWithMFAUnsupportedError,
)
_NOT_SENT = (
    boto.ConnectTimeoutError,
    boto.EndpointConnectionError,
    boto.ProxyConnectionError,
)


class Outcome(Enum):
    """What became of a request that failed."""

    REFUSED = "AWS did not do it, and would not do it now either"
    NOT_NOW = "it was not done, and may be tried again"
    UNKNOWN = "it may have been done"


class Place(NamedTuple):
    """
    Whose errors these are.

    Args:
        name: The store, as `Backend.describe` says it.
        service: As IAM calls it: ``secretsmanager`` or ``dynamodb``.
        endpoint: The URL that is asked, without a password.
    """

    name: str
    service: str
    endpoint: str


def code_of(exc: ClientError) -> str:
    """Return AWS's name for an error."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def outcome_of(exc: BotoCoreError | ClientError) -> Outcome:
    """Tell what became of a request."""
    if isinstance(exc, ClientError):
        if code_of(exc) in _THROTTLED:
            return Outcome.NOT_NOW
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Outcome.UNKNOWN if status >= 500 else Outcome.REFUSED  # noqa: PLR2004 - HTTP's
    if isinstance(exc, _NOT_SENT):
        return Outcome.NOT_NOW
    if isinstance(exc, boto.HTTPClientError):
        return Outcome.UNKNOWN
    return Outcome.REFUSED


def explain(
    exc: BotoCoreError | ClientError, place: Place, record_id: str | None = None
) -> StoreError:
    """
    Return our error for one of AWS; every one of them passes here.

    What AWS wrote is not repeated: it may quote what was sent.

    Args:
        exc: What AWS or boto3 says.
        place: Whose it is.
        record_id: The record that was asked for or written. None if it was none, or several.
    """
    if isinstance(exc, ClientError):
        if _is_another_table(exc):
            return StoreForeign(
                f"{place.name}: the table has other keys than the strings pk and sk",
                hint="Name another table, or let one be made with create=true",
            )
        what, hint = _answered(exc, place)
    else:
        what, hint = _unanswered(exc, place)
    return StoreUnavailable(f"{place.name}: {what}", token_id=record_id, hint=hint)


def misconfigured(exc: BotoCoreError | ValueError, service: str) -> ConfigurationError | None:
    """Return our error for a client that can't be made. None if it is not the configuration."""
    reasons: dict[type[Exception], tuple[str, str]] = {
        boto.NoRegionError: (
            "No AWS region is set",
            "Name it in the URL, in AWS_DEFAULT_REGION or in the profile",
        ),
        boto.InvalidRegionError: ("The AWS region is no region's name", "Such as eu-central-1"),
        boto.ProfileNotFound: (
            "The AWS profile is not in the configuration files",
            "See them with: aws configure list-profiles",
        ),
        boto.ConfigParseError: ("AWS's configuration file can't be read", "Correct it"),
        boto.ConfigNotFound: (
            "AWS's configuration file is not there",
            "AWS_CONFIG_FILE names it; correct or unset it",
        ),
        boto.InvalidProxiesConfigError: ("The proxy settings can't be used", "Correct them"),
        ValueError: (
            "The endpoint_url is no URL",
            "Such as https://secretsmanager.eu-central-1.amazonaws.com",
        ),
    }
    for kind, (what, hint) in reasons.items():
        if isinstance(exc, kind):
            return ConfigurationError(f"{what} (for {service})", hint=hint)
    return None


def _answered(exc: ClientError, place: Place) -> tuple[str, str]:
    code, action = code_of(exc), f"{place.service}:{exc.operation_name}"
    message = str(exc.response.get("Error", {}).get("Message", ""))
    for is_it, reason in _REASONS:
        if is_it(code, message):
            return reason(code, message, action)
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500:  # noqa: PLR2004 - HTTP's
        return f"{action} failed at AWS ({code or status})", "Try again"
    return (
        f"{action} was refused ({code})",
        f"See {place.service}'s API reference for this error; is {place.endpoint} its address?",
    )


def _is_another_table(exc: ClientError) -> bool:
    message = str(exc.response.get("Error", {}).get("Message", ""))
    return code_of(exc) == "ValidationException" and (
        "does not match the schema" in message or "Query condition missed key" in message
    )


def _missing(_: str, __: str, action: str) -> tuple[str, str]:
    return (
        f"What {action} needs is not there",
        "Is it the right region and account? A missing DynamoDB table is made with create=true",
    )


def _denied(_: str, message: str, action: str) -> tuple[str, str]:
    missing = _ACTION.search(message)
    if missing is None and "KMS" in message:
        return (
            f"AWS denied {action}: these credentials may not use the secret's KMS key",
            f"Allow kms:Decrypt and kms:GenerateDataKey on it; {DOCS}",
        )
    name = missing[1] if missing else action
    return f"AWS denied {name}", f"Allow {name} for these credentials; {DOCS}"


def _throttled(_: str, __: str, action: str) -> tuple[str, str]:
    return (
        f"AWS throttled {action}, and went on throttling",
        "Try again later, or ask AWS for a higher quota",
    )


def _expired(code: str, _: str, action: str) -> tuple[str, str]:
    return (
        f"The AWS credentials {_CREDENTIALS[code]} ({action}: {code})",
        "Get new ones where these come from: environment, profile, single sign-on or role",
    )


def _mistimed(code: str, _: str, action: str) -> tuple[str, str]:
    return (
        f"AWS did not accept the signature of {action} ({code})",
        "Check the AWS secret key, and this machine's clock",
    )


def _unencrypted(code: str, _: str, action: str) -> tuple[str, str]:
    return (
        f"The KMS key can't be used for {action} ({code})",
        f"Is it enabled, in this region, and are these credentials allowed to use it? {DOCS}",
    )


_REASONS: list[tuple[Callable[[str, str], bool], Callable[[str, str, str], tuple[str, str]]]] = [
    (lambda code, _: code in _DENIED, _denied),
    (lambda code, _: code == "ResourceNotFoundException", _missing),
    (lambda code, _: code in _CREDENTIALS, _expired),
    (lambda code, _: code in _CLOCK, _mistimed),
    (lambda code, _: code in _THROTTLED, _throttled),
    (lambda code, _: code in _KEY or code.startswith("KMS"), _unencrypted),
]


def _unanswered(exc: BotoCoreError, place: Place) -> tuple[str, str]:
    if isinstance(exc, _NO_CREDENTIALS):
        return (
            f"There are no AWS credentials ({type(exc).__name__})",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile, or run under a role",
        )
    if isinstance(exc, boto.SSLError):
        return (
            f"{place.endpoint} has no certificate that is trusted",
            "AWS_CA_BUNDLE names the certificates to trust",
        )
    if isinstance(exc, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return f"{place.endpoint} did not answer in time", "Try again; is the network slow?"
    if isinstance(exc, boto.ProxyConnectionError):
        return "The proxy can't be reached", "Check HTTPS_PROXY and NO_PROXY"
    if isinstance(exc, boto.ConnectionError | boto.HTTPClientError):
        return (
            f"{place.endpoint} can't be reached",
            "Check the region, endpoint_url and the network",
        )
    return f"boto3 can't ask {place.endpoint} ({type(exc).__name__})", "Check AWS's configuration"
