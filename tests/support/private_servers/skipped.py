"""A program that is missing is named in the last lines of the run, with what to do about it."""

from __future__ import annotations

import os

import pytest

from .binaries import ProgramMissing


def started(kind):
    """
    Yield a started server of this kind, for a fixture.

    A server that is not installed skips the test; where CI is set in the environment, it fails it.
    """
    server = kind()
    try:
        missing = _missing(server.start)
        if not missing:
            yield server
            return
    finally:
        server.close()
    _without(missing)


def installed(program):
    """Return the path of a program, for a fixture; one that is missing ends as a server does."""
    if missing := _missing(program.require):
        _without(missing)
    return program.require()


def _missing(act):
    """Do it; return what is missing for that, if anything is."""
    try:
        act()
    except ProgramMissing as missing:
        return missing
    return None


def _without(missing):
    if os.environ.get("CI"):
        pytest.fail(f"{missing}. {missing.how}", pytrace=False)
    skip = pytest.skip.Exception(f"{missing}. {missing.how}")
    skip.missing_program = [missing.name, missing.how]
    raise skip


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
