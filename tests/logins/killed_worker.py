"""
Something done to a store in a process that is killed after its n-th step.

A step is a write or deletion in the store, or a revocation at the provider.
"""

from __future__ import annotations

import multiprocessing
import os
import signal

from tokenkeep import Keeper, Token, open_store
from tokenkeep.backends.sqlite import SQLiteBackend

FRESH = multiprocessing.get_context("forkserver")
# Each is forked from a process that has loaded these and done nothing: as fresh as if it were
# started by itself, and there in a hundredth of the time.
FRESH.set_forkserver_preload(
    [
        "psycopg",
        "sqlalchemy.dialects.postgresql.psycopg",
        "tokenkeep.backends.sql",
        "tokenkeep.backends.sqlite",
        "tokenkeep.config",
        "tokenkeep.keeper",
        "tokenkeep.providers.zoho",
    ]
)

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


def work(environ, after, deed, given, *, ids_of_owners):
    os.environ.update(environ)
    if ids_of_owners:
        SQLiteBackend.id_for = lambda _, owner: owner[:32][::-1]
    keeper = Keeper(open_store(make=True))
    backend, provider = keeper.store.backend, keeper.providers.named("zoho")
    kill_after(after, (backend, "write"), (backend, "delete"), (provider, "revoke"))
    DEEDS[deed](keeper, given)


def is_killed(*job, **more):
    """Do a job in a process of its own; tell whether that was killed before its end."""
    process = FRESH.Process(target=work, args=job, kwargs=more)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0
