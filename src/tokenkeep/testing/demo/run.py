"""The demo from its first line to its last, and what is left behind."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tokenkeep.config import STORE
from tokenkeep.keys import KEY_FILE
from tokenkeep.testing import ZohoEmulator
from tokenkeep.testing.demo import daily_work, expiry, trouble_ahead
from tokenkeep.testing.demo.narration import ClaimFailed, Narrator
from tokenkeep.testing.demo.scene import Scene
from tokenkeep.testing.demo.stage import Stage
from tokenkeep.testing.demo.workers import Crew, WorkerFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def run(
    store_url: str | None, *, keep: bool, trouble: Callable[[ZohoEmulator], object] | None
) -> int:
    """Run the demo; see `tokenkeep.testing.demo.main`."""
    begun = time.monotonic()
    narrator = Narrator()
    with _ended_by_sigterm(), ZohoEmulator() as zoho:
        if trouble is not None:
            trouble(zoho)
        stage = Stage.build(store_url, zoho)
        try:
            reason = _played(stage, narrator, keep=keep)
        finally:
            if not keep:
                stage.remove()
    if narrator.results:
        narrator.summary(time.monotonic() - begun)
    if reason is not None:
        narrator.failed(reason)
    if narrator.results:
        narrator.commands(*_to_look_around(stage, keep=keep))
    return 0 if reason is None else 1


def _played(stage: Stage, narrator: Narrator, *, keep: bool) -> str | None:
    """Play all steps. Return why it ended early; None if it did not."""
    with Crew(stage) as crew:
        try:
            scene = _prepared(stage, narrator, crew)
            try:
                for play in (daily_work.play, expiry.play, trouble_ahead.play):
                    play(scene)
            finally:
                if stage.given and not keep:
                    crew.one().ask("clean")
        except ClaimFailed as exc:
            return str(exc)
        except WorkerFailed as exc:
            narrator.broken(str(exc))
            return str(exc)
    return None


def _prepared(stage: Stage, narrator: Narrator, crew: Crew) -> Scene:
    first = crew.one()
    store = first.ask("prepare")
    if not store["shared"]:
        raise WorkerFailed("this store is in the memory of one process, and the demo has many")
    if not store["empty"]:
        raise WorkerFailed(f"{store['where']} holds tokens; give the demo an empty store")
    narrator.say(f"Store     {store['where']}")
    narrator.say(f"Provider  an offline Zoho, {stage.zoho.us.accounts_url}")
    narrator.say(f"SDK       zohocrmsdk8_0, unmodified; Python {sys.version.split()[0]}")
    return Scene(stage, narrator, crew, first)


def _to_look_around(stage: Stage, *, keep: bool) -> tuple[str, list[str]]:
    """Return a title and the commands."""
    command = Path(sys.executable).with_name("tokenkeep")
    tokenkeep = _short(command) if command.exists() else "tokenkeep"
    if not keep:
        again = f"{tokenkeep} {'--store URL ' if stage.given else ''}demo --keep"
        return "What it stored is deleted. To look around by hand, keep it:", [again]
    # The URL that was given may hold a password.
    url = "URL" if stage.given else shlex.quote(stage.store_url)
    lines = [
        f"export {KEY_FILE}={shlex.quote(stage.environ[KEY_FILE])} {STORE}={url}",
        f"{tokenkeep} list",
        f"{tokenkeep} show --user {expiry.BEN}",
        f"{tokenkeep} token --user {expiry.BEN}   # a secret: an access token",
        f"ls -lA {shlex.quote(str(stage.folder))}   # keys, tokens, the SDK's own file and logs",
        f"rm -r {shlex.quote(str(stage.folder))}",
    ]
    return "To look around by hand (the offline Zoho has ended; what needs it fails):", lines


def _short(path: Path) -> str:
    """Return a path as it is short to type."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does: its processes too, its folder removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
