"""The emulator as a program: life cycle, options, other processes, plugin, its page in docs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
import requests
from private_servers.ports import free_port

from tokenkeep import settings
from tokenkeep.testing import EmulatorControl, ZohoEmulator, emulator_configuration
from tokenkeep.testing.emulator.calls import KNOWN
from tokenkeep.testing.emulator.control import OPERATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()


@pytest.fixture
def control(zoho):
    return EmulatorControl(zoho.control_url)


def test_addresses(zoho):
    """Each data centre has four addresses, all on loopback, all different; others are errors."""
    urls = [
        url
        for each in (zoho.us, zoho["eu"])
        for url in (each.accounts_url, each.api_url, each.sandbox_url, each.developer_url)
    ]

    assert len(set(urls)) == 8
    assert all(each.startswith("http://127.0.0.1:") for each in urls)
    with pytest.raises(KeyError):
        zoho["mars"]
    with pytest.raises(RuntimeError, match="started"):
        _ = ZohoEmulator().us
    # A lone string would be taken letter by letter.
    for wrong in ("us", ()):
        with pytest.raises(ValueError, match="sequence"):
            ZohoEmulator(wrong)


def test_fixed_ports():
    """The first port is the given one, the rest follow; one that is taken is an OSError."""
    port = free_port(4)
    with ZohoEmulator(port=port) as zoho, pytest.raises(OSError, match="in use"):
        ZohoEmulator(port=port).start()

    assert f"http://127.0.0.1:{port}" == zoho.us.accounts_url
    assert f"http://127.0.0.1:{port + 3}" == zoho.us.developer_url


def test_stop(app, zoho, fork):
    """Stopped it finishes no answer and is gone, also where a forked child has a copy of it."""
    token = zoho.refresh_token()
    fault = zoho.faults.add(kind="slow", delay=600)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(app.refresh, token)
        assert fault.wait(10)
        assert fork(lambda say: (say("forked"), time.sleep(600))).readline() == "forked"
        zoho.stop()
        with pytest.raises(requests.ConnectionError):
            call.result(10)

    with pytest.raises(requests.ConnectionError):
        app.refresh(token)


def test_start_that_fails(monkeypatch):
    """Where no loop can run it is an error, and no wait for ever."""
    monkeypatch.setattr("asyncio.run", lambda main: main.close() or 1 / 0)

    with pytest.raises(ZeroDivisionError):
        ZohoEmulator().start()


# Another process


def test_control(app, control, zoho):
    """From elsewhere the same names do the same, on what is the same; no listing has a secret."""
    user = control.add_user("bo@example.com", data_center="eu", zgid="5")
    assert control.register_client(redirect_uris=("http://127.0.0.1/x",)).client_secret
    code = control.grant_code(user, environment="sandbox")
    answer = app.exchange(code, data_center="eu")
    token = answer["refresh_token"]

    assert zoho.eu.sandbox_url == answer["api_domain"]
    assert (zoho.us, zoho["eu"]) == (control.us, control["eu"])
    assert zoho.id_of(token) == control.id_of(token)
    assert (zoho.records(), zoho.secrets()) == (control.records(), control.secrets())
    shown = f"{control.state()['logins']} {zoho.client!r}"
    assert token in zoho.secrets()
    assert [each for each in zoho.secrets() if each in shown] == []
    assert control.add_lead(user, Last_Name="Newton") in zoho.records(user)
    assert control.is_active(token)
    control.revoke(user)
    assert not control.is_active(token)


def test_control_settings(app, control, zoho):
    """Clock, options, faults and counters work from elsewhere."""
    control.options.change(access_token_life=5)
    control.faults.add(kind="status", times=1)
    token, before = zoho.refresh_token(), zoho.clock.now()
    status = app.token("refresh_token", refresh_token=token).status_code

    assert (status, app.refresh(token)["expires_in"]) == (503, 5)
    assert control.counters.token_calls("refresh_token") == 2
    assert control.clock.advance(100) - before >= 100
    fault = zoho.faults.add(kind="hang")
    for each in (control.faults.clear, control.counters.reset, control.options.reset):
        each()
    assert (fault.cleared.is_set(), zoho.counters.calls()) == (True, 0)
    assert zoho.options.access_token_life == 3600


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda it: setattr(it.options, "rotaton", "rotate"), AttributeError, "rotaton"),
        (lambda it: setattr(it.options, "rotation", "sometimes"), ValueError, "rotation"),
        (lambda it: it.options.nope, AttributeError, "nope"),
        (lambda it: it.mars, AttributeError, "mars"),
        (lambda it: it.faults.add(kind="fire"), ValueError, "fire"),
        (lambda it: it.faults.add(kind="drop", endpoint="nowhere"), ValueError, "nowhere"),
        (lambda it: it.faults.add(colour="red"), TypeError, "colour"),
        (lambda it: it.refresh_token("nobody"), LookupError, "nobody"),
        (lambda it: it.id_of("nothing"), LookupError, "no such refresh token"),
    ],
)
def test_mistakes(zoho, control, call, error, said):
    """What is mistyped raises at once; what another process mistypes is a ValueError there."""
    with pytest.raises(error, match=said):
        call(zoho)
    with pytest.raises((AttributeError, ValueError), match=said):
        call(control)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"headers": {"Host": "evil.example:80"}}, 403),
        ({"headers": {"Host": ""}}, 403),
        ({"data": '{"rotation": "rotate"}'}, 415),
        ({"json": {"rotation": "rotate"}}, 200),
    ],
)
def test_control_refuses_other_pages(zoho, given, status):
    """A page that leads a browser here under its own name, or sends a form, can't operate it."""
    answer = requests.post(f"{zoho.control_url}/_emulator/options.change", timeout=20, **given)

    assert status == answer.status_code
    assert zoho.options.rotation == ("rotate" if status == 200 else "none")


