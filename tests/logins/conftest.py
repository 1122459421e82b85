"""A store and a Zoho for every test of what happens to a login."""

from __future__ import annotations

import os

import click.testing
import pytest
from login_stage import Stage

from tokenkeep import generate_key
from tokenkeep.cli.app import app


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A process environment of this test's own, with an empty home and a key."""
    for name in list(os.environ):
        if name.startswith(("TOKENKEEP_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOKENKEEP_KEYS", generate_key())
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def make_stage(environment, zoho, tmp_path):
    """Return a `Stage` with options of its own."""
    made = []

    def _make(**options):
        made.append(Stage(zoho, tmp_path, environment, **options))
        return made[-1]

    yield _make
    zoho.faults.clear()
    for each in made:
        each.close()


@pytest.fixture
def stage(make_stage):
    """Refresh tokens that never change, as Zoho's; each is revoked for itself."""
    return make_stage()


@pytest.fixture
def rotating(make_stage):
    """Each renewal answers another refresh token; the old one is refused from then on."""
    return make_stage(rotates=True)


@pytest.fixture(params=["stays", "rotates"])
def either(request, make_stage):
    """One and the other."""
    return make_stage(rotates=request.param == "rotates")


@pytest.fixture
def run(environment):  # noqa: ARG001  # the command reads it
    """Run a command in this process, as a person types it."""

    def _run(*args, **given):
        return click.testing.CliRunner().invoke(app, args, prog_name="tokenkeep", **given)

    return _run
