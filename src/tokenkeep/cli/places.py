"""Stores and tables named on the command line: never with a password in sight."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tokenkeep import environment
from tokenkeep.cli.secrets_in import expect_no_password
from tokenkeep.cli.secrets_in import password_of as password_of  # noqa: PLC0414  # for importing
from tokenkeep.cli.session import Session, exists

if TYPE_CHECKING:
    from tokenkeep.vault import Vault

FROM_ENVIRONMENT = "env:"
CONFIGURED = "configured"
"""Names the store that a command works on if none is given."""


def url_named(argument: str) -> str:
    """
    Return the URL that an argument names: itself, or a variable's after ``env:``.

    Raises:
        click.UsageError: There is a password in the argument, or no such variable.
        ConfigurationError: There are literal quotes in it.
    """
    if not argument.startswith(FROM_ENVIRONMENT):
        expect_no_password(
            argument, "Put the URL into an environment variable, and write env:NAME here"
        )
        return argument
    name = argument.removeprefix(FROM_ENVIRONMENT)
    url = environment.given(os.environ, name)
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
    """Open a store to look at, making nothing; one that is not there is empty, in memory."""
    from tokenkeep.config import open_store

    return open_store(url if exists(url) else "memory:")
