"""The command that renews ahead of need."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tokenkeep.cli.session import Session, counted, listed, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command("keep-fresh")
@click.option("--once", is_flag=True, help="Renew what is due now, and end.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=32,
    show_default=True,
    help="How many calls to providers may be under way at once.",
)
@pass_session
def keep_fresh(session: Session, *, once: bool, workers: int) -> None:
    """
    Renew tokens ahead of need, so that nobody who asks for one waits.

    Which ones, a policy says: keep_fresh = true. Goes on until it is stopped, by
    Ctrl-C or SIGTERM, and ends what it has begun. Any number may run, on any
    number of hosts: each token is renewed by one of them.
    """
    keeper = session.keeper()
    if once:
        done = asdict(keeper.keep_fresh(workers=workers))
    else:
        with _set_by_signals() as stop:
            session.note("Keeping tokens fresh; stop with Ctrl-C")
            done = asdict(keeper.keep_fresh(stop, workers=workers))
    renewed = counted(done["renewed"], "token renewed", "tokens renewed")
    others = listed({"failed": done["failed"], "need a new login": done["login_needed"]})
    session.tell(f"{renewed}, {others}" if others else renewed, done)


@contextmanager
def _set_by_signals() -> Iterator[threading.Event]:
    """Yield an event that a Ctrl-C, SIGTERM and SIGHUP set, in the place of what they do else."""
    stop, before = threading.Event(), {}
    try:
        for each in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
            if signal.getsignal(each) != signal.SIG_IGN:  # nohup has switched it off
                before[each] = signal.signal(each, lambda *_: stop.set())
        yield stop
    finally:
        for each, was in before.items():
            signal.signal(each, was)
