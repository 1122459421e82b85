"""What a person can do with their logins: use another one, log out, disconnect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crm_desk.sessions import LIFE, stranger
from crm_desk.trouble import CANT_TELL, KNOWN, NOT_LOGGED_IN, STALE_FORM, trouble_of
from tokenkeep.errors import StoreUnavailable, TokenNotFound

if TYPE_CHECKING:
    from starlette.requests import Request

    from crm_desk.desk import Desk
    from crm_desk.sessions import Login, Session


class AccountPages:
    """``/account/...``; each needs a form of this browser."""

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
            return await self._desk.pages.trouble(request, STALE_FORM)
        # Only what this browser has logged in itself.
        for login in session.rest:
            if login.token_id == token_id:
                try:
                    is_first = await self._ended(session)
                except KNOWN as exc:
                    return await self._desk.pages.trouble(request, trouble_of(exc))
                if not is_first:
                    return await self._desk.pages.trouble(request, STALE_FORM)
                request.state.session = session.logged_in(login)
        return RedirectResponse("/leads", 303)

    async def _log_out(self, request: Request) -> Response:
        """Forget all logins in this browser; the tokens stay for others."""
        async with request.form(max_files=0, max_fields=10) as form:
            given = form.get("form_token")
        session: Session = request.state.session
        if not session.owns(given):
            return await self._desk.pages.trouble(request, STALE_FORM)
        done = "out"
        try:
            await self._ended(session)
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
            return await desk.pages.trouble(request, STALE_FORM)
        try:
            confirmed = await desk.threads.work(lambda: self._revoked(session.login))
        except KNOWN as exc:
            return await desk.pages.trouble(request, trouble_of(exc))
        request.state.session = session.without(token_id)
        return RedirectResponse(
            f"/?done={'disconnected' if confirmed else 'unconfirmed'}&more", 303
        )

    async def _ended(self, session: Session) -> bool:
        """End a browser's name; tell whether nobody did before."""
        return await self._desk.threads.note(lambda: self._desk.ledger.end(session.browser, LIFE))

    def _revoked(self, login: Login) -> bool:
        """Revoke and delete; tell whether Zoho has confirmed it."""
        keeper, ledger, token_id = self._desk.crm.store.keeper, self._desk.ledger, login.token_id
        try:
            token = keeper.revoke(token_id)
        except TokenNotFound:
            ledger.end_login(token_id, login.since)
            ledger.forget(token_id)
            return True
        # Where it can't be noted, that is said: asked once more, it may be.
        ledger.end_login(token_id, login.since)
        if token.renewal.to_revoke:
            # Not deleted: the row says what a sweep has still to revoke at Zoho.
            return False
        try:
            keeper.delete(token_id)
        except StoreUnavailable:
            return True  # revoked all the same; only the row is left
        ledger.forget(token_id)
        return True
