"""A browser for an address that no other user of this machine may read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START = "import sys, webbrowser; webbrowser.open(sys.argv[1])"

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={url}">
<title>tokenkeep login</title></head>
<body><p><a href="{url}">Go on to the login</a></p></body>
</html>
"""


@contextmanager
def leading_to(url: str) -> Iterator[None]:
    """
    Start a browser that goes to an address; inside, it may still be on its way.

    Everybody can read the process list. So the browser is given a private page, which leads on
    to *url* and is removed in the end; and it is given none of our environment variables.

    Silent where there is no browser, or no place for the page.
    """
    with ExitStack() as stack:
        # Browsers that are confined, as Ubuntu's, see neither /tmp nor what begins with a dot.
        for place in (os.path.expanduser("~"), None):  # noqa: PTH111 - Path's fails where there is no home
            with suppress(OSError):
                made = tempfile.TemporaryDirectory(
                    prefix="tokenkeep-login-", dir=place, ignore_cleanup_errors=True
                )
                page = Path(stack.enter_context(made)).absolute() / "login.html"
                # In a folder that is ours alone; and so it stays if somebody opens that.
                page.touch(mode=0o600, exist_ok=False)
                page.write_text(_PAGE.format(url=escape(url)), encoding="ascii")
                # Some browsers block until they are closed.
                threading.Thread(target=_start, args=(page.as_uri(),), daemon=True).start()
                break
        yield


def _start(address: str) -> None:
    environ = {
        name: each for name, each in os.environ.items() if not name.startswith("TOKENKEEP_")
    }
    with suppress(OSError):
        # In a process of its own: a browser inherits the environment of the one that starts it.
        # Isolated, so that nothing of the current folder runs; its output is none of ours.
        subprocess.run(  # noqa: S603 - the address is a path that we made
            [sys.executable, "-I", "-c", _START, address], env=environ, stdout=2, check=False
        )
