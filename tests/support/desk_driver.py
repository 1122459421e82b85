"""A desk in processes of its own, and people with browsers at it."""

from __future__ import annotations

import html
import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.cookies import SimpleCookie
from pathlib import Path

from emulated import consent
from private_servers.ports import free_port

import tokenkeep
from crm_desk.emulator import introduced
from tokenkeep import StoreConflict

ROOT = Path(__file__).parents[2]
ANA, BEN, EVA = "ana@example.com:71", "ben@example.com:72", "eva@example.eu:73"
"""The people in the tests, as `tests/desk/conftest.py` makes them."""
HIDDEN = re.compile(r'name="form_token" value="([\w-]+)"')
PROCESS = re.compile(r"Made by process (\d+)")
LEAD = re.compile(r'<a href="/leads/(\d+)">([^<]*)</a>')


class DeskServer:
    """
    ``python -m crm_desk``.

    Attributes:
        zoho: An emulator that is there already. None lets the desk bring its own.
        folder: Where the desk keeps what it keeps.
        port: Where it listens, also after a restart.
    """

    def __init__(self, zoho, folder, *, workers=1, environ=None):
        self.zoho = zoho
        self.folder = folder
        self.workers = workers
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PYTHONPATH": str(ROOT / "examples"),
            "CRM_DESK_SESSION_KEY": secrets.token_urlsafe(32),
        }
        if zoho:
            self.environ |= introduced(zoho, f"{self.url}/callback", folder)
            self.environ["TOKENKEEP_STORE"] = f"sqlite:///{folder / 'tokens.db'}"
            self.environ["TOKENKEEP_KEYS"] = tokenkeep.generate_key()
        self.environ |= environ or {}
        self.host = urllib.parse.urlsplit(self.environ.get("CRM_DESK_URL", self.url)).netloc
        self._process = None
        self.log_path = folder / "desk.log"

    def start(self):
        """Start it, and wait until all its workers answer."""
        self.launch()
        self.processes()
        return self

    def launch(self):
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crm_desk", "--port", str(self.port),
                 "--workers", str(self.workers)],
                env=self.environ, cwd=self.folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def processes(self):
        """
        Wait until all its workers answer; return the ids of their processes.

        However often one asks, one worker alone may be quick enough to answer
        all: none is missed only by waiting for as many as there are.
        """
        deadline = time.monotonic() + 60
        while len(found := self._answering()) < self.workers:
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)
        return found

    def _answering(self):
        def ask(_):
            return int(Browser(self).get("/health", Host=self.host).text)

        # At the same time: one after the other, the same worker may be the quicker each time.
        with ThreadPoolExecutor(max_workers=8) as pool:
            try:
                return set(pool.map(ask, range(8)))
            except (OSError, http.client.HTTPException):
                return set()

    def open_store(self):
        """Open the store that it keeps its tokens in."""
        return tokenkeep.open_store(self.environ["TOKENKEEP_STORE"], environ=self.environ)

    def expire(self, user=None):
        """Let Zoho refuse the access tokens of a user, or of everybody; they are a minute old."""
        self._pass_a_minute()
        self.zoho.expire_access_tokens(user)
        self._pass_a_minute()  # also for what was renewed in between

    def withdraw(self, user):
        """Let a user withdraw the consent at Zoho; the login is a minute old."""
        self._pass_a_minute()
        self.zoho.revoke(user)

    def _pass_a_minute(self):
        then = time.time() - 60
        with self.open_store() as store:
            for token in store.get_tokens():
                renewal = token.renewal.but(renewed_at=token.renewal.renewed_at and then)
                with suppress(StoreConflict):  # renewed just now
                    store.swap(token.but(logged_in_at=then, renewal=renewal))

    def kill(self):
        """End it as the kernel does when memory runs out; what it started is left to itself."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def tell_to_end(self):
        """Ask it to end, as a service manager does, and don't wait for it."""
        self._process.send_signal(signal.SIGTERM)

    def end(self):
        """Wait until it ends by itself; return its status."""
        return self._process.wait(timeout=60)

    def stop(self):
        """End it as a service manager does; kill what does not end."""
        if self._process is None:
            return
        try:
            self.tell_to_end()  # nothing happens if it has ended
            self.end()
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def log(self):
        return self.log_path.read_text()

    def secrets(self):
        """Return everything that must never be seen."""
        given = ("TOKENKEEP_KEYS", "CRM_DESK_SESSION_KEY")
        ours = {self.environ[name] for name in given if name in self.environ}
        return ours | set(self.zoho.secrets() if self.zoho else ())


@contextmanager
def running(server):
    """Run a desk; when it has ended, look for secrets and errors in what it logged."""
    try:
        yield server.start()
    finally:
        server.stop()
    log = server.log()
    assert [secret for secret in server.secrets() if secret in log] == []
    assert "Traceback" not in log


def calm(zoho):
    """Let an emulator that many tests share forget faults, options and counts; return it."""
    zoho.faults.clear()
    zoho.options.reset()
    zoho.counters.reset()
    return zoho


class Answer:
    """What a browser was answered; its text is as a person reads it."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.source = response.read().decode()
        self.text = html.unescape(self.source)

    @property
    def trouble(self):
        found = re.search(r'data-kind="(\w+)"', self.source)
        return found and found[1]

    @property
    def form_token(self):
        return HIDDEN.search(self.source)[1]

    @property
    def process(self):
        return int(PROCESS.search(self.source)[1])

    @property
    def leads(self):
        return {lead: html.unescape(name) for lead, name in LEAD.findall(self.source)}

    @property
    def location(self):
        return self.headers["Location"]

    def value(self, name):
        """Return what is in a field of the form."""
        found = re.search(rf'name="{name}"[^>]* value="([^"]*)"', self.source)
        return found and html.unescape(found[1])


class Browser:
    """One browser with its cookies; it follows no redirect by itself."""

    def __init__(self, desk, cookies=()):
        self.desk = desk
        self.cookies = dict(cookies)

    def tab(self):
        """Return another tab: the cookie as it is now, and what comes of it."""
        return Browser(self.desk, self.cookies)

    def request(self, method, path, body=None, headers=None):
        # A connection for each request: workers take turns.
        connection = http.client.HTTPConnection("127.0.0.1", self.desk.port, timeout=90)
        try:
            sent = dict(headers or {})
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
            connection.request(method, path, body, sent)
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, each in SimpleCookie(line).items():
                self.cookies[name] = each.value
        return answer

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, form, **headers):
        given = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return self.request("POST", path, urllib.parse.urlencode(form), given)

    def send(self, page, path, **form):
        """Send a form of a page, with what is hidden in it."""
        return self.post(path, {"form_token": page.form_token} | form)

    def begin(self, data_center=""):
        """Start to log in; return the address at Zoho."""
        page = self.get("/")
        if page.status != 200:  # logged in already; any page has what is hidden in its forms
            page = self.get("/nowhere")
        begun = self.send(page, "/login", data_center=data_center)
        assert begun.status == 303, begun.text
        return begun.location

    def callback(self, address):
        """Come back from Zoho."""
        parts = urllib.parse.urlsplit(address)
        return self.get(f"{parts.path}?{parts.query}")

    def log_in(self, user=None, data_center=""):
        """Log in as somebody; return where that led to."""
        answer = self.callback(consent(self.begin(data_center), user=user))
        assert answer.status == 303, answer.text
        return answer.location

    def add_lead(self, name, **values):
        return self.send(self.get("/leads/new"), "/leads/new", Last_Name=name, **values)
