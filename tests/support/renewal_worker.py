"""
A process with a keeper of its own: one command a line in, one JSON line out.

Started by renewal_processes.py with its settings as JSON in the environment
variable WORKER. ``halt_at`` names a write (``claim``, ``save``) at which it
prints ``halted`` and waits for a line, or for its end; ``fake_clock`` makes
waiting take no time; ``ahead`` sets this host's clock wrong, in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import threading

import coverage_forks

from tokenkeep import Keeper, TokenKeepError, open_store
from tokenkeep.clock import Clock
from tokenkeep.providers import Profile, Providers
from tokenkeep.testing.fake_clock import FakeClock


class WrongClock(Clock):
    """A clock that somebody has set wrong; time passes on it as on others."""

    def __init__(self, ahead):
        self._ahead = ahead

    def now(self):
        return super().now() + self._ahead


def say(**said):
    print(json.dumps(said), flush=True)  # noqa: T201  # that is the protocol


def result(call):
    """Return what a call ended in."""
    try:
        token = call()
    except TokenKeepError as exc:
        return {"error": type(exc).__name__, "text": str(exc), "pid": os.getpid()}
    return {"access_token": token.access_token, "status": token.status, "pid": os.getpid()}


def halting(store, point):
    """Wait before a write of the renewal, as a debugger would make it."""
    swap = store.swap

    def halted_swap(token):
        claimed = token.renewal.claim is not None
        if point == ("claim" if claimed else "save"):
            say(halted=point)
            sys.stdin.readline()
        return swap(token)

    store.swap = halted_swap


def forked(call):
    """Ask in a child process while this one's call is on its way."""
    coverage_forks.set_right()
    mine = []
    asking = threading.Thread(target=lambda: mine.append(result(call)))
    asking.start()
    say(started=True)
    sys.stdin.readline()
    child = os.fork()
    if not child:
        say(child=result(call))
        os._exit(0)
    say(forked=child)
    _, status = os.waitpid(child, 0)
    asking.join()
    return {**mine[0], "child_status": status}


def main():
    settings = json.loads(os.environ["WORKER"])
    clock = FakeClock() if settings.get("fake_clock") else WrongClock(settings.get("ahead", 0.0))
    store = open_store(settings["store"], clock=clock)
    profile = Profile(**settings["profile"])
    providers = Providers("zoho", {"zoho": {"profile": profile}})
    if settings.get("halt_at"):
        halting(store, settings["halt_at"])
    keeper = Keeper(store, providers=providers, clock=clock)
    token_id = settings["id"]
    say(ready=os.getpid())
    for line in sys.stdin:
        command = line.strip()
        if command == "get":
            say(**result(lambda: keeper.get(id=token_id)))
        elif command == "fork":
            say(**forked(lambda: keeper.get(id=token_id)))
        elif command == "revoke":
            say(**result(lambda: keeper.revoke(token_id)))
        elif command == "delete":
            keeper.delete(token_id)
            say(deleted=token_id)
        elif command == "sweep":
            say(saved=keeper.sweep().saved)
    keeper.close()


if __name__ == "__main__":
    main()
