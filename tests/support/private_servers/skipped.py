"""A server that is missing is named in the last lines of the run, with what to do about it."""

from __future__ import annotations

import os

import pytest

from .binaries import ServerMissing


class NoServer(pytest.skip.Exception):
    """Skips a test whose server is not installed."""

    missing = None


def started(kind):
    """
    Yield a started server of this kind, for a fixture.

    A server that is not installed skips the test; where CI is set in the environment, it fails it.
    """
    try:
        server = kind()
        server.start()
    except ServerMissing as missing:
        server.close()
        if os.environ.get("CI"):
            pytest.fail(f"{missing}\n{missing.how}", pytrace=False)
        skip = NoServer(f"{missing}. {missing.how}")
        skip.missing = [missing.name, missing.how]
        raise skip from None
    except BaseException:
        server.close()
        raise
    try:
        yield server
    finally:
        server.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call):
    report = yield
    if call.excinfo and isinstance(call.excinfo.value, NoServer):
        # Attributes of a report travel with it from the workers of xdist.
        report.missing_server = call.excinfo.value.missing
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    yield
    counts = {}
    for report in terminalreporter.getreports("skipped"):
        if missing := getattr(report, "missing_server", None):
            counts[tuple(missing)] = counts.get(tuple(missing), 0) + 1
    if counts:
        terminalreporter.section("NOT TESTED, their servers are missing", red=True, bold=True)
        for (name, how), count in sorted(counts.items()):
            terminalreporter.line(f"{name}: {count} tests skipped. {how}", red=True)
