"""
A program in greenlets, for celery: ``gevent_program:queue``.

Its store, token and queue are in the environment variable PROGRAM, as JSON.
"""

from __future__ import annotations

import json
import os

from celery import Celery

from tokenkeep import Keeper, TokenKeepError, open_store
from tokenkeep.providers import Profile, Providers

settings = json.loads(os.environ["PROGRAM"])
profile = Profile(rotates=True, call_timeout=60.0, claim_length=120.0, wait_timeout=300.0)
providers = Providers("zoho", {"zoho": {"profile": profile}})
keeper = Keeper(open_store(settings["store"]), providers=providers)
queue = Celery("gevent_program", **settings["queue"])


@queue.task(name="asked")
def asked(what):
    """Return an access token, or what became of it; or say that this process goes on."""
    if what == "alive":
        return "alive"
    try:
        return keeper.get(id=settings["id"]).access_token
    except TokenKeepError as exc:
        return f"{type(exc).__name__}: {exc}"
