"""The private page that the command line starts a browser with, in a browser."""

from __future__ import annotations

import os

from tokenkeep.cli.browser import leading_to

QUERY = "?response_type=code&scope=a%2Cb&odd=%27%22%3C&state=x-_~&amp;c=d&lt=e"


def test_the_page_leads_on(chromium, elsewhere, tmp_path, monkeypatch):
    """Who opens it asks the provider, letter for letter, and does not say from where."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setenv("BROWSER", f"sh -c 'echo \"$0\" >{pipe}' %s")
    monkeypatch.setenv("HOME", str(tmp_path))
    url = f"{elsewhere.near_url}/auth{QUERY}"
    with leading_to(url), chromium.new_context() as context:
        page = context.new_page()
        page.goto(pipe.read_text().strip())
        page.wait_for_url("http://**/auth**", wait_until="commit")

    assert elsewhere.asked[0] == (f"/auth{QUERY}", None)
