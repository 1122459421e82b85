"""Names of secrets: ids to names and back, what secrets are found by, and lists of them."""

from __future__ import annotations

import re
from hashlib import sha256
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from tokenkeep.backends.aws_client import AWSClient
    from tokenkeep.backends.base import Record

_ID = re.compile(r"[0-9a-f]{32}")
_DIGITS = "0123456789abcdef"
_DIGITS_OF_ID = 32
_LONGEST = 512
"""Secrets Manager's limit of a name."""

_PAGE = 100
_VALUES = 10
"""How many values one filter has at most."""


class Names:
    """
    The names of one store's secrets.

    Args:
        aws: The client.
        prefix: What they begin with, before a slash.
    """

    def __init__(self, aws: AWSClient[SecretsManagerClient], prefix: str) -> None:
        self._aws = aws
        self._prefix = f"{prefix}/"

    def of(self, record_id: str) -> str | None:
        """Return the name of a record's secret. None if it can't have one."""
        # Ids that are not tokenkeep's own have any character, and names have not.
        last = record_id if _ID.fullmatch(record_id) else f"x{record_id.encode().hex()}"
        name = self._prefix + last
        return name if len(name) <= _LONGEST and last != "x" else None

    def after(self, record_id: str | None) -> Iterator[str]:
        """
        Yield the ids behind one, in their order, with a bounded number of them in memory.

        AWS has no order of names to rely on, but a filter: where there are
        more names than one page holds, those with each next digit are asked for.
        """
        start = "" if record_id is None else record_id
        page = self._page("")
        if page is not None:
            return iter(sorted(each for each in map(_id, page) if each > start))
        foreign = sorted(map(_id, self._listed("x")))
        own = (each for digit in _DIGITS for each in self._own(digit, start))
        return merge(own, (each for each in foreign if each > start))

    def tagged(self, field: str, values: Sequence[str]) -> Iterator[str]:
        """
        Yield the ids of secrets with a tag for one of these values.

        AWS may take minutes to know of a tag, and to forget it: read them.
        """
        keys = [tag(field, value) for value in values]
        for start in range(0, len(keys), _VALUES):
            wanted = {"Key": "tag-key", "Values": keys[start : start + _VALUES]}
            yield from map(_id, self._listed("", wanted))

    def _own(self, begin: str, start: str) -> Iterator[str]:
        """Yield the ids of tokenkeep's own kind that begin so, behind *start*."""
        if start[: len(begin)] > begin:
            return
        page = self._page(begin)
        if page is not None:
            yield from sorted(each for each in page if each > start)
            return
        for digit in _DIGITS:
            yield from self._own(begin + digit, start)

    def _page(self, begin: str) -> list[str] | None:
        """Return the last parts of all names that begin so. None if there are too many."""
        found = list(islice(self._listed(begin), _PAGE + 1))
        return found if len(found) <= _PAGE or len(begin) == _DIGITS_OF_ID else None

    def _listed(self, begin: str, *filters: Any) -> Iterator[str]:
        """Yield the last parts of the names that begin so."""
        request: Any = {
            "MaxResults": _PAGE,
            "Filters": [{"Key": "name", "Values": [self._prefix + begin]}, *filters],
        }
        while True:
            answer = self._aws.begin().ask(lambda manager: manager.list_secrets(**request))
            for each in answer["SecretList"]:
                last = each["Name"].removeprefix(self._prefix)
                if _ID.fullmatch(last) or _is_foreign(last):
                    yield last
            token = answer.get("NextToken")
            if not token:
                return
            request["NextToken"] = token


def id_for(identity: str) -> str:
    """Return the id of the record that has an identity: there can only be one secret of a name."""
    return sha256(f"tokenkeep id\0{identity}".encode()).hexdigest()[:32]


def tag(field: str, value: str) -> str:
    """Return the key of the tag for a value; a digest, since tags allow few characters."""
    return f"tokenkeep:{field}:{sha256(value.encode()).hexdigest()}"


def tags(record: Record) -> dict[str, str]:
    """Return what a record is found by, with nothing as the value of each tag."""
    return {
        tag(field, value): ""
        for field in FIELDS
        if field != "identity" and (value := getattr(record, field)) is not None
    }


def _id(last: str) -> str:
    return bytes.fromhex(last[1:]).decode() if last[0] == "x" else last


def _is_foreign(last: str) -> bool:
    if re.fullmatch(r"x(?:[0-9a-f]{2})+", last) is None:
        return False
    try:
        bytes.fromhex(last[1:]).decode()
    except UnicodeDecodeError:
        return False
    return True
