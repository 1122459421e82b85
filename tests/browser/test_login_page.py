"""The private page that the command line starts a browser with, in a browser."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tokenkeep.cli.browser import leading_to

QUERY = "?response_type=code&scope=a%2Cb&odd=%27%22%3C&state=x-_~&amp;c=d&lt=e"


class Provider(BaseHTTPRequestHandler):
    """A consent page that notes how it was asked for."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Referer"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def test_the_page_leads_on(chromium, tmp_path, monkeypatch):
    """Who opens it asks the provider, letter for letter, and does not say from where."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setenv("BROWSER", f"sh -c 'echo \"$0\" >{pipe}' %s")
    monkeypatch.setenv("HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as provider:
        provider.asked = []
        Thread(target=provider.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{provider.server_port}/auth{QUERY}"
        with leading_to(url), chromium.new_context() as context:
            page = context.new_page()
            page.goto(pipe.read_text().strip())
            page.wait_for_url("http://**/auth**", wait_until="commit")
        provider.shutdown()

    assert provider.asked[0] == (f"/auth{QUERY}", None)
