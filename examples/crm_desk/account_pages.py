"""What a person can do with their logins: use another one, log out, disconnect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crm_desk.disconnecting import disconnect
from crm_desk.sessions import LIFE, stranger
from crm_desk.trouble import CANT_TELL, KNOWN, NOT_LOGGED_IN, STALE_PAGE, trouble_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from crm_desk.desk import Desk
    from crm_desk.sessions import Session


class AccountPages:
    """``/account/...``; each but the logout needs a form of this browser and login."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes: list[Route] = [
            Route("/account/use", self._use, methods=["POST"]),
            Route("/account/logout", self._log_out, methods=["POST"]),
            Route("/account/disconnect", self._disconnect, methods=["GET", "POST"]),
        ]

    async def _use(self, request: Request) -> Response:
        """Go on as another login of this browser."""
        session: Session = request.state.session
        async with request.form(max_files=0, max_fields=10) as form:
            token_id, given = str(form.get("token_id", "")), form.get("form_token")
        if not session.owns(given):
            return await self._desk.pages.trouble(request, STALE_PAGE)
        # Only what this browser has logged in itself.
        for login in session.rest:
            if login.token_id == token_id:
                try:
                    is_first = await self._desk.threads.note(
                        lambda: self._desk.ledger.end(session.browser, LIFE)
                    )
                except KNOWN as exc:
                    return await self._desk.pages.trouble(request, trouble_of(exc))
                if not is_first:
                    return await self._desk.pages.trouble(request, STALE_PAGE)
                request.state.session = session.logged_in(login)
        return RedirectResponse("/leads", 303)

    async def _log_out(self, request: Request) -> Response:
        """
        Forget all logins in this browser; the tokens stay for others.

        From whichever page of the desk it comes: an old one in another tab is
        as good, and what is not a page of the desk `Guard` has refused.
        """
        session: Session = request.state.session
        ledger, done = self._desk.ledger, "out"
        try:
            if not request.state.is_stranger:  # of whom there may be any number
                await self._desk.threads.note(lambda: ledger.log_out(session.browser, LIFE))
        except KNOWN as exc:
            # Whoever leaves a browser has to be out of it, whatever else can't be done.
            trouble_of(exc)
            done = "out-here"
        request.state.session = stranger()
        return RedirectResponse(f"/?done={done}", 303)

    async def _disconnect(self, request: Request) -> Response:
        """Revoke a login at Zoho and delete it, for all browsers."""
        desk, session = self._desk, request.state.session
        token_id = session.token_id
        if token_id is None:
            trouble = CANT_TELL if session.is_unknown else NOT_LOGGED_IN
            return await desk.pages.trouble(request, trouble)
        if request.method == "GET":
            return await desk.pages.show(request, "disconnect.html")
        async with request.form(max_files=0, max_fields=10) as form:
            given = form.get("form_token")
        if not session.owns(given):
            return await desk.pages.trouble(request, STALE_PAGE)
        try:
            confirmed = await desk.threads.work(
                lambda: disconnect(desk.crm.store.keeper, desk.ledger, session.login)
            )
        except KNOWN as exc:
            return await desk.pages.trouble(request, trouble_of(exc))
        request.state.session = session.without(token_id)
        return RedirectResponse(
            f"/?done={'disconnected' if confirmed else 'unconfirmed'}&more", 303
        )
