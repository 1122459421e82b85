"""Logging in with Zoho: off to Zoho's page, and back with a code."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crm_desk import drafts
from crm_desk.ledger import LOGIN_LIFE
from crm_desk.login_trouble import login_trouble
from crm_desk.pages import Account
from crm_desk.sessions import LIFE, Login, stranger
from crm_desk.trouble import CANT_TELL, KNOWN, NO_SUCH_PLACE, STALE_LOGIN
from tokenkeep.errors import TokenRevoked, UnknownName
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

SCOPES = with_user_scopes(DEFAULT_SCOPES)
"""What is asked for: records and settings, as the SDK needs them, and whose login it is."""


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
        if session.is_unknown:
            return await self._desk.pages.trouble(request, CANT_TELL)
        done = _DONE.get(request.query_params.get("done", ""))
        return await self._desk.pages.show(
            request, "start.html", data_centers=self._desk.data_centers, draft="", done=done
        )

    async def _login(self, request: Request) -> Response:
        """Send the browser to Zoho, and keep what its answer has to fit."""
        desk, session = self._desk, request.state.session
        async with request.form(max_files=0, max_fields=10) as form:
            asked, given = str(form.get("data_center", "")), form.get("form_token")
            draft = str(form.get("draft", ""))[: drafts.LONGEST]
        draft = draft or session.draft
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
            await desk.threads.note(
                lambda: desk.ledger.keep(_name(session.browser, kept.state), facts, LOGIN_LIFE)
            )
        except KNOWN as exc:
            return await desk.pages.trouble(request, login_trouble(exc), draft=draft)
        return RedirectResponse(going.url, 303)

    async def _callback(self, request: Request) -> Response:
        """Take the answer, once; the token behind it is stored before anything is shown."""
        desk, session = self._desk, request.state.session
        answer = request.url.query
        draft = session.draft
        try:
            facts = await desk.threads.note(lambda: self._kept(session, answer))
            draft = facts["draft"] or session.draft
            login = await desk.threads.work(lambda: self._signed_in(facts, answer))
            # A copy of the cookie from before holds the logins from before: without this, none.
            is_first = await desk.threads.note(lambda: desk.ledger.end(session.browser, LIFE))
        except KNOWN as exc:
            return await desk.pages.trouble(request, login_trouble(exc), draft=draft)
        # Logged out while Zoho was asked: what was left does not come back.
        now = (session if is_first else stranger()).logged_in(login)
        # Never a place that the request names: only a draft that lies here.
        place = None
        with suppress(*KNOWN):
            place = await desk.threads.note(lambda: drafts.path_of(desk.ledger, now, draft))
        request.state.session = now
        return RedirectResponse(f"{place}?draft={draft}" if place else "/leads", 303)

    def _kept(self, session: Session, answer: str) -> dict[str, Any]:
        state = state_of(answer)
        for browser in (session.browser, *session.before):
            facts = self._desk.ledger.take(_name(browser, state))
            if facts is not None:
                return facts
        raise NotThisLogin("No login of this browser waits for this answer")

    def _signed_in(self, facts: dict[str, Any], answer: str) -> Login:
        desk = self._desk
        code = AuthorizationRequest.resumed(desk.table, Kept(**facts["kept"])).accept(answer)
        wanted = Wanted(
            client_id=desk.settings.client_id,
            client_secret=desk.settings.client_secret,
            scopes=SCOPES,
        )
        with desk.sign_ins:
            token = sign_in(desk.crm.store.keeper, wanted, code, self._logger.warning)
            account = Account.of(token)
            since = desk.ledger.begin_login(account.token_id)
            if not desk.crm.is_good(account.token_id):
                # Disconnected before that was noted: the session would be good with the next one.
                raise TokenRevoked(
                    "This login was disconnected while it began",
                    token_id=account.token_id,
                    hint="Log in again",
                )
        desk.ledger.count(account.token_id, "logins")
        desk.ledger.note(account.token_id, "Logged in; code exchanged for tokens")
        return Login(account.token_id, account.owner, since)


def _name(browser: str, state: str) -> str:
    """Return what a login is kept by: its answer has to come to the browser that began it."""
    return f"login {browser} {state}"


_DONE = {
    "out": "You are logged out of this browser.",
    "out-here": "You are logged out of this browser. Copies of its cookie, if there are any, "
    "could not be ended: the desk's own file can't be written. Tell whoever runs this desk.",
    "disconnected": "Disconnected: Zoho has revoked this login, and its tokens are deleted here.",
    "unconfirmed": "Disconnected here: nothing uses this access any more. Zoho could not be "
    "reached to confirm it; the desk goes on trying.",
}
