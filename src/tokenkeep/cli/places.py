"""Stores and tables named on the command line: never with a password in sight."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import click

from tokenkeep.backends import BACKENDS, file_of
from tokenkeep.backends.secret_options import SECRET_WORDS
from tokenkeep.errors import KeyMissing

if TYPE_CHECKING:
    from tokenkeep.cli.session import Session
    from tokenkeep.vault import Vault

FROM_ENVIRONMENT = "env:"
CONFIGURED = "configured"
"""Names the store that a command works on if none is given."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_SECRET = re.compile(rf"({'|'.join(SECRET_WORDS)})[\w. -]*=\s*[^\s&;]", re.IGNORECASE)
"""An option with a value, also of a connection string that is itself an option."""


def expect_no_password(url: str, instead: str) -> None:
    """
    Refuse an argument with a password in it, or with what looks like one.

    Args:
        url: The argument.
        instead: What to do, as a sentence.

    Raises:
        click.UsageError: There is one.
    """
    if any(map(_shows_password, (url, unquote(url)))):
        raise click.UsageError(
            f"A password in an argument can be seen in the process list. {instead}"
        )


def _shows_password(url: str) -> bool:
    scheme = _SCHEME.match(url)
    if scheme is None:
        return False  # no URL
    rest = url[scheme.end() :]
    # Not taken apart as a URL: with a / ? # [ or @ in the password it is none.
    kind = BACKENDS.get(scheme[1].lower())
    # A file's URL is a path, in which no user is named.
    is_path = kind is not None and kind.place == "file"
    return bool(_SECRET.search(rest)) or (not is_path and password_of(url) not in (None, ""))


def password_of(url: str) -> str | None:
    """Return what a URL has behind its user, up to the last @. None if there is no such part."""
    user, at, _ = url.partition(":")[2].rpartition("@")
    _, colon, password = user.partition(":")
    return password if at and colon else None


def url_named(argument: str) -> str:
    """
    Return the URL that an argument names: itself, or a variable's after ``env:``.

    Raises:
        click.UsageError: There is a password in the argument, or no such variable.
    """
    if not argument.startswith(FROM_ENVIRONMENT):
        expect_no_password(
            argument, "Put the URL into an environment variable, and write env:NAME here"
        )
        return argument
    name = argument.removeprefix(FROM_ENVIRONMENT)
    url = os.environ.get(name, "").strip()
    if not url:
        raise click.UsageError(f"There is no environment variable {name} with a URL in it")
    return url


def store_url(session: Session, argument: str | None) -> str:
    """
    Return the URL of the store an argument names.

    Args:
        session: Its ``--store`` counts where none is named.
        argument: A URL, ``env:NAME``, or ``configured``. None means the same.

    Raises:
        click.UsageError: As for `url_named`.
        ConfigurationError: The configuration can't be read.
    """
    from tokenkeep import config

    if argument is None or argument == CONFIGURED:
        return session.store or config.settings().store
    return url_named(argument)


def open_or_imagine(url: str) -> Vault:
    """Open a store to look at, changing nothing; one that is not there is empty, in memory."""
    from tokenkeep import config, keys

    if exists(url):
        ring = keys.load(os.environ)
        # Whatever is stored is refused without its key; only an empty store takes this one.
        spare = None if ring else [os.urandom(32)]
        try:
            return config.open_store(url, keys_newest_first=spare)
        except KeyMissing:
            if spare is None:
                raise
            return config.open_store(url)  # fails again, and says which key and where it looked
    return config.open_store("memory:", keys_newest_first=[os.urandom(32)])


def exists(url: str) -> bool:
    """Tell whether opening a store would make nothing."""
    path = file_of(url)
    return path is None or (path.exists() and path.stat().st_size > 0)
