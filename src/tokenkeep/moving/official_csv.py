"""The CSV file of the official SDK's FileStore, read and written: every secret in the clear."""

from __future__ import annotations

import csv
import os
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tokenkeep.backends import private_file
from tokenkeep.errors import ConfigurationError, TokenKeepError, UnknownName
from tokenkeep.moving.judging import written
from tokenkeep.moving.official import FIELDS, OfficialSource
from tokenkeep.moving.sources import StoreSource
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tokenkeep.moving.official import Lines
    from tokenkeep.vault import Vault

_HINT = (
    "What can be imported is the CSV file of the FileStore of zohocrmsdk5_0 to 8_0, or the table "
    "of its DBStore: mysql://user@host/database. For a store of tokenkeep: tokenkeep copy"
)


class CSVFile(OfficialSource):
    """See `tokenkeep.moving.open_source`."""

    kind = "CSV file of the official SDK"

    def __init__(self, path: Path) -> None:
        self._path = path
        next(self.lines(), None)  # refuses what is no such file

    def describe(self) -> str:
        """See `Source.describe`."""
        return f"the file {self._path}"

    def lines(self) -> Lines:
        """See `OfficialSource.lines`; they count from 2, the header is the first."""
        path = self._path
        try:
            if path.exists() and not path.is_file():
                hint = "Name the file with the tokens"
                raise ConfigurationError(f"{path} is not a file", hint=hint)
            # Without newline="" a line break inside a token would be changed.
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                # Strict: else a quote that was never closed hides all that follows.
                reader = csv.reader(file, strict=True)
                if next(filter(any, reader), None) != list(FIELDS):
                    what = f"No tokens of the official SDK are in {path}"
                    raise ConfigurationError(f"{what}: its columns are not there", hint=_HINT)
                yield from enumerate(filter(any, reader), 2)
            with path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read() not in b"\r\n":
                    raise ConfigurationError(
                        f"{path} may be cut off: its last line has no end",
                        hint="Copy it anew; if it is whole, add a line break, in a copy",
                    )
        except csv.Error as exc:
            raise ConfigurationError(
                f"{path} is damaged behind line {reader.line_num}: {exc}",
                hint="Mend or remove that line in a copy, and import the copy",
            ) from exc
        except OSError as exc:
            raise ConfigurationError(f"{path} can't be read: {exc.strerror}") from None


def export_csv(
    store: Vault,
    path: Path,
    *,
    environment: str = "production",
    on_error: Callable[[TokenKeepError], None] | None = None,
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
        environment: Whose tokens are written.
        on_error: Called for a row that does not open, which is left out. None
            raises, and no file is written.

    Returns:
        How many were ``exported``, and how many ``left out``.

    Raises:
        ConfigurationError: There is such a file, or it can't be written.
        StoreError: The store can't be read, or answers wait to be saved in it.
        KeyMissing: A token was sealed under a key that is not in the ring.
    """
    StoreSource(store).settle()
    counts, seen = Counter({"exported": 0}), set[str]()
    is_of_use = partial(_is_of_use, store, environment)
    try:
        # As the SDK writes it: lines end with a carriage return too.
        with private_file.appearing(path) as file:
            lines = csv.DictWriter(file, FIELDS)
            lines.writeheader()
            for token in store.iter_tokens(on_error=on_error):
                counts["left out"] += 1
                if token.user in seen:
                    continue
                its: Iterable[Token] = [token]
                if token.user:
                    seen.add(token.user)
                    # All at once: they may overtake each other while others are read.
                    its = store.iter_tokens(user=token.user, on_error=lambda _: None)
                best = max(filter(is_of_use, its), key=_rank, default=None)
                if best is not None:
                    counts.update({"exported": 1, "left out": -1})
                    lines.writerow(_row(counts["exported"], best))
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc
    store.audit.note("exported", file=str(path.absolute()), tokens=counts)
    return counts


def _is_of_use(store: Vault, environment: str, token: Token) -> bool:
    """Tell whether the SDK can use a token; without an environment it takes it for production."""
    with suppress(UnknownName):
        if store.providers.of(token).name == "zoho":
            its = token.environment or "production"
            return token.status is Status.OK and its == environment
    return False


def _rank(token: Token) -> tuple[float, str]:
    return written(token), str(token.id)


def _row(number: int, token: Token) -> dict[str, object]:
    """Return the columns of a token; the SDK's ids are numbers, it counts on from the highest."""
    row = {name: getattr(token, field) for name, field in FIELDS.items()} | {"id": number}
    if token.expires_at is not None:
        return row | {"expiry_time": str(round(token.expires_at * 1000))}
    # Where the SDK sees no end it never renews: without an access token, it does at once.
    return row | {"access_token": None} if token.refresh_token else row
