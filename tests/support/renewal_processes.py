"""Real processes on one store, on one host or several, and a Zoho of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Timer

from emulated import login

from tokenkeep import Keeper, generate_key, open_store
from tokenkeep.clock import Clock
from tokenkeep.providers import Profile, Providers

WORKER = Path(__file__).with_name("renewal_worker.py")
KEY = generate_key()
PATIENCE = 30.0
"""How long anything may take on a machine that is busy, in seconds."""


class Worker:
    """One worker process; see renewal_worker.py."""

    def __init__(self, settings, host=None):
        environ = {"WORKER": json.dumps(settings), "TOKENKEEP_KEYS": KEY}
        self.process = subprocess.Popen(
            [*(host.enter if host else ()), sys.executable, str(WORKER)],
            env=os.environ | (host.environ if host else {}) | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._there = host is not None

    def ask(self, command):
        """Send a line."""
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

    def told(self, timeout=PATIENCE):
        """Return the next thing it says; one that says nothing in time is killed."""
        timer = Timer(timeout, os.killpg, [self.process.pid, signal.SIGKILL])
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line, "The process ended, or said nothing in time"
        return json.loads(line)

    def get(self):
        """Ask for the token and return what came of it."""
        self.ask("get")
        return self.told()

    def kill(self):
        """End it as nothing else does: no handler, no clean-up."""
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def signal(self, number):
        if self._there:  # a child of what went in there
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def close(self):
        """End it, whatever it does, and what it has forked: that would keep its pipe open."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


class Host:
    """Another machine, as far as a kernel can make one: its own name, processes and state."""

    def __init__(self, name, folder):
        home = folder / name
        home.mkdir()
        self.environ = {"HOME": str(home), "XDG_STATE_HOME": str(home)}
        apart = ["unshare", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child"]
        self._init = subprocess.Popen(
            [*apart, "sh", "-c", f"hostname {name} && echo up && exec sleep 600"],
            stdout=subprocess.PIPE,
        )
        assert self._init.stdout.readline() == b"up\n", "This kernel makes no other hosts"
        children = f"/proc/{self._init.pid}/task/{self._init.pid}/children"
        first = Path(children).read_text().split()[0]
        self.enter = ["nsenter", "--target", first, "--uts", "--pid", "--mount", "--"]

    def close(self):
        """Switch it off, with all that runs there."""
        self._init.kill()
        self._init.communicate()


class Fleet:
    """
    An emulator, a sqlite file with one expired token, and processes that share both.

    *rotation* is the emulator's, *url* the store's: None means a sqlite file in *folder*.
    """

    def __init__(self, zoho, folder, rotation="none", *, url=None):
        zoho.options.rotation = rotation
        zoho.options.mints_per_window = None
        self.zoho = zoho
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/tokens.db"
        self.journal = folder / "tokens.db.journal"
        rotates = rotation in ("rotate", "rotate_reuse_kills")
        # Long enough for a machine that is busy: nothing here waits for these to pass.
        limits = {"call_timeout": 60.0, "claim_length": 120.0, "wait_timeout": 300.0}
        self.profile = Profile(rotates=rotates, **limits)
        self._stack = ExitStack()
        self.store = open_store(self.url, environ={"TOKENKEEP_KEYS": KEY})
        self._stack.callback(self.store.close)
        self.first = self.login()
        self.id = self.first.id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.zoho.faults.clear()
        self._stack.close()

    def login(self, user=None, *, left=-10.0):
        """Store what a login gave a while ago."""
        name = f"{user or 'user@us.example.com'}:1"
        token = login(self.zoho, user, user=name, expires_at=Clock().now() + left)
        access_token = self.zoho.access_token(refresh_token=token.refresh_token)
        return self.store.save_token(token.but(access_token=access_token))

    def keeper(self, **given):
        """Return a keeper in this process, on the same file."""
        store = open_store(self.url, environ={"TOKENKEEP_KEYS": KEY})
        self._stack.callback(store.close)
        providers = Providers("zoho", {"zoho": {"profile": self.profile}})
        return Keeper(store, providers=providers, **given)

    def host(self, name):
        """Set up another host."""
        host = Host(name, self.folder)
        self._stack.callback(host.close)
        return host

    def start(self, count=None, *, host=None, **settings):
        """Start worker processes, on this host if *host* is None; one if *count* is None."""
        settings |= {"store": self.url, "id": self.id, "profile": asdict(self.profile)}
        workers = [Worker(settings, host) for _ in range(count or 1)]
        for worker in workers:
            self._stack.callback(worker.close)
        for worker in workers:
            assert "ready" in worker.told()
        return workers if count else workers[0]

    @property
    def stored(self):
        """The token as it is stored now."""
        return self.store.reread(self.id)

    @property
    def calls(self):
        """How often the token endpoint was asked to renew."""
        return self.zoho.counters.token_calls("refresh_token")

    def held_up(self, **given):
        """Let the next renewal take effect, and its answer wait until `release`."""
        return self.zoho.faults.add(kind="slow", delay=PATIENCE, after=True, **given)

    def in_the_call(self, *, kind="slow", after=True):
        """Return a process whose call has taken effect, if *after*, and is not answered yet."""
        held = self.zoho.faults.add(kind=kind, delay=PATIENCE, after=after)
        worker = self.start()
        worker.ask("get")
        assert held.wait(PATIENCE)
        return worker

    def release(self):
        """Let answers go that were held up."""
        self.zoho.faults.clear()

    def works(self, token):
        """Tell whether the provider accepts both tokens now."""
        return self.zoho.is_active(token.access_token) and self.zoho.is_active(token.refresh_token)
