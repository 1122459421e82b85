"""A program that is missing is named in the last lines of the run, with what to do about it."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest

from .binaries import ProgramMissing


def started(kind):
    """
    Yield a started server of this kind, for a fixture.

    A server that is not installed skips the test; where CI is set in the environment, it fails it.
    """
    server = kind()
    try:
        with _or_skipped():
            server.start()
        yield server
    finally:
        server.close()


def installed(program):
    """Return the path of a program, for a fixture; one that is missing ends as a server does."""
    with _or_skipped():
        return program.require()


@contextmanager
def _or_skipped():
    try:
        yield
    except ProgramMissing as missing:
        said = f"{missing}. {missing.how}"
        if os.environ.get("CI"):
            pytest.fail(said, pytrace=False)
        skip = pytest.skip.Exception(said)
        skip.missing_program = [missing.name, missing.how]
        raise skip from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call):
    report = yield
    if missing := call.excinfo and getattr(call.excinfo.value, "missing_program", None):
        # Attributes of a report travel with it from the workers of xdist.
        report.missing_program = missing
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    yield
    counts = {}
    for report in terminalreporter.getreports("skipped"):
        if missing := getattr(report, "missing_program", None):
            counts[tuple(missing)] = counts.get(tuple(missing), 0) + 1
    if counts:
        terminalreporter.section("NOT TESTED, what they start is missing", red=True, bold=True)
        for (name, how), count in sorted(counts.items()):
            terminalreporter.line(f"{name}: {count} tests skipped. {how}", red=True)
