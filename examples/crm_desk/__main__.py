"""
Start the desk: ``python -m crm_desk``, or ``make app``.

With a client of the API console in the environment it works with Zoho, else
with an emulator of Zoho that is started once, beside the workers.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import uvicorn

from crm_desk import settings as names
from crm_desk.app import configure_logging
from crm_desk.desk import Desk
from tokenkeep.errors import ConfigurationError, StoreUnavailable, TokenKeepError

FILES = 10_000
"""How many files a worker may open, where that can be had."""

EXAMPLES = Path(__file__).parents[1]


def main() -> int:
    """Start what is needed, look whether all is there, and serve until told to stop."""
    given = arguments()
    # uvicorn ends well and then raises the signal again: the emulator has to end well, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not os.environ.get(names.URL, "").strip():
        os.environ[names.URL] = f"http://127.0.0.1:{given.port}"
    allow_files()
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="crm-desk-"))
        os.environ[names.SCRATCH] = scratch
        configure_logging()
        try:
            os.environ[names.URL] = names.url(os.environ)
            emulate(stack)
            check(given.workers)
        except TokenKeepError as exc:
            print(f"The desk can't start. {exc}", file=sys.stderr)
            return 2
        uvicorn.run(
            "crm_desk.app:make",
            factory=True,
            app_dir=str(EXAMPLES),
            host=given.host,
            port=given.port,
            workers=given.workers,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
    return 0


def allow_files() -> None:
    """
    Let each worker open more files.

    Many systems allow a thousand or so unless more are asked for, and a
    person who waits for a slow data centre takes two.
    """
    with suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource

        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, wanted), most))


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="crm_desk", description="Start the CRM desk.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=names.PORT)
    parser.add_argument("--workers", type=int, default=1, help="how many processes")
    return parser.parse_args()


def emulate(stack: ExitStack) -> None:
    """Put an emulator in Zoho's place, unless there is a client for the real one."""
    if os.environ.get(names.CLIENT_ID):
        return
    from crm_desk import emulator
    from tokenkeep.testing import EmulatorControl

    redirect_uri = f"{os.environ[names.URL]}/callback"
    folder = Path(os.environ.setdefault(names.FOLDER, ".crm-desk")).absolute() / "emulated"
    os.environ[names.FOLDER] = str(folder)
    elsewhere = os.environ.get(names.EMULATOR)
    control = (
        EmulatorControl(elsewhere)
        if elsewhere
        else stack.enter_context(emulator.running(redirect_uri))
    )
    os.environ.update(emulator.environment(control, folder, redirect_uri))
    if elsewhere:
        return
    import tokenkeep

    with suppress(StoreUnavailable), tokenkeep.open_store() as store:
        emulator.welcome_back(control, store)


def check(workers: int) -> None:
    """
    Open everything once, so that what is wrong is said once, and not by each worker.

    Args:
        workers: How many processes there will be.

    Raises:
        TokenKeepError: It can't run like this.
    """
    settings = names.settings()
    desk = Desk(settings)
    tokens = "a store that can't be reached now; the desk waits for it"
    try:
        backend = getattr(desk.crm.store.keeper.store, "backend", None)
        if workers > 1 and backend is not None and backend.embedded and backend.home is None:
            raise ConfigurationError(
                f"{workers} workers can't share tokens in the memory of one",
                hint="Name another store in TOKENKEEP_STORE, or start one worker",
            )
        tokens = repr(desk.crm.store.keeper.store).strip("<>").removeprefix("Vault ")
    except StoreUnavailable as exc:
        print(exc, file=sys.stderr)
    finally:
        desk.crm.close()
        desk.ledger.close()
    zoho = f"an emulator of Zoho ({settings.emulator})" if settings.emulator else "Zoho"
    print(f"CRM desk: {settings.url}\n  with {zoho}\n  tokens in {tokens}", flush=True)
    if not settings.emulator:
        print(f"  redirect URI, to be registered for the client: {settings.redirect_uri}")


if __name__ == "__main__":
    sys.exit(main())
