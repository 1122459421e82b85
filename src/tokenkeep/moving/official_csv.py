"""The CSV file that the official SDK's FileStore reads: every secret in the clear."""

from __future__ import annotations

import csv
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

from tokenkeep.backends import private_file
from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.moving.official import FIELDS, Best
from tokenkeep.moving.sources import StoreSource
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tokenkeep.errors import TokenKeepError
    from tokenkeep.vault import Vault

_COLUMNS = (
    *("id", "user_name", "client_id", "client_secret", "refresh_token", "access_token"),
    *("grant_token", "expiry_time", "redirect_uri", "api_domain"),
)


def export_csv(
    store: Vault,
    path: Path,
    *,
    now: float,
    environment: str = "production",
    on_token: Callable[[Token], None] | None = None,
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
        now: Epoch seconds.
        environment: Whose tokens are written.
        on_token: Called with each token as it is read. None means that nobody
            has to know.
        on_error: Called for a row that does not open, which is left out. None
            raises, and no file is written.

    Returns:
        How many were ``exported``, and how many left out, by the reason.

    Raises:
        ConfigurationError: There is such a file, or it can't be written.
        StoreError: The store can't be read, or answers wait to be saved in it.
        KeyMissing: A token was sealed under a key that is not in the ring.
    """
    StoreSource(store).settle(now)
    counts = Counter({"exported": 0})
    try:
        # As the SDK writes it: lines end with a carriage return too.
        with private_file.appearing(path) as file:
            lines = csv.DictWriter(file, _COLUMNS)
            lines.writeheader()
            for token, reason in _judged(store, now, environment, on_error):
                if on_token is not None:
                    on_token(token)
                counts[reason or "exported"] += 1
                if reason is None:
                    lines.writerow(_row(counts["exported"], token))
    except FileExistsError as exc:
        raise ConfigurationError(
            f"There is a file {path} already; it is left as it is", hint="Name another one"
        ) from exc
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc
    return counts


def _judged(
    store: Vault,
    now: float,
    environment: str,
    on_error: Callable[[TokenKeepError], None] | None,
) -> Iterator[tuple[Token, str | None]]:
    """Yield each token, and why it is left out. None if it is not."""
    with closing(Best()) as latest:
        for token in store.iter_tokens(on_error=on_error):
            if token.user and _useless(token, store, now, environment) is None:
                latest.add(token.user, token.updated_at or token.created_at or 0.0, token.id)
        seen: list[TokenKeepError] = []  # they were told
        for token in store.iter_tokens(on_error=seen.append):
            reason = _useless(token, store, now, environment)
            if not reason and token.user and latest.of(token.user) not in (None, token.id):
                reason = "of a user whose later one is in it"
            yield token, reason


def _useless(token: Token, store: Vault, now: float, environment: str) -> str | None:
    """Say why a token is of no use to the SDK. None if it is."""
    if token.status is not Status.OK:
        return token.status.value
    try:
        is_zohos = store.providers.of(token).name == "zoho"
    except UnknownName:
        is_zohos = False
    if not is_zohos:
        return "of another provider"
    if not token.refresh_token and token.access_token and (token.expires_at or now + 1) <= now:
        return "expired without a refresh token"
    its = token.environment or "production"  # what the SDK takes it for
    return None if its == environment else f"of the environment {its}"


def _row(number: int, token: Token) -> dict[str, object]:
    """Return the columns of a token; the SDK's ids are numbers, it counts on from the highest."""
    row = {name: getattr(token, FIELDS[name]) for name in _COLUMNS} | {"id": number}
    if token.expires_at is not None:
        return row | {"expiry_time": str(round(token.expires_at * 1000))}
    # Where the SDK sees no end it never renews: without an access token, it does at once.
    return row | {"access_token": None} if token.refresh_token else row
