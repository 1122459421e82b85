"""
A process with a keeper of its own: one command a line in, one JSON line out.

Started by renewal_processes.py with its settings as JSON in the environment
variable WORKER. ``halts`` makes it print ``halted`` before it saves an answer, and wait for
a line, or for its end; ``fake_clock`` makes waiting take no time.
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


def say(**said):
    print(json.dumps(said), flush=True)  # noqa: T201  # that is the protocol


def result(call):
    """Return what a call ended in."""
    try:
        token = call()
    except TokenKeepError as exc:
        return {"error": type(exc).__name__, "pid": os.getpid()}
    return {"access_token": token.access_token, "pid": os.getpid()}


def halting(store):
    """Wait before the renewal is saved, as a debugger would make it."""
    swap = store.swap

    def halted_swap(token):
        if token.renewal.claim is None:
            say(halted=True)
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


class Service:
    """Something that goes on in a thread until it is stopped, and what it has done by then."""

    def __init__(self):
        self.stop, self._threads, self._done = threading.Event(), [], []

    def begin(self, work):
        self._threads.append(threading.Thread(target=lambda: self._done.append(work(self.stop))))
        self._threads[-1].start()
        return {"started": True}

    def end(self):
        self.stop.set()
        for thread in self._threads:
            thread.join()
        return {"done": sum(self._done)}


def sweeping(keeper, stop):
    """Sweep again and again, and return how many revocations were confirmed."""
    confirmed = keeper.sweep().revoked
    while not stop.wait(0.1):
        confirmed += keeper.sweep().revoked
    return confirmed


def main():
    settings = json.loads(os.environ["WORKER"])
    clock = FakeClock() if settings.get("fake_clock") else Clock()
    store = open_store(settings["store"], clock=clock)
    providers = Providers("zoho", {"zoho": {"profile": Profile(**settings["profile"])}})
    if settings.get("halts"):
        halting(store)
    keeper = Keeper(store, providers=providers, clock=clock)
    token_id = settings["id"]
    get = lambda: keeper.get(id=token_id)  # noqa: E731
    service = Service()
    do = {
        "keep fresh": lambda: service.begin(lambda stop: keeper.keep_fresh(stop).renewed),
        "go on sweeping": lambda: service.begin(lambda stop: sweeping(keeper, stop)),
        "stop": service.end,
        "get": lambda: result(get),
        "fork": lambda: forked(get),
        "revoke": lambda: result(lambda: keeper.revoke(token_id)),
        "delete": lambda: result(lambda: keeper.delete(token_id)),
        "sweep": lambda: {"saved": keeper.sweep().saved},
    }
    say(ready=os.getpid())
    for line in sys.stdin:
        say(**do[line.strip()]())
    keeper.close()


if __name__ == "__main__":
    main()
