"""A person at the emulator's consent page, and what their browser was answered."""

from __future__ import annotations

import sys
import urllib.error
import urllib.parse
import urllib.request

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def query_of(url):
    """Return the fields of an address."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def decide(url, *, decision="accept", user=None, **more):
    """Answer the consent page and return the address it sends the browser to."""
    form = query_of(url) | {"decision": decision} | ({"user": user} if user else {}) | more
    stay = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    try:
        stay.open(url.partition("?")[0], urllib.parse.urlencode(form).encode(), timeout=20)
    except urllib.error.HTTPError as redirect:
        with redirect:
            return redirect.headers["Location"]
    raise AssertionError("the consent page sent the browser nowhere")


def visit(url, *, method="GET", headers=None):
    """Open an address and return status, headers and page."""
    request = urllib.request.Request(url, method=method, headers=headers or {})
    try:
        with _OPENER.open(request, timeout=20) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers, refusal.read().decode()


if __name__ == "__main__":
    visit(decide(sys.argv[1]))
