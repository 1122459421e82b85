"""Stages for renewals; see renewal_scenario.py."""

from __future__ import annotations

import logging
import re

import pytest
from renewal_processes import Fleet
from renewal_scenario import World

SECRETS = re.compile(r"access-\d|login-\d/|s3cret|1000\.[0-9a-f]{8}")


@pytest.fixture(autouse=True)
def no_secret_is_told(caplog):
    """Invariant 9: whatever happens in these tests, log lines, which events are too, tell none."""
    caplog.set_level(logging.DEBUG)
    yield
    told = [*caplog.get_records("setup"), *caplog.get_records("call")]
    assert [each.getMessage() for each in told if SECRETS.search(each.getMessage())] == []


@pytest.fixture
def world():
    """Refresh tokens that never change, as Zoho's."""
    return World()


@pytest.fixture
def rotating():
    """Each renewal answers another refresh token; the old one is refused from then on."""
    return World(rotates=True)


@pytest.fixture
def killing():
    """As *rotating*; and using an old refresh token again kills the whole family."""
    return World(rotates=True, kills=True)


@pytest.fixture
def limited():
    """As *world*; and how often it may be asked within ten minutes is limited."""
    return World(mint_limit=10)


@pytest.fixture(params=[{}, {"rotates": True, "kills": True}], ids=["same", "rotating"])
def either(request):
    """As *world*, and as *killing*."""
    return World(**request.param)


@pytest.fixture
def keeper(world):
    """The keeper of the process that is watched."""
    return world.here.keeper


@pytest.fixture(params=["none"])
def fleet(request, zoho, tmp_path):
    """Processes on one sqlite file, and the emulator; indirect parameters are its rotation."""
    with Fleet(zoho, tmp_path, request.param) as made:
        yield made
