"""Four processes on one store: 95 % find, 5 % save, five seconds; then everything is counted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import secrets
import sqlite3
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from common import (
    SELECT,
    SELECT_ALL,
    UPSERT,
    Case,
    access_token,
    copy_of,
    fill,
    folder,
    kept_connection,
    made_up,
    options,
    record_id,
    report,
)

from tokenkeep.backends.base import MARKS
from tokenkeep.backends.rows import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

PROCESSES = 4
USERS = 100
SECONDS = 5.0
SAVES = 0.05


class Row(NamedTuple):
    """A stored token, as all processes know it."""

    id: str
    user: str
    client_id: str
    client_secret: str
    refresh_token: str


class Done(NamedTuple):
    """What one process did: how often, and what of it was acknowledged."""

    finds: int
    saves: int
    errors: Counter[str]
    mixed: int
    last: dict[str, str]
    """The access token this process saved last, for each of its own users."""
    logins: list[str]
    """Users it saved for the first time."""
    slowest: float


class Client:
    """One process's way to a store: find by id, save."""

    def __init__(self, place: str) -> None:
        from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
        from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

        self._token, self._signature = OAuthToken, UserSignature
        self.store = self.opened(place)

    def opened(self, place: str) -> Any:
        raise NotImplementedError

    def find(self, row: Row) -> str | None:
        """Return whose token it is."""
        signature = self.store.find_token_by_id(row.id).get_user_signature()
        return signature and signature.get_name()

    def save(self, row: Row, value: str) -> None:
        token = self._token(
            client_id=row.client_id,
            client_secret=row.client_secret,
            refresh_token=row.refresh_token,
            access_token=value,
            user_signature=self._signature(row.user),
            id=row.id or None,
            api_domain="https://www.zohoapis.com",
        )
        token.set_expires_in(str(int((time.time() + 3600) * 1000)))
        self.store.save_token(token)


class Ours(Client):
    def opened(self, place: str) -> Any:
        from tokenkeep.integrations.zoho_sdk import SDKStore

        return SDKStore(place if "://" in place else f"sqlite:///{place}")


class FileStore(Client):
    def opened(self, place: str) -> Any:
        from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore

        return FileStore(place)


class Floor(Client):
    """The same selects and upserts on a kept connection, and no more."""

    def opened(self, place: str) -> Any:
        return kept_connection(place)

    def find(self, row: Row) -> str | None:
        return self.store.execute(SELECT, (record_id(row.id),)).fetchone() and row.user

    def save(self, row: Row, value: str) -> None:  # noqa: ARG002  # what is written is random
        # Any row will do for the size of a new user's.
        query, of = (
            (SELECT, (record_id(row.id),))
            if row.id
            else (f"{SELECT_ALL} WHERE kind = 'row' LIMIT 1", ())
        )
        new = dict(zip(COLUMNS, self.store.execute(query, of).fetchone(), strict=True))
        changed = ("version", "access") if row.id else ("id", "version", "owner", *MARKS)
        new |= {name: secrets.token_hex(16) for name in changed}
        new["sealed"] = os.urandom(len(new["sealed"]))
        self.store.execute(UPSERT, tuple(new.values()))


def work(  # noqa: PLR0917  # multiprocessing passes them on by position
    kind: type[Client], place: str, number: int, rows: list[Row], barrier: Any, results: Any
) -> None:
    client = kind(place)
    random.seed(number)
    errors: Counter[str] = Counter()
    mine = rows[number::PROCESSES]
    last: dict[str, str] = {}
    logins: list[str] = []
    finds = saves = mixed = 0
    slowest = 0.0
    barrier.wait()
    end = time.monotonic() + SECONDS
    while (now := time.monotonic()) < end:
        try:
            if random.random() >= SAVES:
                row = random.choice(rows)
                mixed += client.find(row) != row.user
                finds += 1
            elif random.random() < 0.9:
                row, value = random.choice(mine), access_token()
                client.save(row, value)
                last[row.user] = value
                saves += 1
            else:
                new = made_up(1_000_000 * (number + 1) + len(logins))
                row = Row("", new.user, new.client_id, new.client_secret, new.refresh_token)
                client.save(row, new.access_token)
                last[new.user] = new.access_token
                logins.append(new.user)
                saves += 1
        except Exception as exc:  # noqa: BLE001  # what goes wrong is what is counted
            errors[type(exc).__name__] += 1
        slowest = max(slowest, time.monotonic() - now)
    results.put(Done(finds, saves, errors, mixed, last, logins, slowest))


