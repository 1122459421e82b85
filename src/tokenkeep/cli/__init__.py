"""The command ``tokenkeep``: parse, call, print. See docs/cli.md."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_NEEDED = ("click", "rich")


def main() -> NoReturn:
    """Run the command line and exit; without the ``cli`` extra say how to get it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed: the next file that is opened must not be in its place
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        else:
            stream.reconfigure(errors="backslashreplace")
    try:
        for name in _NEEDED:
            __import__(name)
        from tokenkeep.cli.app import app
    except ModuleNotFoundError as exc:
        if exc.name not in _NEEDED:
            raise
        sys.stderr.write(
            f"tokenkeep: The command line needs {exc.name}, which is not installed. "
            "Install it: pip install 'tokenkeep[cli]'\n"
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    app.main(prog_name="tokenkeep")
    raise AssertionError  # the line above exits
