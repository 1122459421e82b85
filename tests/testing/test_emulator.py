"""The emulator as a program: life cycle, options, other processes, plugin, its page in docs."""

from __future__ import annotations

import ast
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from private_servers.ports import free_port

from tokenkeep import settings
from tokenkeep.testing import (
    EmulatorConfig,
    EmulatorControl,
    ZohoEmulator,
    emulator_configuration,
    serve,
)
from tokenkeep.testing.emulator.control_api import PREFIX, ControlApi
from tokenkeep.testing.emulator.faults import ENDPOINTS, KINDS
from tokenkeep.testing.emulator.options import Options

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()


@pytest.fixture
def control(zoho):
    return EmulatorControl(zoho.control_url)


def test_addresses(zoho):
    """Each data centre has four addresses, all on loopback, all different."""
    urls = [
        url
        for each in (zoho.us, zoho["eu"])
        for url in (each.accounts_url, each.api_url, each.sandbox_url, each.developer_url)
    ]

    assert len(set(urls)) == 8
    assert all(each.startswith("http://127.0.0.1:") for each in urls)
    assert f"{zoho.us.accounts_url}/oauth/v2/auth" == zoho.us.auth_url
    assert zoho.us.sandbox_url == zoho.us.environment_url("sandbox")


def test_no_such_address(zoho):
    """A data centre that is not there is an ordinary error; before the start there is none."""
    with pytest.raises(KeyError):
        zoho["mars"]
    with pytest.raises(AttributeError):
        _ = zoho.mars
    with pytest.raises(RuntimeError, match="started"):
        _ = ZohoEmulator().us


@pytest.mark.parametrize("wrong", ["us", ()])
def test_data_centers_are_a_sequence(wrong):
    """A lone string would be taken letter by letter, so it is refused."""
    with pytest.raises(ValueError, match="sequence"):
        ZohoEmulator(wrong)


def test_fixed_ports():
    """The first port is the given one, the rest follow; one that is taken is an OSError."""
    # Four in a row are free only by luck: another program may hold one of them.
    for attempt in range(10):
        port = free_port()
        try:
            zoho = ZohoEmulator(port=port).start()
            break
        except OSError:
            if attempt == 9:
                raise
    with pytest.raises(OSError, match="in use"):
        ZohoEmulator(port=port).start()
    zoho.stop()

    assert f"http://127.0.0.1:{port}" == zoho.us.accounts_url
    assert f"http://127.0.0.1:{port + 3}" == zoho.us.developer_url


def test_stop_and_start(app, zoho):
    """Stopped it finishes no answer and is gone; started again it has what it had."""
    url, token = zoho.us.token_url, zoho.refresh_token()
    fault = zoho.faults.add(kind="slow", delay=600)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(app.refresh, token)
        assert fault.wait(10)
        zoho.stop()
        with pytest.raises(requests.ConnectionError):
            call.result(10)
    with pytest.raises(requests.ConnectionError):
        app.refresh(token)
    zoho.start()

    assert url == zoho.us.token_url
    assert "access_token" in app.refresh(token)
    assert "running" in repr(zoho)


# From Python 3.12 on, forking beside threads warns; here that is the point.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_holds_nothing(app, zoho):
    """A forked child does not keep a stopped emulator's ports open."""
    with requests.Session() as session:
        session.get(f"{zoho.us.accounts_url}/oauth/serverinfo", timeout=20)
        token = zoho.refresh_token()
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        zoho.stop()
        try:
            with pytest.raises(requests.ConnectionError):
                app.refresh(token)
            with pytest.raises(requests.ConnectionError):
                session.get(f"{zoho.us.accounts_url}/oauth/serverinfo", timeout=5)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("rotaton", "rotate", AttributeError),
        ("rotation", "sometimes", ValueError),
        ("access_token_life", "1h", TypeError),
        ("access_token_life", None, TypeError),
        ("auto_consent", 1, TypeError),
        ("mints_per_window", True, TypeError),
        ("no_api_access", "ana", TypeError),
    ],
)
def test_mistyped_option(zoho, name, value, error):
    """A mistyped option or value raises at once."""
    with pytest.raises(error, match=name):
        setattr(zoho.options, name, value)


def test_options_reset(zoho):
    """Options go back to Zoho's values."""
    before = zoho.options.as_dict()
    zoho.options.rotation = "rotate"
    zoho.options.mints_per_window = None
    zoho.options.reset()

    assert before == zoho.options.as_dict()


