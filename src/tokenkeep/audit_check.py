"""Whether an audit is whole: what was changed, cut off, left out or put in, line by line."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenkeep.audit import LONGEST, OF_A_LOG, Head, Line, name_of, noted, opened
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tokenkeep.audit import Notes
    from tokenkeep.sealing import DataKeys

_REMEMBERED = 1000
"""How many lines back a chain may go on twice: what was written as a file was moved away."""

_ROTATED = re.compile(r"[.-]\d[\d.-]*(\.gz)?")
"""What logrotate puts behind a file's name."""


class Finding(NamedTuple):
    """
    Something that is not as it was written.

    Args:
        file: In which file, or of which chain.
        line: In which of its lines, from 1. None: at the end of a chain.
        what: What was found, as a sentence.
    """

    file: str
    line: int | None
    what: str


@dataclass
class Chain:
    """
    A chain as far as it was read.

    Args:
        name: On which host it is, and in which file; or the process, of a log.
        head: How far the store has noted that it came.
        is_noted: Whether it has.
        first: The number of the first line that was read.
        last: The highest.
        lines: How many there were.
        missed: How many deeds could not be written, as its lines say.
    """

    name: str
    head: Head
    is_noted: bool
    first: int = 0
    last: int = 0
    lines: int = 0
    missed: int = 0
    reached: bool = False
    broken: int = 0
    recent: dict[tuple[int, str], None] = field(default_factory=dict)
    wanted: dict[tuple[int, str], Finding] = field(default_factory=dict)

    def add(self, line: Line, file: str, number: int) -> Finding | None:
        """Take the next genuine line; return what is wrong with it, wherever the others are."""
        this, before = (line.seq, line.mac), (line.seq - 1, line.prev)
        if this in self.recent:
            return Finding(file, number, f"line {line.seq} of the chain again: it was put in")
        # As a file is moved away, two may write: the line before one may be in another file.
        if this in self.wanted and self.wanted[this].file != file:
            del self.wanted[this]
        if before not in self.recent and (wrong := self._wrong(line)):
            self.wanted[before] = Finding(file, number, wrong)
        self.first, self.last = self.first or line.seq, max(self.last, line.seq)
        self.lines, self.broken = self.lines + 1, 0
        self.missed += line.missed
        self.reached = self.reached or this == self.head[:2]
        self.recent[this] = None
        if len(self.recent) > _REMEMBERED:
            del self.recent[next(iter(self.recent))]
        return None

    def _wrong(self, line: Line) -> str | None:
        """Return what is wrong if the line before one is nowhere, but for what was found."""
        between = line.seq - 1 - self.last
        if not self.lines or 0 <= between <= self.broken > 0:
            return None
        if between > 0:
            some = "some of " if self.broken else ""
            return f"missing before it: {some}{_lines(self.last + 1, line.seq - 1)} of the chain"
        return f"line {line.seq} of the chain does not go on from the one before it"

    def end(self) -> str | None:
        """Return what is wrong with how the chain ends, if anything."""
        if self.name.startswith(OF_A_LOG):
            return None
        if not self.is_noted:
            return "the store has not noted it: what is cut off at its end can't be seen"
        if self.reached or self.head.seq < self.first:
            return None
        if self.last < self.head.seq:
            gone = _lines(self.last + 1, self.head.seq)
            return f"missing at the end: {gone} of the chain; cut off, or in newer files"
        return f"line {self.head.seq} of the chain is not the one that the store has noted"


class Check:
    """
    Read an audit's files, in whatever order they are given.

    Args:
        keys: The store's.
        notes: Where it has noted how far each chain has come.

    Attributes:
        chains: Those of this store that were met, by their names.
        others: How many lines are of other stores, by the names of those.
    """

    def __init__(self, keys: DataKeys, notes: Notes) -> None:
        self._keys = keys
        self._notes = notes
        self.chains: dict[str, Chain] = {}
        self.others: Counter[str] = Counter()

    def expect(self, chain: str) -> Chain:
        """Return what is known of a chain; that it is there at all, if it is noted."""
        if chain not in self.chains:
            version, head = noted(self._notes, chain)
            self.chains[chain] = Chain(chain, head, version is not None)
        return self.chains[chain]

    def findings(self, files: Iterable[Path]) -> Iterator[Finding]:
        """
        Yield all that is not as it was written.

        Raises:
            ConfigurationError: A file can't be read.
        """
        begun = [(self._first(file), file) for file in dict.fromkeys(files)]
        for _, file in sorted(begun, key=cmp_to_key(_in_order)):
            yield from self._of_file(file)
        for chain in self.chains.values():
            yield from chain.wanted.values()
            if wrong := chain.end():
                yield Finding(chain.name, None, wrong)

    def _first(self, file: Path) -> Line | None:
        """Return the first line of a file that is genuine."""
        found = (opened(raw.rstrip(b"\n"), self._keys) for raw in _read(file))
        return next(filter(None, found), None)

    def _of_file(self, file: Path) -> Iterator[Finding]:
        current, broken = "", 0
        number = 0
        for number, raw in enumerate(_read(file), 1):
            line = opened(raw.rstrip(b"\n"), self._keys)
            claimed = {} if line else _claimed(raw)
            store = claimed.get("store")
            is_other = isinstance(store, str) and store != name_of(self._keys)
            if line is None and not is_other and raw.endswith(b"\n"):
                broken += 1
                chain = self.chains.get(str(claimed.get("chain")), self.chains.get(current))
                if chain:
                    chain.broken += 1
                continue
            if broken:
                yield _broken(file, number - broken, broken)
                broken = 0
            if line is not None:
                current = line.chain
                if found := self.expect(current).add(line, str(file), number):
                    yield found
            elif is_other:
                self.others[str(store)] += 1
            # What has no end was cut off as it was written, or is being written.
        if broken:
            yield _broken(file, number - broken + 1, broken)


def with_rotated(path: Path) -> list[Path]:
    """Return those of a file, and the files that it became as it was rotated, that are there."""
    beside = path.parent.glob(f"{path.name}*") if path.parent.is_dir() else ()
    return [
        each for each in beside if each == path or _ROTATED.fullmatch(each.name[len(path.name) :])
    ]


def _broken(file: Path, first: int, count: int) -> Finding:
    more = f", and so are the {count - 1} below" if count > 1 else ""
    return Finding(str(file), first, f"it is not as this store wrote it: changed, or put in{more}")


def _lines(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first} to {last}"


def _read(file: Path) -> Iterator[bytes]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened_file:
            while line := opened_file.readline(LONGEST):
                end = line
                while len(end) == LONGEST and not end.endswith(b"\n"):
                    end = opened_file.readline(LONGEST)  # of a line that is none of ours
                yield line if end is line else line + end[-1:]
    except (OSError, EOFError, zlib.error) as exc:
        why = getattr(exc, "strerror", None) or "it is cut off or damaged"
        said = f"{file} can't be read: {why}"
        raise ConfigurationError(said, hint="Name files of the audit") from exc


def _claimed(raw: bytes) -> dict[str, Any]:
    """Return what a line says that may be anybody's."""
    with suppress(ValueError, RecursionError):
        found = json.loads(raw)
        if isinstance(found, dict):
            return found
    return {}


def _in_order(one: tuple[Line | None, Path], other: tuple[Line | None, Path]) -> int:
    """Tell which file was begun first: by numbers if both are of one chain, else by times."""
    mine, its = one[0], other[0]
    if mine is None or its is None:
        return (mine is not None) - (its is not None)
    if mine.chain == its.chain:
        return mine.seq - its.seq
    return (mine.at > its.at) - (mine.at < its.at)
