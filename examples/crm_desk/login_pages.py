"""Logging in with Zoho: off to Zoho's page, and back with a code."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crm_desk.ledger import LOGIN_LIFE
from crm_desk.pages import Account
from crm_desk.sessions import LIFE
from crm_desk.trouble import KNOWN, NO_SUCH_PLACE, STALE_LOGIN, login_trouble, trouble_of
from tokenkeep.errors import UnknownName
from tokenkeep.login import (
    DEFAULT_SCOPES,
    AuthorizationRequest,
    Kept,
    NotThisLogin,
    Wanted,
    sign_in,
    state_of,
    with_user_scopes,
)

if TYPE_CHECKING:
    import logging

    from starlette.requests import Request

    from crm_desk.desk import Desk
    from crm_desk.sessions import Session
    from tokenkeep.token import Token

SCOPES = with_user_scopes(DEFAULT_SCOPES)
"""What is asked for: records and settings, as the SDK needs them, and whose login it is."""


LONGEST_DRAFT = 64
"""What a draft is found by is shorter; whatever else is sent in its place is not kept."""


class LoginPages:
    """
    The start, ``/login`` and ``/callback``.

    Args:
        desk: The desk.
        logger: Where what is only for whoever runs the desk goes.
    """

    def __init__(self, desk: Desk, logger: logging.Logger) -> None:
        self._desk = desk
        self._logger = logger
        self.routes: list[Route] = [
            Route("/", self._start),
            Route("/login", self._login, methods=["POST"]),
            Route("/callback", self._callback),
        ]

    async def _start(self, request: Request) -> Response:
        session: Session = request.state.session
        if session.token_id and "more" not in request.query_params:
            return RedirectResponse("/leads", 303)
        done = _DONE.get(request.query_params.get("done", ""))
        return await self._desk.pages.show(
            request, "start.html", data_centers=self._desk.data_centers, draft="", done=done
        )

    async def _login(self, request: Request) -> Response:
        """Send the browser to Zoho, and keep what its answer has to fit."""
        desk, session = self._desk, request.state.session
        async with request.form(max_files=0, max_fields=10) as form:
            asked, given = str(form.get("data_center", "")), form.get("form_token")
            draft = str(form.get("draft", ""))
        if len(draft) > LONGEST_DRAFT:
            draft = ""
        if not session.owns(given):
            return await desk.pages.trouble(request, STALE_LOGIN, draft=draft)
        try:
            center = desk.table.by_name(asked or desk.settings.data_center)
        except UnknownName:
            return await desk.pages.trouble(request, NO_SUCH_PLACE, draft=draft)
        going = AuthorizationRequest(
            desk.table,
            center,
            client_id=desk.settings.client_id,
            redirect_uri=desk.settings.redirect_uri,
            scopes=SCOPES,
        )
        kept = going.kept()
        facts = {"kept": asdict(kept), "draft": draft}
        try:
            await desk.threads.look(
                lambda: desk.ledger.keep(_name(session.browser, kept.state), facts, LOGIN_LIFE)
            )
        except KNOWN as exc:
            return await desk.pages.trouble(request, trouble_of(exc), draft=draft)
        return RedirectResponse(going.url, 303)

    async def _callback(self, request: Request) -> Response:
        """Take the answer, once; the token behind it is stored before anything is shown."""
        desk, session = self._desk, request.state.session
        answer = request.url.query
        draft = ""
        try:
            facts = await desk.threads.look(lambda: self._kept(session, answer))
            draft = facts["draft"]
            token = await desk.threads.work(lambda: self._signed_in(facts, answer))
        except KNOWN as exc:
            return await desk.pages.trouble(request, login_trouble(exc), draft=draft)
        request.state.session = session.logged_in(str(token.id))
        # Never a place that the request names: only a draft that lies here.
        place = "/leads"
        with suppress(*KNOWN):
            place = await desk.threads.look(lambda: _place_of(desk, draft, token))
        with suppress(*KNOWN):
            # A copy of the cookie from before holds the logins from before.
            await desk.threads.look(lambda: desk.ledger.end(session.browser, LIFE))
        return RedirectResponse(place, 303)

    def _kept(self, session: Session, answer: str) -> dict[str, Any]:
        state = state_of(answer)
        for browser in (session.browser, session.before):
            facts = self._desk.ledger.take(_name(browser, state)) if browser else None
            if facts is not None:
                return facts
        raise NotThisLogin("No login of this browser waits for this answer")

    def _signed_in(self, facts: dict[str, Any], answer: str) -> Token:
        desk = self._desk
        code = AuthorizationRequest.resumed(desk.table, Kept(**facts["kept"])).accept(answer)
        wanted = Wanted(
            client_id=desk.settings.client_id,
            client_secret=desk.settings.client_secret,
            scopes=SCOPES,
        )
        token = sign_in(desk.crm.store.keeper, wanted, code, self._logger.warning)
        desk.ledger.count(str(token.id), "logins")
        desk.ledger.note(str(token.id), "Logged in; code exchanged for tokens")
        return token


def _name(browser: str, state: str) -> str:
    """Return what a login is kept by: its answer has to come to the browser that began it."""
    return f"login {browser} {state}"


def _place_of(desk: Desk, draft: str, token: Token) -> str:
    """Return where to go on: to the form that could not be sent, else to the leads."""
    kept = kept_draft(desk, draft, token)
    return "/leads" if kept is None else f"{kept['path']}?draft={draft}"


def kept_draft(desk: Desk, draft: str, token: Token) -> dict[str, Any] | None:
    """
    Return a form that could not be sent before a login. None if there is none of this user.

    Args:
        desk: The desk.
        draft: What it is found by.
        token: The login it would be sent with.
    """
    kept = desk.ledger.look(f"draft {draft}") if draft else None
    if kept is None or kept["owner"] not in ("", Account.of(token).owner):
        return None
    return kept


def keep_draft(desk: Desk, owner: str, path: str, values: dict[str, str], life: float) -> str:
    """
    Keep a form that can't be sent before a login.

    Args:
        desk: The desk.
        owner: Whose it is, as `Account.owner`; the login itself may be gone.
            Empty if nobody was logged in.
        path: Where its form is.
        values: What is in it.
        life: How long it is kept, in seconds.

    Returns:
        What it is found by.
    """
    draft = secrets.token_urlsafe(24)
    desk.ledger.keep(f"draft {draft}", {"owner": owner, "path": path, "values": values}, life)
    return draft


_DONE = {
    "out": "You are logged out of this browser.",
    "disconnected": "Disconnected: Zoho has revoked this login, and its tokens are deleted here.",
    "unconfirmed": "Disconnected here: nothing uses this access any more. Zoho could not be "
    "reached to confirm it; the desk goes on trying.",
}
