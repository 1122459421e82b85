"""The application: ``uvicorn --factory crm_desk.app:make``."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException

import tokenkeep
from crm_desk import leads, panel
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.login import WebLogin

HERE = Path(__file__).parent
ENDED = (
    "Your session ended at {at:%H:%M} UTC on {at:%d %B} by the policy '{policy}': log in again."
)
LOG_IN = "You are not logged in, or Zoho has ended this login. Log in to go on."
CRM_AWAY = "Zoho CRM could not be asked, or did not answer. Look first whether it was done."
WORDS = {
    tokenkeep.LoginNeeded: (401, LOG_IN),
    tokenkeep.TokenNotFound: (401, LOG_IN),
    tokenkeep.NotThisLogin: (400, "Nobody has begun this login in this browser, or it is over."),
    tokenkeep.ProviderRefused: (400, "Zoho did not let you in. Nothing was stored."),
    tokenkeep.UnknownName: (400, "That is no server of Zoho's, and nothing was sent to it."),
    tokenkeep.RenewalError: (503, "Zoho's login server does not let us go on. Your login stays."),
    tokenkeep.StoreError: (503, "The tokens can't be reached. Your login is safe."),
    tokenkeep.TokenKeepError: (503, "The desk can't do this now."),
    leads.CrmSaid: (400, None),
    leads.CrmSilent: (503, CRM_AWAY),
    SDKException: (503, CRM_AWAY),
}
"""What a trouble's page is answered with and says to whoever looks at it. None: its own words."""

DONE = {
    "added": "The lead was added.",
    "changed": "The lead was changed.",
    "deleted": "The lead was deleted.",
    "out": "You are logged out of this browser.",
    "disconnected": "Disconnected: Zoho has revoked this login, and its tokens are deleted here.",
    "unconfirmed": "Disconnected here. Zoho did not confirm it yet; the desk goes on trying.",
}
DATA_CENTERS = "us eu in au cn jp ca sa"
"""Where users may live; the client is registered at the first."""

LARGEST_FORM = 100_000
"""In bytes."""

SWEEP_EVERY = 3600
"""How often what was left over is finished, in seconds: any number of processes may."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

logger = logging.getLogger("crm_desk")
templates = Jinja2Templates(HERE / "templates")


class LeadId(IntegerConvertor):
    """What can be the id of a lead."""

    regex = "[0-9]{1,19}"


register_url_convertor("lead", LeadId())


def make():
    """Make the application of one worker, as the environment says."""
    # Its lines hold whole addresses, and the one of a login's answer is secret.
    logging.getLogger("uvicorn.access").disabled = True
    url = os.environ.get("CRM_DESK_URL", "http://127.0.0.1:8418").rstrip("/")
    key = os.environ.get("CRM_DESK_SESSION_KEY")
    if not key:  # with an empty one anybody could sign
        raise KeyError("CRM_DESK_SESSION_KEY")
    app = Starlette(
        routes=[
            Route("/", start),
            Route("/login", form_of(login), methods=["POST"]),
            Route("/callback", callback),
            Route("/logout", form_of(logout), methods=["POST"]),
            Route("/disconnect", form_of(disconnect), methods=["POST"]),
            Route("/leads", list_leads),
            Route("/leads/new", show_lead),
            Route("/leads/new", form_of(save_lead), methods=["POST"]),
            Route("/leads/{id:lead}", show_lead),
            Route("/leads/{id:lead}", form_of(save_lead), methods=["POST"]),
            Route("/leads/{id:lead}/delete", form_of(delete_lead), methods=["POST"]),
            Route("/panel", show_panel),
            Route("/emulator/{action}", form_of(press), methods=["POST"]),
            Route("/health", health),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[url.split("/")[2].split(":")[0]]),
            # Signed, HttpOnly and SameSite. It names a token, and holds none.
            Middleware(
                SessionMiddleware,
                secret_key=key,
                session_cookie="crm_desk",
                https_only=url.startswith("https:"),
            ),
        ],
        exception_handlers=dict.fromkeys((HTTPException, *WORDS), trouble),
        lifespan=sweeping,
    )
    app.state.store = SDKStore()
    app.state.data_centers = os.environ.get("CRM_DESK_DATA_CENTERS", DATA_CENTERS).split()
    app.state.logins = WebLogin(
        app.state.store.keeper,
        client_id=os.environ["TOKENKEEP_CLIENT_ID"],
        client_secret=os.environ["TOKENKEEP_CLIENT_SECRET"],
        redirect_uri=f"{url}/callback",
        data_center=app.state.data_centers[0],
    )
    return app


@asynccontextmanager
async def sweeping(app):
    """Finish what was left over now and then: revocations, answers that could not be saved."""

    async def sweep():
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            try:
                await run_in_threadpool(app.state.store.keeper.sweep)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the next one tries again
                logger.warning("Sweeping: %s", exc)

    task = asyncio.create_task(sweep())
    yield
    task.cancel()
    app.state.store.close()


def form_of(handler):
    """Let a handler, in a thread, have a form that one of this browser's pages has sent."""

    async def endpoint(request):
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > LARGEST_FORM:
            return PlainTextResponse("No form of this desk is like this.\n", 413)
        form = await request.form(max_files=0, max_fields=20)
        given, own = str(form.get("form_token", "")), request.session.get("form_token", "")
        if own and secrets.compare_digest(given.encode(), own.encode()):
            return await run_in_threadpool(handler, request, form)
        raise HTTPException(403, "This page is from before, and nothing was done. Load it again.")

    return endpoint


