"""Start the desk: ``make app``. Without a client of Zoho's it brings an emulator along."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import uvicorn

import tokenkeep
from crm_desk import emulator

FOLDER = Path(".crm-desk")
ENDING = 25
"""
How long a worker that is told to end lets requests go on, in seconds.

What reads, renews or logs in is over by then; only a change may take longer.
"""


def main():
    parser = argparse.ArgumentParser(prog="crm_desk", description="Start the CRM desk.")
    parser.add_argument("--port", type=int, default=8418)
    parser.add_argument("--workers", type=int, default=1, help="how many processes")
    given = parser.parse_args()
    # uvicorn ends well and then raises the signal again: the emulator has to end well, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    url = os.environ.setdefault("CRM_DESK_URL", f"http://127.0.0.1:{given.port}")
    folder = FOLDER.absolute()
    folder.mkdir(mode=0o700, exist_ok=True)
    if not os.environ.get("CRM_DESK_SESSION_KEY"):
        os.environ["CRM_DESK_SESSION_KEY"] = session_key(folder / "session_key")
    with ExitStack() as stack:
        if not os.environ.get("TOKENKEEP_CLIENT_ID"):
            running = emulator.running(f"{url}/callback", folder)
            os.environ.update(stack.enter_context(running))
            # What an emulator has issued is worth nothing to the next one.
            for each in folder.glob("emulated.db*"):
                each.unlink()
            os.environ.setdefault("TOKENKEEP_STORE", f"sqlite:///{folder}/emulated.db")
            os.environ.setdefault("TOKENKEEP_KEY_FILE", str(folder / "keys"))
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


def session_key(path):
    """Return the key that the cookies are signed with, made at the first start."""
    if not path.exists():
        # Whole or not at all, whenever this is killed.
        new = path.with_name(f"{path.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(32), encoding="utf-8")
        new.replace(path)
    key = path.read_text(encoding="utf-8").strip()
    if not key:
        sys.exit(f"The desk can't start. {path} is empty, and anybody could sign: delete it")
    return key


if __name__ == "__main__":
    sys.exit(main())
