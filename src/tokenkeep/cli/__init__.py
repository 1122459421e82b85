"""The command ``tokenkeep``: parse, call, print. See docs/cli.md."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

_EXTRAS = {"click": "cli", "rich": "cli", "sqlalchemy": "mysql", "zohocrmsdk": "cli,zoho"}
"""By what is missing: the extras that bring it."""


def main() -> NoReturn:
    """Run the command line and exit; where an extra is missing, say how to get it."""
    for each in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(each) == signal.SIG_DFL:  # not what nohup has switched off
            signal.signal(each, signal.default_int_handler)  # ends as a Ctrl-C does
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the next file opened must not be in its place
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        import rich  # noqa: F401  # else missed only once something takes long

        from tokenkeep.cli.app import app

        app.main(prog_name="tokenkeep")
    except ModuleNotFoundError as exc:
        missing = str(exc.name).partition(".")[0]
        if missing not in _EXTRAS:
            raise
        sys.stderr.write(
            f"tokenkeep: This needs {missing}, which is not installed. "
            f"Install it: pip install 'tokenkeep[{_EXTRAS[missing]}]'\n"
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    raise AssertionError  # app.main exits
