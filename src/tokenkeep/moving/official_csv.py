"""The CSV file that the official SDK's FileStore reads: every secret in the clear."""

from __future__ import annotations

import csv
import os
import secrets
from collections import Counter
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Protocol

from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.folder_journal import sync_folder
from tokenkeep.importing.clashes import Best
from tokenkeep.importing.columns import HEADERS
from tokenkeep.moving.settled import expect_settled, finish_moves
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tokenkeep.vault import Vault

EXPORTED = "exported"


class Writer(Protocol):
    """What `csv.writer` returns, whose class has no public name."""

    def writerow(self, row: Sequence[object], /) -> Any:
        """Write one line."""


def export_csv(
    store: Vault,
    path: Path,
    *,
    now: float,
    environment: str = "production",
    on_token: Callable[[Token], None] | None = None,
) -> Counter[str]:
    """
    Write a store's tokens as the FileStore of zohocrmsdk5_0 to 8_0 does.

    The file appears when it is complete, for its owner alone. Tokens that
    are of no use are left out, and so are all but one of each user: the
    FileStore finds a user's first row, whatever client, data centre and
    environment it is of.

    Args:
        store: Where the tokens are.
        path: Of the file, which must not be there.
        now: Epoch seconds.
        environment: Whose tokens are written.
        on_token: Called with each token as it is read. None means that nobody
            has to know.

    Returns:
        How many were exported, and how many left out, by the reason.

    Raises:
        ConfigurationError: There is such a file, or it can't be written.
        StoreError: The store can't be read, or answers wait to be saved in it.
        KeyMissing: A token was sealed under a key that is not in the ring.
    """
    expect_settled(store)
    finish_moves(store, now)
    if os.path.lexists(path):
        raise _taken(path)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # As the SDK writes it: in UTF-8, lines end with a carriage return too.
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                with closing(Best()) as latest:
                    export = _Export(store, now, environment, latest)
                    counts = export.write(csv.writer(file), on_token)
                file.flush()
                os.fsync(file.fileno())
            # A link never takes another file's place.
            os.link(aside, path)
        finally:
            with suppress(FileNotFoundError):
                aside.unlink()
        sync_folder(path.parent)
    except FileExistsError as exc:
        raise _taken(path) from exc
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc
    return counts


class _Export:
    def __init__(self, store: Vault, now: float, environment: str, latest: Best) -> None:
        self._store = store
        self._now = now
        self._environment = environment
        self._latest = latest

    def write(self, rows: Writer, on_token: Callable[[Token], None] | None) -> Counter[str]:
        for token in self._store.iter_tokens():
            if token.user and self._useless(token) is None:
                written = token.updated_at or token.created_at or 0.0
                self._latest.add(token.user, written, token.id)
        rows.writerow(HEADERS[0].split(","))
        counts = Counter({EXPORTED: 0})
        for token in self._store.iter_tokens():
            if on_token is not None:
                on_token(token)
            reason = self._useless(token) or self._earlier(token)
            counts[reason or EXPORTED] += 1
            if reason is None:
                rows.writerow(_row(counts[EXPORTED], token))
        return counts

    def _useless(self, token: Token) -> str | None:
        """Say why a token is left out. None if it is not."""
        if token.status is not Status.OK:
            return token.status.value
        try:
            speaks = self._store.providers.of(token).name
        except UnknownName:
            speaks = None
        if speaks != "zoho":
            return "of another provider"
        is_over = token.expires_at is not None and token.expires_at <= self._now
        if not token.refresh_token and token.access_token and is_over:
            return "expired without a refresh token"
        its = token.environment or "production"  # what the SDK takes it for
        return None if its == self._environment else f"of the environment {its}"

    def _earlier(self, token: Token) -> str | None:
        if not token.user or self._latest.of(token.user) in (None, token.id):
            return None
        return "of a user whose later one is in it"


def _row(number: int, token: Token) -> list[str | int | None]:
    """Return the columns of a token; the SDK's ids are numbers, it counts on from the highest."""
    expires_at = token.expires_at
    # Where the SDK sees no end it never renews: without an access token, it does at once.
    is_endless = expires_at is None and token.refresh_token
    return [
        number,
        token.user,
        token.client_id,
        token.client_secret,
        token.refresh_token,
        None if is_endless else token.access_token,
        token.grant_token,
        None if expires_at is None else str(round(expires_at * 1000)),
        token.redirect_uri,
        token.api_domain,
    ]


def _taken(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"There is a file {path} already; it is left as it is", hint="Name another one"
    )