def run(kind: type[Client], place: Path | str, rows: list[Row]) -> tuple[list[Done], float]:
    """Let all processes work; return what they did, and finds a second in all."""
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(PROCESSES), spawn.Queue()
    started = [
        spawn.Process(target=work, args=(kind, str(place), i, rows, barrier, results))
        for i in range(PROCESSES)
    ]
    for process in started:
        process.start()
    done = [results.get(timeout=120) for _ in started]
    for process in started:
        process.join()
    return done, sum(each.finds for each in done) / SECONDS


def verdict(done: list[Done], found: list[tuple[str, str]]) -> str:
    """
    Compare what was acknowledged with what is there.

    Args:
        done: By each process.
        found: User and access token of each row.
    """
    there = Counter(user for user, _ in found)
    values = set(found)
    acknowledged = [pair for each in done for pair in each.last.items()]
    lost = sum(pair not in values for pair in acknowledged)
    twice = sum(count > 1 for count in there.values())
    errors = sum((each.errors for each in done), Counter())
    mixed = sum(each.mixed for each in done)
    named = f" ({', '.join(sorted(errors))})" if errors else ""
    return (
        f"{sum(errors.values())} errors{named}, {lost} of {len(acknowledged)} users' last save"
        f" lost, {twice} duplicates, {mixed} mixed up"
    )


def file_rows(place: Path) -> list[tuple[str, str]]:
    from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore as SDKFileStore

    with contextlib.suppress(Exception):
        return [
            (
                t.get_user_signature().get_name() if t.get_user_signature() else "",
                t.get_access_token(),
            )
            for t in SDKFileStore(str(place)).get_tokens()
        ]
    return []


def main() -> None:
    given = options(__doc__)
    with folder() as path:
        ours = Ours(str(path / "ours.db"))
        vault = ours.store.keeper.store
        fill(vault, path / "ours.db", USERS)
        rows = [
            Row(t.id, t.user, t.client_id, t.client_secret, t.refresh_token)
            for t in vault.iter_tokens()
        ]
        copy_of(path / "ours.db", path / "floor.db").close()
        csv = FileStore(str(path / "tokens.csv"))
        for row in rows:
            csv.save(row._replace(id=""), access_token())
        by_user = {t.get_user_signature().get_name(): t.get_id() for t in csv.store.get_tokens()}
        csv_rows = [row._replace(id=by_user[row.user]) for row in rows]

        _, before = run(Floor, path / "floor.db", rows)
        done, per_second = run(Ours, path / "ours.db", rows)
        _, after = run(Floor, path / "floor.db", rows)
        theirs, csv_per_second = run(FileStore, path / "tokens.csv", csv_rows)

        found = [(str(t.user), str(t.access_token)) for t in vault.iter_tokens()]
        ids = [t.id for t in vault.iter_tokens()]
        integrity = sqlite3.connect(path / "ours.db").execute("PRAGMA integrity_check").fetchone()
        told = verdict(done, found)
        sound = (
            told.startswith("0 errors, 0 of")
            and told.endswith("0 duplicates, 0 mixed up")
            and len(ids) == len(set(ids)) == USERS + sum(len(each.logins) for each in done)
            and integrity == ("ok",)
        )
        told_of_csv = verdict(theirs, file_rows(path / "tokens.csv"))
    floor = (before + after) / 2
    saved = sum(each.saves for each in done)
    slowest = max(each.slowest for each in done) * 1000
    found_cases = [
        Case("SDKStore, finds a second", PROCESSES, per_second, floor, met=sound, note=told),
        Case("SDKStore, saves a second", PROCESSES, saved / SECONDS),
        Case("SDKStore, slowest call, ms", PROCESSES, slowest),
        Case("FileStore, finds a second", PROCESSES, csv_per_second, floor, note=told_of_csv),
    ]
    title = f"{PROCESSES} processes, 95 % find, 5 % save, {SECONDS:g} s"
    report(title, "a second: more is better", found_cases, given)


if __name__ == "__main__":
    main()
