"""A person at the emulator's consent page, and what their browser was answered."""

from __future__ import annotations

import html
import re
import sys
import urllib.parse
import urllib.request

import urllib3


def query_of(url):
    """Return the fields of an address."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def led_to(address):
    """Open the page a browser is started with, and return the address it leads on to."""
    with urllib.request.urlopen(address) as page:
        (url,) = re.findall(r'http-equiv="refresh" content="0;url=([^"]*)"', page.read().decode())
    return html.unescape(url)


def decide(url, *, decision="accept", user=None, **more):
    """Answer the consent page and return the address it sends the browser to."""
    form = query_of(url) | {"decision": decision} | ({"user": user} if user else {}) | more
    body = urllib.parse.urlencode(form)
    page = url.partition("?")[0]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return urllib3.request("POST", page, body=body, headers=kind, redirect=False).headers[
        "Location"
    ]


def visit(url, *, method="GET", headers=None, timeout=20):
    """Open an address and return status, headers and page."""
    answer = urllib3.request(method, url, headers=headers, timeout=timeout, retries=False)
    return answer.status, answer.headers, answer.data.decode()


if __name__ == "__main__":
    visit(decide(led_to(sys.argv[1])))
