"""The pickle of zcrmsdk 1 and 2, read as data: nothing in it is imported, called or run."""

from __future__ import annotations

import pickletools
import re
from io import BufferedReader, FileIO
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGINS = re.compile(rb"\x80[\x02-\x05]")
"""The first bytes of a pickle in the highest protocol, since Python 2.3."""

COLUMNS = ("userEmail", "refreshToken", "accessToken", "expiryTime")
"""The attributes of the one class whose objects are in it."""

_CLASS = re.compile(r"(.+\.)?OAuthClient ZohoOAuthTokens")
"""A program may have a copy of the SDK within a package of its own."""

_BYTES = {"SHORT_BINSTRING", "BINSTRING"}
_VALUES = {
    *("SHORT_BINUNICODE", "BINUNICODE", "NONE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG1"),
}
_PUT, _GET = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"BINGET", "LONG_BINGET"}
_NOTHING = {"PROTO", "FRAME"}

_SHAPE = re.compile(
    "(GLOBAL|V V STACK_GLOBAL) EMPTY_TUPLE NEWOBJ EMPTY_DICT MARK( V V)+ SETITEMS BUILD STOP"
)
"""A class, an object of it, and the names and values of its attributes: V is a value."""

_LONGEST = 1_000_000
"""How many bytes one value may have."""

_MOST = 200
"""How many steps an object may take; the SDK's take some 30."""


def tokens_in(path: Path, encoding: str) -> Iterator[dict[str, object] | None]:
    """
    Yield the attributes of each object, one after the other; then None if what follows is none.

    The SDK writes one pickle behind the other. Of the language of pickles only
    those words are known here that build such an object, in their one order.

    Args:
        path: Of the file.
        encoding: What the text of a program in Python 2 is in.

    Raises:
        OSError: It can't be read.
        UnicodeError: Text is in another encoding.
        LookupError: There is no such encoding.
    """
    with _Bounded(FileIO(path)) as file:
        while file.peek(1):
            found = _attributes(file, encoding)
            yield found
            if found is None:
                return


class _Bounded(BufferedReader):
    """A file for `pickletools.genops`, which takes a length that is written in it at its word."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, _LONGEST))


def _attributes(file: _Bounded, encoding: str) -> dict[str, object] | None:
    """Return what one object holds. None if it is anything but one of the SDK's tokens."""
    steps: list[tuple[str, Any]] = []
    memo: dict[Any, tuple[str, Any]] = {}
    try:
        for word, value, _ in islice(pickletools.genops(file), _MOST):
            if word.name in _PUT:
                memo[len(memo) if value is None else value] = steps[-1]
            elif word.name in _GET:
                steps.append(memo[value])
            elif word.name in _BYTES:
                steps.append(("V", str(value).encode("latin-1")))
            elif word.name not in _NOTHING:
                steps.append(("V" if word.name in _VALUES else word.name, value))
    except (ValueError, LookupError):  # cut off, or no pickle
        return None
    if not _SHAPE.fullmatch(" ".join(name for name, _ in steps)):
        return None
    given = (value for name, value in steps if name in {"V", "GLOBAL"})
    values = [each.decode(encoding) if isinstance(each, bytes) else each for each in given]
    # It is not looked for: its name has to do.
    name = values.pop(0) if steps[0][0] == "GLOBAL" else f"{values.pop(0)} {values.pop(0)}"
    found = dict(zip(map(str, values[::2]), values[1::2], strict=True))
    return found if _CLASS.fullmatch(name) and found.keys() >= set(COLUMNS) else None
