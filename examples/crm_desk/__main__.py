"""Start the desk: ``make app``. Without a client of Zoho's it brings an emulator along."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import uvicorn

import tokenkeep
from crm_desk import emulator

ENDING = 25
"""How long requests may go on at the end, in seconds: all but a change are over by then."""


def main():
    parser = argparse.ArgumentParser(prog="crm_desk", description="Start the CRM desk.")
    parser.add_argument("--port", type=int, default=8418)
    parser.add_argument("--workers", type=int, default=1, help="how many processes")
    given = parser.parse_args()
    url = os.environ.setdefault("CRM_DESK_URL", f"http://127.0.0.1:{given.port}")
    if not os.environ.get("CRM_DESK_SESSION_KEY"):
        os.environ["CRM_DESK_SESSION_KEY"] = secrets.token_urlsafe(32)
    # uvicorn ends well and then raises the signal again: the emulator has to end well, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    has_client = os.environ.get("TOKENKEEP_CLIENT_ID")
    with nullcontext({}) if has_client else emulator.running(f"{url}/callback") as environ:
        os.environ.update(environ)
        try:
            with tokenkeep.open_store(make=True) as store:
                print(f"CRM desk: {url}\n  tokens in {store.describe()}", flush=True)
        except tokenkeep.TokenKeepError as exc:
            print(f"The desk can't start. {exc}", file=sys.stderr)
            return 2
        uvicorn.run(
            "crm_desk.app:make",
            factory=True,
            app_dir=str(Path(__file__).parents[1]),
            port=given.port,
            workers=given.workers,
            access_log=False,
            timeout_graceful_shutdown=ENDING,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