# All that follows waits for stores and servers, and runs in threads: Starlette sees to it.


def health(_request):
    """For whatever watches the desk; it asks nobody."""
    return PlainTextResponse(f"{os.getpid()}\n")


# Logging in


def start(request):
    if "token_id" in request.session:
        return RedirectResponse("/leads", 303)
    return page(request, "start.html")


def login(request, form):
    """Send the browser to Zoho; the answer has to come back to this browser."""
    state, wanted = request.app.state, form.get("data_center")
    where = wanted if wanted in state.data_centers else None
    # Only this browser has the token of its forms.
    url = state.logins.begin(request.session["form_token"], data_center=where)
    return RedirectResponse(url, 303)


def callback(request):
    """Take Zoho's answer: a code, which becomes a stored token. It counts once."""
    session = request.session
    token = request.app.state.logins.finish(request.url.query, session.get("form_token"))
    is_same = token.user and session.get("user") == token.user
    draft = session.get("draft") if is_same else None
    session.clear()  # what was known before this login does not count after it
    session.update(token_id=token.id, user=token.user, draft=draft)
    return RedirectResponse(f"/leads/{draft['id'] or 'new'}" if draft else "/leads", 303)


def logout(request, _form):
    """Leave this browser; the token stays."""
    request.session.clear()
    return RedirectResponse("/?done=out", 303)


def disconnect(request, _form):
    """Revoke the token at Zoho and delete it here: all browsers of this user are logged out."""
    is_confirmed = True
    with suppress(tokenkeep.TokenNotFound):  # somebody was faster
        ended = keeper_of(request).end(request.session.get("token_id", ""))
        is_confirmed = not ended.renewal.to_revoke
    request.session.clear()
    return RedirectResponse(f"/?done={'disconnected' if is_confirmed else 'unconfirmed'}", 303)


# Leads


def as_user(request):
    """Let the SDK work in this thread as this browser's user."""
    return request.app.state.store.as_user(request.session.get("token_id", ""))


def list_leads(request):
    number = request.query_params.get("page", "1")
    number = int(number) if number.isascii() and number.isdecimal() and len(number) < 5 else 1
    with as_user(request) as call:
        found, more = leads.listed(call, number)
    return page(request, "leads.html", leads=found, more=more, number=number)


