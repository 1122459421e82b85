"""Names of secrets, what secrets are found by, and lists of them."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import MARKS, WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from tokenkeep.backends.aws_client import AWSClient
    from tokenkeep.backends.base import Due, Mark, Record

_DIGITS = "0123456789abcdef"
_ID = re.compile(f"[{_DIGITS}]{{{WIDTH}}}")
_DUE = "tokenkeep:due:"

_PAGE = 100
_VALUES = 10
"""How many values one filter has at most."""


class Names:
    """
    The names of one store's secrets.

    Args:
        aws: The client.
        prefix: What they begin with, before a slash and the id.
    """

    def __init__(self, aws: AWSClient[SecretsManagerClient], prefix: str) -> None:
        self._aws = aws
        self._prefix = f"{prefix}/"

    def of(self, record_id: str) -> str:
        """Return the name of a record's secret."""
        return self._prefix + record_id

    def after(self, record_id: str | None) -> Iterator[str]:
        """
        Yield the ids behind one, in their order, with a bounded number of them in memory.

        AWS has no order of names to rely on, but a filter: where there are
        more names than one page holds, those with each next digit are asked for.
        """
        return self._behind("", record_id or "")

    def tagged(self, tags: Sequence[str]) -> Iterator[str]:
        """
        Yield the ids of secrets with one of these tags.

        AWS may take minutes to know of a tag, and to forget it: read them.
        """
        for start in range(0, len(tags), _VALUES):
            yield from (each for each, _ in self._listed("", tags[start : start + _VALUES]))

    def due(self) -> Iterator[Due]:
        """Yield when the secrets with such a tag are due, and their ids; late, as `tagged`."""
        return due_in(self._listed("", [_DUE]))

    def _behind(self, begin: str, start: str) -> Iterator[str]:
        """Yield the ids that begin so, behind *start*."""
        if start[: len(begin)] > begin:
            return
        page = list(islice((each for each, _ in self._listed(begin)), _PAGE + 1))
        if len(page) <= _PAGE or len(begin) == WIDTH:
            yield from sorted(each for each in page if each > start)
            return
        for digit in _DIGITS:
            yield from self._behind(begin + digit, start)

    def _listed(self, begin: str, tags: Sequence[str] = ()) -> Iterator[tuple[str, list[str]]]:
        """Yield the ids that begin so, of secrets with a tag that begins so, with their tags."""
        request: Any = {
            "MaxResults": _PAGE,
            "Filters": [{"Key": "name", "Values": [self._prefix + begin]}],
        }
        if tags:
            request["Filters"].append({"Key": "tag-key", "Values": tags})
        while True:
            answer = self._aws.begin().ask(lambda manager: manager.list_secrets(**request))
            for each in answer["SecretList"]:
                last = each["Name"].removeprefix(self._prefix)
                if _ID.fullmatch(last):
                    yield last, [tag["Key"] for tag in each.get("Tags", [])]
            token = answer.get("NextToken")
            if not token:
                return
            request["NextToken"] = token


def tag(mark: Mark) -> str:
    """Return the key of the tag for a mark."""
    return "tokenkeep:{}:{}".format(*mark)


def due_tag(due_at: float) -> str:
    """Return the key of the tag for a time."""
    return f"{_DUE}{float(due_at)!r}"


def tags(record: Record) -> dict[str, str]:
    """Return what a record is found by, with nothing as the value of each tag."""
    found = {
        tag((field, value)): "" for field in MARKS if (value := getattr(record, field)) is not None
    }
    if record.due_at is not None:
        found[due_tag(record.due_at)] = ""
    return found


def due_in(tagged: Iterable[tuple[str, Iterable[str]]]) -> Iterator[Due]:
    """
    Yield when records are due, and their ids.

    Args:
        tagged: Their ids and tags.
    """
    for record_id, keys in tagged:
        for key in keys:
            if key.startswith(_DUE):
                yield float(key.removeprefix(_DUE)), record_id
