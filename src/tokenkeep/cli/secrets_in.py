"""Secrets come from a prompt, a file, standard input or the environment; never as an argument."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tokenkeep.errors import ConfigurationError

_LONGEST = 65_536


def from_file(path: str, what: str = "secret") -> str:
    """
    Return what a file holds, without white space around it.

    Args:
        path: ``-`` is standard input.
        what: What it has to hold.

    Raises:
        ConfigurationError: It can't be read, is empty, or is not one line.
    """
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            text = sys.stdin.read(_LONGEST)
        else:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(_LONGEST)
    except OSError as exc:
        raise ConfigurationError(f"{name} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{name} is not text") from exc
    secret = text.strip()
    if not secret or not secret.isprintable():
        raise ConfigurationError(f"{name} has to hold one line with the {what}, and nothing else")
    return secret


def from_prompt(what: str, instead: str) -> str:
    """
    Ask for a secret without showing it.

    Args:
        what: What to ask for.
        instead: What to use where nobody can be asked.

    Raises:
        click.UsageError: There is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask for the {what} at. Use {instead}")
    answer: str = click.prompt(what.capitalize(), hide_input=True, err=True)
    return answer.strip()
