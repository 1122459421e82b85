"""
One token for all workers of an asynchronous server.

    pip install 'tokenkeep[postgres]' starlette uvicorn
    export TOKENKEEP_STORE=postgresql://app:secret@db/app TOKENKEEP_KEYS=...
    uvicorn --workers 2 asgi:app

tokenkeep waits as ordinary functions do, so it is asked in a thread; the event
loop goes on. The store is closed when the worker ends.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager

import urllib3
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

import tokenkeep


@asynccontextmanager
async def lifespan(app):
    """Keep the tokens as long as the worker lives."""
    with tokenkeep.Keeper(tokenkeep.open_store()) as keeper, urllib3.PoolManager() as http:
        app.state.keeper, app.state.http = keeper, http
        yield


def full_name(keeper, http, user):
    """Ask the CRM for the user's name, with that user's token."""
    token = keeper.get(user=user)
    found = http.request(
        "GET",
        f"{token.api_domain}/crm/v8/users?type=CurrentUser",
        headers={"Authorization": f"Zoho-oauthtoken {token.access_token}"},
        timeout=10,
    )
    return found.json()["users"][0]["full_name"]


async def who(request):
    """Answer with the user's name."""
    state, user = request.app.state, request.query_params.get("user", "")
    try:
        name = await run_in_threadpool(full_name, state.keeper, state.http, user)
    except tokenkeep.TokenKeepError as exc:
        return JSONResponse({"error": str(exc)}, status_code=503)
    return JSONResponse({"name": name, "worker": os.getpid()})


app = Starlette(routes=[Route("/", who)], lifespan=lifespan)
