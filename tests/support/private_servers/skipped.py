"""A program that is missing skips its tests, and says how to get it; in CI it fails them."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest

from .binaries import ProgramMissing


def started(kind):
    """Yield a started server of this kind, for a fixture."""
    server = kind()
    try:
        with _or_skipped():
            server.start()
        yield server
    finally:
        server.close()


def installed(program):
    """Return the path of a program, for a fixture."""
    with _or_skipped():
        return program.require()


@contextmanager
def _or_skipped():
    try:
        yield
    except ProgramMissing as error:
        missing(str(error))


def missing(what):
    """Skip a test, or fail it in CI, for what is not there; the text says how to get it."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
