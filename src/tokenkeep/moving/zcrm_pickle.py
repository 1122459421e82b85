"""The pickle of zcrmsdk 1 and 2, read as data: nothing in it is imported, called or run."""

from __future__ import annotations

import pickletools
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

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
_PUT = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GET = {"BINGET", "LONG_BINGET"}
_NOTHING = {"PROTO", "FRAME"}

_LONGEST = 1_000_000
"""How many bytes one value may have."""

_MOST = 200
"""How many steps an object may take; the SDK's take some 30."""


class _Step(str):
    """What is done to the values before it."""

    __slots__ = ()


_STEPS = "GLOBAL EMPTY_TUPLE NEWOBJ EMPTY_DICT MARK SETITEMS BUILD STOP"
_SHAPE = [(_Step, word) for word in _STEPS.split()]
"""An object's steps; between the two lines are the names and values of its attributes."""


def tokens_in(file: BufferedReader, encoding: str) -> Iterator[dict[str, object] | None]:
    """
    Yield the attributes of each object, one after the other; then None if what follows is none.

    The SDK writes one pickle behind the other. Of the language of pickles only
    those words are known here that build such an object, in their one order.

    Args:
        file: A file in binary mode.
        encoding: What the text of a program in Python 2 is in.

    Raises:
        UnicodeError: Text is in another encoding.
        LookupError: There is no such encoding.
    """
    bounded = _Bounded(file)
    while file.peek(1):
        found = _attributes(bounded, encoding)
        yield found
        if found is None:
            return


class _Bounded:
    """A file for `pickletools.genops`, which takes a length that is written in it at its word."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Read, but nothing where the length is beyond reason."""
        return self._file.read(size) if size <= _LONGEST else b""

    def readline(self) -> bytes:
        """Read a line, or as much of it as is reasonable."""
        return self._file.readline(_LONGEST)


def _attributes(file: _Bounded, encoding: str) -> dict[str, object] | None:
    """Return what one object holds. None if it is anything but one of the SDK's tokens."""
    try:
        built = _built(file)
    except (ValueError, LookupError):  # another class, cut off, or no pickle
        return None
    head, given, tail = built[:5], built[5:-3], built[-3:]
    if (
        [(type(each), each) for each in head + tail] != _SHAPE
        or len(given) % 2
        or any(isinstance(each, _Step) for each in given)
    ):
        return None
    texts = [each.decode(encoding) if isinstance(each, bytes) else each for each in given]
    found = dict(zip(map(str, texts[::2]), texts[1::2], strict=True))
    return found if found.keys() >= set(COLUMNS) else None


def _built(file: _Bounded) -> list[Any]:
    """
    Return the values and the steps up to the end of a pickle, without what only moves them.

    A class is not looked for: its name has to do.
    """
    built: list[Any] = []
    memo: dict[Any, Any] = {}
    for word, value, _ in islice(pickletools.genops(file), _MOST):  # type: ignore[arg-type]  # it reads, no more
        name = word.name
        if name in _PUT:
            memo[len(memo) if value is None else value] = built[-1]
        elif name in _GET:
            built.append(memo[value])
        elif name in {"GLOBAL", "STACK_GLOBAL"}:
            parts = [str(value)] if name == "GLOBAL" else [str(built.pop(n)) for n in (-2, -1)]
            if not _CLASS.fullmatch(" ".join(parts)):
                raise ValueError("another class")
            built.append(_Step("GLOBAL"))
        elif name in _VALUES or name in _BYTES:
            built.append(str(value).encode("latin-1") if name in _BYTES else value)
        elif name not in _NOTHING:
            built.append(_Step(name))
    return built
