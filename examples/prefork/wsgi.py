"""
One token for all workers of a server that forks.

    pip install 'tokenkeep[postgres]' gunicorn
    export TOKENKEEP_STORE=postgresql://app:secret@db/app TOKENKEEP_KEYS=...
    gunicorn --workers 4 --preload wsgi:app

The store is opened once, before the fork; each worker then makes connections
of its own. Whichever worker meets an expired token first renews it, for all.
"""

from __future__ import annotations

import json
import os
from urllib.parse import parse_qs

import urllib3

import tokenkeep

keeper = tokenkeep.Keeper(tokenkeep.open_store())
http = urllib3.PoolManager()


def app(environ, start_response):
    """Answer with the CRM's name of the user, asked for with that user's token."""
    user = parse_qs(environ["QUERY_STRING"]).get("user", [""])[0]
    try:
        token = keeper.get(user=user)
    except tokenkeep.TokenKeepError as exc:
        return answer(start_response, "503 Service Unavailable", {"error": str(exc)})
    found = http.request(
        "GET",
        f"{token.api_domain}/crm/v8/users?type=CurrentUser",
        headers={"Authorization": f"Zoho-oauthtoken {token.access_token}"},
        timeout=10,
    )
    name = found.json()["users"][0]["full_name"]
    return answer(start_response, "200 OK", {"name": name, "worker": os.getpid()})


def answer(start_response, status, body):
    """Send JSON."""
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
