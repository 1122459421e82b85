"""Secrets come from a prompt, a file, standard input or the environment; never as an argument."""

from __future__ import annotations

import os
import sys

import click

from tokenkeep import environment
from tokenkeep.backends.urls import shows_password
from tokenkeep.errors import ConfigurationError
from tokenkeep.lookup import trimmed


def from_file(path: str, what: str = "secret") -> str:
    """
    Return the *what* that a file holds, without white space around it.

    ``-`` is standard input; on a terminal, it is asked for, unseen.
    """
    if path == "-" and sys.stdin.isatty():
        return from_prompt(what, "")
    name = "standard input" if path == "-" else path
    try:
        with click.open_file(path, encoding="utf-8") as file:
            secret = trimmed(file.read())
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{name} is not text") from exc
    if not secret or not secret.isprintable():
        raise ConfigurationError(f"{name} has to hold one line with the {what}, and nothing else")
    return secret


def from_prompt(what: str, instead: str) -> str:
    """Ask for a secret without showing it; without a terminal, say what to use *instead*."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask for the {what} at. Use {instead}")
    answer: str = click.prompt(what.capitalize(), hide_input=True, err=True)
    return trimmed(answer)


def url_named(argument: str) -> str:
    """Return the URL that an argument names: itself, or a variable's after ``env:``."""
    if not argument.startswith("env:"):
        instead = "Put it into an environment variable, and write env:NAME here"
        expect_no_password(argument, instead)
        return argument
    name = argument.removeprefix("env:")
    url = environment.given(os.environ, name)
    if not url:
        raise click.UsageError(f"There is no environment variable {name} with a URL in it")
    return url


def expect_no_password(url: str, instead: str) -> None:
    """Refuse an argument with a password in it, or with what looks like one."""
    if shows_password(url):
        raise click.UsageError(
            f"A password in an argument can be seen in the process list. {instead}"
        )