def show_lead(request):
    lead_id = request.path_params.get("id")
    lead = request.session.pop("draft", None)
    if not lead or lead["id"] != lead_id:
        lead = dict.fromkeys(leads.FIELDS, "")
        if lead_id is not None:
            with as_user(request) as call:
                lead = leads.read(call, lead_id)
    if lead is None:
        raise HTTPException(404, "You have no such lead.")
    return page(request, "lead.html", lead=lead)


def save_lead(request, form):
    """Add a lead, or change one; what can't be sent comes back, to be sent again."""
    lead_id = request.path_params.get("id")
    lead = {"id": lead_id} | {name: str(form.get(name, "")) for name in leads.FIELDS}
    if not lead["Last_Name"].strip():
        return page(request, "lead.html", lead=lead, said="A lead has a last name.", status=422)
    try:
        with as_user(request) as call:
            leads.save(call, lead)
    except (tokenkeep.LoginNeeded, tokenkeep.TokenNotFound) as exc:
        request.session["draft"] = lead
        return trouble(request, exc, adds=" What you typed is kept until then.")
    except tuple(WORDS) as exc:
        return trouble(request, exc, "lead.html", lead=lead)
    return RedirectResponse(f"/leads?done={'added' if lead_id is None else 'changed'}", 303)


def delete_lead(request, _form):
    with as_user(request) as call:
        leads.delete(call, request.path_params["id"])
    return RedirectResponse("/leads?done=deleted", 303)


# Behind the scenes


def keeper_of(request):
    return request.app.state.store.keeper


def show_panel(request):
    return templates.TemplateResponse(request, "_panel.html", {"panel": facts_of(request)})


def press(request, _form):
    """Make something happen at the emulated Zoho; the page stays as it is."""
    if not os.environ.get("CRM_DESK_EMULATOR"):
        raise HTTPException(404)
    token_id = request.session.get("token_id", "")
    panel.press(keeper_of(request), token_id, request.path_params["action"])
    return Response(status_code=204)


def facts_of(request):
    token_id = request.session.get("token_id")
    try:
        return token_id and panel.facts(keeper_of(request), token_id)
    except tokenkeep.TokenKeepError:
        return None  # the page itself says what is wrong


# Pages


def page(request, name, *, status=200, has_panel=True, **more):
    session = request.session
    if request.method == "GET":
        # Not so for a form from another site: it comes without the cookie, which a new one
        # would replace.
        session.setdefault("form_token", secrets.token_urlsafe(16))
    known = {
        "user": "token_id" in session and (session.get("user") or "somebody without a name"),
        "form_token": session.get("form_token", ""),
        "done": DONE.get(request.query_params.get("done")),
        "fields": leads.FIELDS,
        "data_centers": request.app.state.data_centers,
        "panel": facts_of(request) if has_panel else None,
        "buttons": panel.BUTTONS if os.environ.get("CRM_DESK_EMULATOR") else {},
        "process": os.getpid(),
    }
    return templates.TemplateResponse(request, name, known | more, status, HEADERS)


def trouble(request, error, name="trouble.html", *, adds="", **more):
    """Say what went wrong: briefly to the visitor, and to the log what to do about it."""
    if isinstance(error, tokenkeep.PolicyEnded):  # nothing went wrong
        at = datetime.fromtimestamp(error.since, UTC)
        told = ENDED.format(at=at, policy=error.policy) + adds
        return page(request, "ended.html", done=told, offers_login=True, status=401)
    if isinstance(error, HTTPException):
        return page(request, name, said=error.detail, status=error.status_code)
    status, said = next(words for kind, words in WORDS.items() if isinstance(error, kind))
    kind = type(error).__name__
    what = type(error.cause or error).__name__ if isinstance(error, SDKException) else error
    logger.warning("%s: %s", kind, what)
    known = {
        "said": (said or str(error)) + adds,
        "kind": kind,
        "offers_login": status in (400, 401),
        # A store that does not answer is not waited for twice.
        "has_panel": not isinstance(error, tokenkeep.StoreError),
    }
    return page(request, name, status=status, **known | more)
