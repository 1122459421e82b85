"""
Something done to a store in a process that is killed after its n-th step.

A step is a write or deletion in the store, or a revocation at the provider.
"""

from __future__ import annotations

import multiprocessing
import os
import signal

from interference import before

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
    "revoke all": lambda keeper, _: list(keeper.revoke_all(everything=True)),
    "sweep": lambda keeper, _: keeper.sweep(),
}


def work(environ, after, deed, given, *, ids_of_owners):
    os.environ.update(environ)
    if ids_of_owners:
        SQLiteBackend.id_for = lambda _, owner: owner[:32][::-1]
    keeper = Keeper(open_store(make=True))
    store, provider = keeper.store, keeper.providers.named("zoho")
    steps = (store.backend, "write"), (store.backend, "delete"), (provider, "revoke")
    before(after, lambda: os.kill(os.getpid(), signal.SIGKILL), *steps, after=True)
    DEEDS[deed](keeper, given)


def is_killed(*job, **more):
    """Do a job in a process of its own; tell whether that was killed before its end."""
    process = FRESH.Process(target=work, args=job, kwargs=more)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0
