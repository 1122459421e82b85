"""
What the benchmarks share: rounds in turn, made-up tokens, the table they print.

Every figure stands beside a floor measured in the same run. Both take turns in
many short rounds. The figure of each is its fastest round, which is what is
left when nothing else on the machine was in the way; of servers it is the
median, since who waits for another process is not alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import secrets
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenkeep import Token, Vault, generate_key, open_store, records, saving
from tokenkeep.backends.rows import COLUMNS, to_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokenkeep.backends import Record
    from tokenkeep.records import Kept

HOT = 10
"""How many users of all are asked for again and again."""

NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
SELECT_ALL = f"SELECT {NAMES} FROM token"
SELECT = f"{SELECT_ALL} WHERE id = ?"
INSERT = f"INSERT INTO token ({NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"
UPSERT = f"{INSERT} ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f'"{name}" = excluded."{name}"' for name in COLUMNS if name != "id"
)


@dataclass
class Case:
    """
    One line of the table.

    Args:
        name: What was measured.
        n: How many tokens, callers or processes; see the title.
        ours: In *unit*.
        floor: Likewise. None if there is nothing to hold it against.
        ratio: ours / floor.
        target: What *ratio*, or *ours* where there is no ratio, may be at most.
            None for what is shown for comparison.
        met: Whether the target is met. None if there is none.
        note: What else there is to say.
    """

    name: str
    n: int | str
    ours: float
    floor: float | None = None
    ratio: float | None = None
    target: float | None = None
    met: bool | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.ratio is None and self.floor:
            self.ratio = self.ours / self.floor
        if self.met is None and self.target is not None:
            judged = self.ours if self.ratio is None else self.ratio
            self.met = judged <= self.target


def options(description: str, *, rows: int | None = None) -> argparse.Namespace:
    """
    Read the options every benchmark takes.

    Args:
        description: What it measures.
        rows: How many rows one with ``--rows`` has if that is not given. None
            for those that don't take it.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--full", action="store_true", help="more tokens and more rounds")
    if rows is not None:
        parser.add_argument("--rows", type=int, default=rows, help="how many rows are stored")
    return parser.parse_args()


def report(title: str, unit: str, cases: list[Case], given: argparse.Namespace) -> None:
    """Print the cases; as JSON on one line each where asked for."""
    if given.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        for case in cases:
            print(json.dumps({"benchmark": title, "unit": unit, **machine, **asdict(case)}))
        return
    print(f"\n{title} ({unit})")
    head = ("case", "N", "ours", "floor", "ratio", "target", "met", "")
    lines = [head] + [
        (
            case.name,
            f"{case.n:,}" if isinstance(case.n, int) else case.n,
            _number(case.ours),
            _number(case.floor),
            "" if case.ratio is None else f"{case.ratio:.2f}",
            "" if case.target is None else f"{case.target:g}",
            {True: "yes", False: "NO", None: ""}[case.met],
            case.note,
        )
        for case in cases
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        first, *numbers, last = line
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=False)]
        print("  ".join([*cells, last]).rstrip())
    sys.stdout.flush()


def in_turn(
    functions: dict[str, Callable[[], object]], *, rounds: int, calls: int
) -> dict[str, list[float]]:
    """
    Time functions in turn, in another order each round.

    Args:
        functions: By name.
        rounds: How often each has its turn.
        calls: How many calls one turn of a function makes in all, to divide by.

    Returns:
        Microseconds per call, for each function one figure a round.
    """
    for function in functions.values():
        function()  # warm: caches, lazily loaded modules, the database's pages
    took: dict[str, list[float]] = {name: [] for name in functions}
    # What a benchmark has made for itself is nobody's garbage to look through.
    gc.collect()
    gc.freeze()
    # Who comes first to a file after others pays for it: each its turn, the same ones each run.
    luck, order = random.Random(1), list(functions)
    for _ in range(rounds):
        luck.shuffle(order)
        for name in order:
            function = functions[name]
            start = time.perf_counter()
            function()
            took[name].append((time.perf_counter() - start) / calls * 1e6)
    return took


