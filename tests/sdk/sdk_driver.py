"""Drive applications on the official SDK that run in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from official_sdk import loading

from tokenkeep.testing import emulator_configuration

GENERATIONS = ("5_0", "6_0", "7_0", "8_0")

each_generation = pytest.mark.parametrize("sdk", GENERATIONS, indirect=True)
"""For what differs in the SDK from one to the next; the rest is tested in the newest alone."""

old_and_new = pytest.mark.parametrize("sdk", ["5_0", "8_0"], indirect=True)
"""For what OAuthToken does: in 5_0 it saves answers by itself; from 6_0 on it is one code."""


class SDKFailed(Exception):
    """
    What a process raised.

    Attributes:
        kind: The name of the exception's class.
        code: The SDKException's code.
        cause: The name of the class of its ``cause``.
        is_same: Whether that is also what it was raised from.
        everything: All text there is about it, the traceback among it.
    """

    def __init__(self, error):
        super().__init__(error["text"])
        vars(self).update(error)


@contextmanager
def refused(cause, match=None):
    """Expect that a process raises what has this error of ours as its cause."""
    with pytest.raises(SDKFailed, match=match) as failed:
        yield failed
    assert failed.value.cause == cause


class Generation:
    """One generation of the SDK, loaded once; makes fresh processes."""

    def __init__(self, name):
        self.name = name
        environ = os.environ | loading(name)
        self._control, theirs = socket.socketpair()
        program = [sys.executable, Path(__file__).with_name("sdk_application.py")]
        with theirs:
            self._server = subprocess.Popen(program, env=environ, stdin=theirs)

    def fork(self):
        """Return the connection to a fresh process."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"."], [theirs.fileno()])
        return ours

    def close(self):
        self._control.close()
        self._server.wait(timeout=20)


class Process:
    """
    One process with the SDK in it; any method of `Application` or its store can be called on it.

    `later` sends a call without waiting for its end, `result` waits for it.
    """

    def __init__(self, generation, folder, environ):
        self._connection = generation.fork()
        self._connection.settimeout(60)
        self._lines = self._connection.makefile("rw", encoding="utf-8")
        self._send({"folder": str(folder), "environ": environ})
        self.pid = int(self._lines.readline())

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments, **given: self.later(name, *arguments, **given).result()

    def later(self, name, *arguments, **given):
        self._send([name, arguments, given])
        return self

    def result(self):
        line = self._lines.readline()
        assert line, "the process ended"
        answer = json.loads(line)
        if "error" in answer:
            raise SDKFailed(answer["error"])
        return answer["result"]

    def kill(self):
        """End it as the kernel does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{self.pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self):
        # Both, or the other side never sees the end.
        self._lines.close()
        self._connection.close()

    def _send(self, message):
        self._lines.write(json.dumps(message) + "\n")
        self._lines.flush()


class SDK:
    """What a test has: one generation, one emulator, one folder with one store."""

    def __init__(self, generation, zoho, folder, closing):
        self.generation = generation.name
        self.zoho = zoho
        self.folder = folder
        self.secrets = {
            "client_id": zoho.client.client_id,
            "client_secret": zoho.client.client_secret,
        }
        self.environ = {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "TOKENKEEP_KEY_FILE": str(folder / "keys"),
            "TOKENKEEP_CONFIG": "",
        }
        self._generation = generation
        self._closing = closing

    def process(self):
        """Start a process; it ends with the test."""
        process = Process(self._generation, self.folder, self.environ)
        self._closing.callback(process.close)
        return process

    def environment(self, name="production", data_center="us"):
        place = self.zoho[data_center]
        return [place.environment_url(name), place.token_url]

    def start(self, process=None, *, environment="production", data_center="us", **given):
        """
        Initialise the SDK in a process, a fresh one if none is given; return its token.

        A grant or refresh token comes with the client's id and secret, if nothing else is given.
        """
        process = process or self.process()
        if "grant_token" in given or "refresh_token" in given:
            given = self.secrets | given
        return process.start(environment=self.environment(environment, data_center), **given)

    def log_in(self, process=None, *, owner=None, **given):
        """Start with a new grant code of a user of Zoho's; return the token."""
        code = self.zoho.grant_code(owner, environment=given.get("environment", "production"))
        return self.start(process, grant_token=code, **given)

    def owner(self, data_center):
        """Return a user of Zoho's in a data centre."""
        return next(each for each in self.zoho.users if each.data_center == data_center)

    def at_once(self, processes, name, **given):
        """Call the same in all processes; return the results, errors among them."""
        for each in processes:
            each.later(name, **given)
        return [_outcome(each) for each in processes]

    def register(self):
        """Make the emulator's hosts known as Zoho's data centres."""
        self.configure(emulator_configuration(self.zoho))

    def configure(self, toml):
        """Write the configuration file of processes started from now on."""
        path = self.folder / "config.toml"
        path.write_text(toml)
        self.environ["TOKENKEEP_CONFIG"] = str(path)

    def log(self, name="all.log"):
        return (self.folder / name).read_text()


def _outcome(process):
    try:
        return process.result()
    except SDKFailed as error:
        return error
