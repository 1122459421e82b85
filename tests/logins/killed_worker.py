"""
Do things to a store, each in a process that is killed after its n-th step.

A step is a write or deletion in the store, or a revocation at the provider. A line on
standard input is a job as JSON; it runs in a child forked from here, as fresh as one started
by itself, and there in a hundredth of the time. A line printed says how that ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback

# Loaded once for all children.
import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

import tokenkeep.backends.sql
import tokenkeep.providers.zoho  # noqa: F401
from tokenkeep import Keeper, Token, open_store
from tokenkeep.backends.sqlite import SQLiteBackend

DEEDS = {
    "save": lambda keeper, given: keeper.store.save_token(Token(**given)),
    "find": lambda keeper, given: keeper.get(**given),
    "delete": lambda keeper, given: keeper.delete(given["id"]),
    "end": lambda keeper, given: keeper.end(given["id"]),
    "revoke and delete": lambda keeper, given: (
        keeper.revoke(given["id"]),
        keeper.delete(given["id"]),
    ),
    "sweep": lambda keeper, _: keeper.sweep(),
}


def kill_after(steps, *calls):
    """Kill this process right after so many of these calls, each an object and a method."""
    left = steps

    def counted(call):
        def _counted(*args, **given):
            nonlocal left
            result = call(*args, **given)
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return _counted

    for each, name in calls:
        setattr(each, name, counted(getattr(each, name)))


def work(*, deed, given, after, ids_of_owners):
    if ids_of_owners:
        SQLiteBackend.id_for = lambda _, owner: owner[:32][::-1]
    keeper = Keeper(open_store(make=True))
    backend, provider = keeper.store.backend, keeper.providers.named("zoho")
    kill_after(after, (backend, "write"), (backend, "delete"), (provider, "revoke"))
    DEEDS[deed](keeper, given)


def main():
    Keeper(open_store("memory:", keys_newest_first=[bytes(32)])).close()  # likewise
    print("ready", flush=True)  # noqa: T201  # that is the protocol
    for line in sys.stdin:
        job = json.loads(line)
        os.environ.update(job.pop("environ"))
        child = os.fork()
        if not child:
            try:
                work(**job)
            except BaseException:  # noqa: BLE001  # printed, whatever it is
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