def against(
    took: dict[str, list[float]],
    name: str,
    floor: str,
    *,
    n: int | str,
    of: Callable[[list[float]], float] = min,
    **more: Any,
) -> Case:
    """Return the case of one function beside another of the same rounds: the fastest of each."""
    label = more.pop("label", name)
    return Case(name=label, n=n, ours=of(took[name]), floor=of(took[floor]), **more)


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder, with a key of its own for whatever store is opened in it."""
    path = Path(tempfile.mkdtemp(prefix="tokenkeep-bench-"))
    before = {name: os.environ.get(name) for name in ("TOKENKEEP_KEYS", "HOME")}
    # Nobody's real keys, configuration or tokens are touched.
    os.environ.update(TOKENKEEP_KEYS=generate_key(), HOME=str(path))
    try:
        yield path
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(path, ignore_errors=True)


def access_token() -> str:
    """Make up an access token as long as Zoho's."""
    return f"1000.{secrets.token_hex(32)}"


def user_of(number: int) -> str:
    """Return whose made-up token that is."""
    return f"user{number}@example.com:{6_000_000 + number}"


def made_up(number: int) -> Token:
    """Make up the token of user *number*, as a login gives it."""
    return Token(
        user=user_of(number),
        client_id="1000.MADEUPCLIENT0000000000000000",
        client_secret=secrets.token_hex(21),
        access_token=access_token(),
        refresh_token=f"1000.{secrets.token_hex(32)}",
        expires_at=time.time() + 3600,
        provider="zoho",
        issuer="https://accounts.zoho.com/oauth/v2/token",
        api_domain="https://www.zohoapis.com",
        data_center="us",
        environment="production",
    )


def sealed(store: Vault, token: Token) -> Record:
    """Seal a made-up token into the record that there is once it was saved."""
    stored = saving.first(token, login=secrets.token_hex(16), now=time.time())
    return seal(store, stored)


def seal(store: Vault, kept: Kept) -> Record:
    """Seal something under a new id; it is for nothing else, unless it says what it is for."""
    rows = store._rows  # noqa: SLF001  # as saving does it
    number = secrets.token_hex(16)
    if isinstance(kept, Token):
        kept = kept.but(id=records.token_id(number), version=number, owner=rows.owner(kept))
    else:
        kept = replace(kept, id=number, version=number, owner=number)
    return records.seal(kept, rows.header.keys, store.providers.tenant, store.due_of)


def fill(store: Vault, path: Path, n: int) -> list[str]:
    """
    Put *n* tokens in a SQLite store, in one transaction, and return their ids.

    The rows are those that saving one by one makes; that would take minutes.
    """

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(n):
            record = sealed(store, made_up(number))
            ids.append(records.token_id(record.id))
            yield to_row(record)

    open_store(f"sqlite:///{path}", make=True).close()
    ids: list[str] = []
    insert(path, rows())
    return ids


def insert(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows into the table of a SQLite store, in one transaction."""
    db = sqlite3.connect(path)
    with db:
        db.executemany(INSERT, rows)
    # Not truncated: what a store that is in use writes to has had its full length for long.
    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    db.close()


def insert_very_many(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert very many rows: in one transaction, and the indexes made after it."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    indexes = db.execute(query).fetchall()
    with db:
        db.execute("BEGIN")
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        db.executemany(INSERT, rows)
        for _, sql in indexes:
            db.execute(sql)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def record_id(token_id: str) -> str:
    """Return the id of a token's record."""
    return str(records.record_id(token_id))


def kept_connection(path: Path) -> sqlite3.Connection:
    """Open a database as the floor does: once, WAL, synchronous=FULL, one statement a commit."""
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("PRAGMA synchronous = FULL")
    return db


def copy_of(source: Path, target: Path, *, indexes: bool = True) -> sqlite3.Connection:
    """Copy the tokens' table to another file for the floor, with all its indexes or with ids'."""
    reader, db = sqlite3.connect(source), kept_connection(target)
    db.execute("BEGIN")
    for name, sql in reader.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC"
    ).fetchall():
        if indexes or name in {"token", "token_id"}:
            db.execute(sql)
    db.executemany(INSERT, reader.execute(SELECT_ALL))
    db.execute("COMMIT")
    reader.close()
    return db


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
