"""One browser, one emulator and one desk for all tests here; each test has people of its own."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
from desk_driver import DeskServer, calm, running
from playwright.sync_api import expect, sync_playwright
from private_servers.binaries import CHROMIUM
from private_servers.skipped import installed

from tokenkeep.testing import ZohoEmulator

from .person import Person

ELSEWHERE = "elsewhere.example"
"""Leads the browser of the tests to this machine, as a site of its own."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # This machine is all there is; names of others lead to it or nowhere.
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PATIENCE = 10_000
"""How long what is expected may take, in milliseconds."""


@pytest.fixture(scope="package")
def chromium():
    path = installed(CHROMIUM)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, headless=True)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def zoho_of_all():
    with ZohoEmulator(data_centers=("us", "eu")) as zoho:
        yield zoho


@pytest.fixture(scope="package")
def desk_of_all(zoho_of_all, tmp_path_factory):
    with running(DeskServer(zoho_of_all, tmp_path_factory.mktemp("desk"))) as desk:
        yield desk


@pytest.fixture
def zoho(zoho_of_all):
    yield calm(zoho_of_all)
    calm(zoho_of_all)


@pytest.fixture
def desk(desk_of_all, zoho):  # noqa: ARG001  # as it is at the start of a test
    return desk_of_all


NUMBERS = count(7001)


@pytest.fixture
def add_user(zoho):
    """Add a user with an organisation of their own, and no leads but these."""

    def add(name="Ana", data_center="us", leads=(), email=None):
        number = str(next(NUMBERS))
        user = zoho.add_user(
            email or f"{name.lower()}{number}@example.com",
            data_center=data_center,
            zgid=number,
        )
        zoho.records(user).clear()
        for each in leads:
            zoho.add_lead(user, Last_Name=each, Company="Acme")
        return user

    return add


@pytest.fixture
def visit(chromium, desk):
    """Open a browser context for somebody; at the end nothing odd may have happened in it."""
    people = []

    def visit(user=None, *, at=None, **options):
        context = chromium.new_context(**{"locale": "en-GB", **options})
        context.set_default_timeout(PATIENCE)
        people.append(Person(context, at or desk, user))
        return people[-1]

    yield visit
    for each in people:
        each.context.close()
    assert [each.oddities for each in people] == [[] for _ in people]


@pytest.fixture
def person(visit, add_user):
    """Somebody who has logged in, and sees their one lead."""
    return visit(add_user(leads=["Alvarez"])).arrive()


class Page(BaseHTTPRequestHandler):
    """One page for all who ask; it notes what for, and where from."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Referer"]))
        body = self.server.html.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def elsewhere():
    """A web server that is not the desk: on a port here, and as another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.html, server.asked = "", []
        server.near_url = f"http://127.0.0.1:{server.server_port}"
        server.url = f"http://{ELSEWHERE}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
