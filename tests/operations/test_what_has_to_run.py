"""What docs/operations.md tells cron and systemd to run is right, and runs."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest
from click import Context
from operations_site import PAGE
from pages import labelled

from tokenkeep import Policies, Policy
from tokenkeep.cli.app import app

FRESH = Policies([Policy(name="fresh", keep_fresh=True)])


def test_every_command_is_one():
    """Names and options of the commands in crontab and unit are known."""
    lines = "\n".join(labelled(PAGE, "crontab") + labelled(PAGE, "unit"))
    commands = re.findall(r"/srv/app/venv/bin/tokenkeep (.*)", lines)

    assert 3 == len(commands)
    for each in commands:
        name, *options = shlex.split(each)
        app.get_command(Context(app), name).make_context(name, options)


def test_variables():
    """A job has what it needs, by cron and by systemd: where the store is, key, journal."""
    for label in ("crontab", "unit"):
        (text,) = labelled(PAGE, label)
        for name in ("TOKENKEEP_CONFIG", "TOKENKEEP_KEY_FILE", "TOKENKEEP_STATE"):
            assert re.search(rf"\b{name}=/", text)


def test_the_unit_is_one(tmp_path):
    """Systemd takes it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there")
    (text,) = labelled(PAGE, "unit")
    unit = tmp_path / "tokenkeep-fresh.service"
    unit.write_text(text.replace("/srv/app/venv/bin/tokenkeep", shutil.which("true")))

    words = ["systemd-analyze", "verify", "--recursive-errors=no", unit]
    done = subprocess.run(words, capture_output=True, text=True, check=False)

    assert not [line for line in done.stderr.splitlines() if "tokenkeep-fresh" in line]


def test_keep_fresh_as_a_service(host):
    """It goes on through an outage of the provider, and a SIGTERM ends it in order: status 0."""
    here = host()
    keeper = here.keeper()
    saved = here.login(keeper)
    keeper.store.set_policies(FRESH)
    held = here.zoho.faults.add(kind="drop", times=4)
    service = subprocess.Popen(
        ["tokenkeep", "keep-fresh"],
        env=here.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert held.wait(30)
        here.zoho.faults.clear()
        end = time.monotonic() + 60
        while keeper.store.reread(saved.id).renewal.renewed_at is None:
            assert time.monotonic() < end
            assert service.poll() is None
            time.sleep(0.05)
        service.send_signal(signal.SIGTERM)
        assert 0 == service.wait(30)
    finally:
        service.kill()
        service.communicate()
    assert here.zoho.is_active(keeper.get(id=saved.id).access_token)


def test_keep_fresh_before_there_is_a_policy(host):
    """It ends with a status that systemd sees, and says what is missing."""
    here = host()
    here.login(here.keeper())

    done = here.type("tokenkeep keep-fresh")

    assert (1, True) == (done.status, "keep_fresh" in done.text)