def test_stopped(app, control, zoho, capfd, caplog):
    """What is no emulator, or has stopped, is a ConnectionError that says so; it says nothing."""
    zoho.faults.add(kind="drop")
    with pytest.raises(requests.ConnectionError):
        app.refresh("x")
    assert app.error("wrong") == "invalid_code"
    assert requests.get(f"{zoho.us.accounts_url}/nowhere", timeout=20).status_code == 404
    missing = f"{zoho.control_url}/_emulator/nothing"
    assert requests.post(missing, json={}, timeout=20).status_code == 404
    other = EmulatorControl(zoho.us.api_url)  # it answers, and has no operations
    with pytest.raises(ConnectionError, match="No emulator answers"):
        other.records()
    zoho.stop()

    with pytest.raises(ConnectionError, match=r"No emulator answers at http://127.*start it"):
        control.state()
    assert (*capfd.readouterr(), caplog.records) == ("", "", [])


def test_configuration(control, zoho, tmp_path):
    """The configuration names the emulator's places, also from another process."""
    path = tmp_path / "config.toml"
    path.write_text(emulator_configuration(zoho))
    known = settings({"TOKENKEEP_CONFIG": str(path)}).providers().named("zoho")

    assert emulator_configuration(control) == path.read_text()
    assert zoho.us.token_url == known.table.by_name("us").token_endpoint


# The package and the pytest plugin


def test_plugin_is_cheap():
    """Loading the plugin loads no emulator."""
    script = (
        "import sys, tokenkeep.testing.plugin;"
        "print([m for m in ('http.server', 'tokenkeep.testing.emulator') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert done.stdout == b"[]\n"


def test_plugin_in_a_strangers_project(tmp_path):
    """A project that has installed the package has the fixture, without any set-up."""
    (tmp_path / "test_mine.py").write_text("def test_zoho(zoho): assert zoho.us.token_url")
    words = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    alone = os.environ | {"COVERAGE_PROCESS_START": ""}
    done = subprocess.run(words, cwd=tmp_path, env=alone, capture_output=True, check=False)

    assert b"1 passed" in done.stdout


# What docs/emulator.md says about it


def table(title):
    """The rows of the first table after a heading."""
    part = PAGE.partition(f"## {title}\n")[2]
    rows = re.search(r"\|---.*?\n((?:\|.*\n)+)", part)[1].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_documented(zoho):
    """Every option is documented, with its default; every fault, endpoint and operation."""
    options = {
        name.strip("`"): ast.literal_eval(row[0].strip("`")) for name, *row in table("Options")
    }

    assert options == asdict(zoho.options)
    assert sorted(row[0].strip("`") for row in table("Faults")) == sorted(KNOWN["kind"])
    assert [each for each in (*KNOWN["endpoint"], *OPERATIONS) if f"`{each}`" not in PAGE] == []