def test_clock_moves_both_ways(zoho):
    """The emulator's time moves alone, forth and back."""
    before = zoho.clock.now()
    zoho.clock.advance(1000)
    later = zoho.clock.now()
    zoho.clock.advance(-1000)

    assert 1000 <= later - before < 1060
    assert zoho.clock.now() < later


# Another process


def test_control_reads_the_same(control, zoho):
    """The same names give the same values on both sides."""
    token = zoho.refresh_token()

    assert control.data_centers == ("us", "eu")
    for name in ("us", "eu", "client", "user", "users"):
        assert getattr(zoho, name) == getattr(control, name)
    assert zoho.id_of(token) == control.id_of(token)
    assert zoho.records() == control.records()
    assert zoho.options.as_dict() == control.options.as_dict()
    assert zoho.state()["logins"] == control.state()["logins"]


def test_control_operates(app, control, zoho):
    """Users, clients, codes and tokens made from elsewhere are real."""
    user = control.add_user("bo@example.com", data_center="eu", zgid="5")
    client = control.register_client(redirect_uris=("http://127.0.0.1/x",), client_secret="s")
    code = control.grant_code(user, client=client, environment="sandbox")
    answer = app.exchange(code, client=client, data_center="eu")
    access = control.access_token(user)

    assert zoho.eu.sandbox_url == answer["api_domain"]
    assert control.is_active(access)
    assert control.expire_access_tokens(user) == 2
    assert control.revoke(user, client=client) == 1
    token = control.refresh_token(user)
    control.evict(token)
    assert not control.is_active(token)


def test_control_settings(app, control, zoho):
    """Clock, options, faults and counters work from elsewhere."""
    control.options.access_token_life = 5
    control.options.no_api_access = (zoho.user.name,)
    fault = control.faults.add(kind="status", times=1)
    token = zoho.refresh_token()
    status = app.token("refresh_token", refresh_token=token).status_code
    answer = app.refresh(token)
    before = control.clock.now()

    assert (status, answer["expires_in"]) == (503, 5)
    assert ((zoho.user.name,), 5) == (
        zoho.options.no_api_access,
        control.options.access_token_life,
    )
    assert (fault.wait(), control.faults.as_list()[0]["hits"]) == (True, 1)
    assert control.counters.token_calls("refresh_token") == 2
    assert {zoho.id_of(token): 1} == control.counters.mints
    assert control.clock.advance(100) - before >= 100
    control.faults.clear()
    control.counters.reset()
    control.options.reset()
    assert (zoho.faults.as_list(), zoho.counters.calls()) == ([], 0)
    assert zoho.options.access_token_life == 3600
    assert not fault.wait(0.01)


def test_control_device(app, control):
    """A device can be granted from elsewhere, once."""
    form = {
        "client_id": app.client.client_id,
        "grant_type": "device_request",
        "scope": "ZohoCRM.org.READ",
    }
    made = app.post(f"{control.us.accounts_url}/oauth/v3/device/code", **form).json()
    control.decide_device(made["user_code"])

    with pytest.raises(LookupError):
        control.decide_device(made["user_code"])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda control: setattr(control.options, "rotation", "x"), ValueError),
        (lambda control: setattr(control.options, "nope", 1), AttributeError),
        (lambda control: control.options.nope, AttributeError),
        (lambda control: control.mars, AttributeError),
        (lambda control: control.faults.add(kind="fire"), ValueError),
        (lambda control: control.refresh_token("nobody"), LookupError),
        (lambda control: control.refresh_token(colour="red"), TypeError),
    ],
)
def test_control_errors(control, call, error):
    """Mistakes raise the same errors as in the emulator's own process."""
    with pytest.raises(error):
        call(control)


def test_state_holds_no_token(app, control, zoho):
    """The listing names logins by id, and holds no code or token."""
    answer = app.exchange(zoho.grant_code())
    text = str(control.state()) + str(control.counters.as_dict()) + repr(zoho.client)

    assert answer["refresh_token"] not in text
    assert answer["access_token"] not in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", ""])
def test_control_refuses_other_host_names(zoho, host):
    """A page that leads a browser here under its own name is refused."""
    url = f"{zoho.control_url}/_emulator/state"
    response = requests.get(url, headers={"Host": host}, timeout=20)

    assert response.status_code in (400, 403)


def test_control_refuses_forms(zoho):
    """A form of another page can't operate the emulator."""
    url = f"{zoho.control_url}/_emulator/options"
    response = requests.post(url, data='{"rotation": "rotate"}', timeout=20)

    assert response.status_code == 415
    assert zoho.options.rotation == "none"


def test_silence(app, zoho, capfd, caplog):
    """Nothing is logged or printed, whatever happens."""
    zoho.faults.add(kind="drop")
    with pytest.raises(requests.ConnectionError):
        app.refresh("x")
    app.refresh("wrong")
    zoho.stop()

    assert (*capfd.readouterr(), caplog.records) == ("", "", [])


def test_stopped(control, zoho):
    """An emulator that was stopped is a ConnectionError that says so, whatever is asked of it."""
    assert control.state()
    zoho.stop()

    for call in (control.state, control.clock.now, control.refresh_token, control.faults.clear):
        with pytest.raises(ConnectionError, match=r"No emulator answers at http://127.*start it"):
            call()


@pytest.mark.parametrize("status", [200, 404])
def test_something_else(status):
    """A server that is no emulator is named as that, not as broken JSON."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        control = EmulatorControl(f"http://127.0.0.1:{server.server_port}")

        with pytest.raises(ConnectionError, match="No emulator answers"):
            control.state()
        server.shutdown()


def test_configuration(control, zoho, tmp_path):
    """The configuration names the emulator's places, also from another process, and its budget."""
    plain = emulator_configuration(control)
    zoho.options.throttle_window = 60
    path = tmp_path / "config.toml"
    path.write_text(emulator_configuration(zoho))
    known = settings({"TOKENKEEP_CONFIG": str(path)}).providers().named("zoho")

    assert emulator_configuration(control) == path.read_text()
    assert zoho.us.token_url == known.table.by_name("us").token_endpoint
    assert (10, 60.0) == (known.profile.mint_limit, known.profile.mint_window)
    assert "profile" not in plain


# In the foreground

SERVE = """
from tokenkeep.testing import EmulatorConfig, serve
config = EmulatorConfig(("us",), options={"access_token_life": 7})
serve(config, lambda zoho: print(zoho.control_url, flush=True))
print("left in order", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve(number):
    """It serves until told to stop, and then returns to its caller."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True
    ) as process:
        control = EmulatorControl(process.stdout.readline().strip())
        life = control.options.access_token_life
        process.send_signal(number)
        rest, _ = process.communicate(timeout=20)

    assert (life, rest, process.returncode) == (7, "left in order\n", 0)


SERVE_UNWOKEN = """
import os, signal, threading, time
from tokenkeep.testing import EmulatorConfig, serve

def tell():
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)

def ready(_):
    threading.Thread(target=tell).start()
    # It gets to that thread: the wait goes on, as with a signal just before it begins.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

serve(EmulatorConfig(("us",)), ready)
print("left in order")
"""


def test_serve_that_is_not_woken():
    """A signal of which the wait does not learn by itself ends it all the same."""
    done = subprocess.run(
        [sys.executable, "-c", SERVE_UNWOKEN],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip

    assert done.stdout == "left in order\n"


def test_serve_refuses_unknown_options():
    """A mistyped option ends it before it serves."""
    with pytest.raises(AttributeError, match="nope"):
        serve(EmulatorConfig(options={"nope": 1}))


# The package and the pytest plugin


def test_plugin_is_cheap():
    """Loading the plugin loads neither the emulator nor its web framework."""
    script = (
        "import sys, tokenkeep.testing.plugin;"
        "print([m for m in ('starlette', 'uvicorn', 'tokenkeep.testing.emulator')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert done.stdout == b"[]\n"


def test_plugin_in_a_strangers_project(tmp_path):
    """A project that has installed the package has the fixture, without any set-up."""
    (tmp_path / "test_mine.py").write_text(
        "def test_zoho(zoho):\n    assert zoho.us.token_url.startswith('http')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "COVERAGE_PROCESS_START": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "1 passed" in done.stdout


# What docs/emulator.md says about it


def table(title):
    """The rows of the first table after a heading."""
    part = PAGE.partition(f"## {title}\n")[2]
    rows = re.search(r"\|---.*?\n((?:\|.*\n)+)", part)[1].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_documented_options():
    """Every option is documented, with its default."""
    documented = {
        row[0].strip("`"): ast.literal_eval(row[1].strip("`")) for row in table("Options")
    }
    actual = {name: getattr(Options(), name) for name in Options().as_dict()}

    assert documented == actual


def test_documented_faults():
    """Every kind of fault and every endpoint is documented."""
    assert sorted(row[0].strip("`") for row in table("Faults")) == sorted(KINDS)
    assert [each for each in ENDPOINTS if f"`{each}`" not in PAGE] == []


def test_documented_operations(zoho):
    """Every operation of the control API is documented."""
    names = {route.path.removeprefix(f"{PREFIX}/") for route in ControlApi(zoho).routes}

    assert {each for each in names if f"`{each}`" not in PAGE} == set()
