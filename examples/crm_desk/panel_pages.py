"""The panel as it changes, and the emulator's buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from crm_desk.panel import panel
from crm_desk.trouble import KNOWN, NOT_HERE, NOT_LOGGED_IN, STALE_PAGE, trouble_of
from tokenkeep.errors import TokenNotFound

if TYPE_CHECKING:
    from starlette.requests import Request

    from crm_desk.desk import Desk


class PanelPages:
    """``/panel`` and ``/emulator/...``: asked for by the page's script, and usable without it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes: list[Route] = [Route("/panel", self._panel)]
        if desk.strip is not None:
            self.routes.append(Route("/emulator/{action}", self._press, methods=["POST"]))

    async def _panel(self, request: Request) -> Response:
        """Answer with the panel, or with nothing if the browser has it like this already."""
        desk, token_id = self._desk, request.state.session.token_id
        asked = request.query_params
        if token_id is None:
            return Response(status_code=503 if request.state.session.is_unknown else 401)
        if asked.get("of", token_id) != token_id:
            # The cookie has moved on, the page has not: it would show two people.
            return Response(status_code=409)
        try:
            now = await desk.threads.look(lambda: panel(desk.crm, desk.ledger, token_id))
        except TokenNotFound:
            return Response(status_code=410)
        except KNOWN:
            return Response(status_code=503)
        if asked.get("seen") == now.digest:
            return Response(status_code=204)
        return HTMLResponse(desk.pages.fragment("_panel.html", panel=now))

    async def _press(self, request: Request) -> Response:
        """Let the emulator make something happen to this login."""
        desk, session = self._desk, request.state.session
        async with request.form(max_files=0, max_fields=10) as form:
            given = form.get("form_token")
        if not session.owns(given):
            return await desk.pages.trouble(request, STALE_PAGE)
        token_id = session.token_id
        if token_id is None:
            return await desk.pages.trouble(request, NOT_LOGGED_IN)
        action = request.path_params["action"]
        try:
            done, on = await desk.threads.look(lambda: self._pressed(action, token_id))
        except KNOWN as exc:
            return await desk.pages.trouble(request, trouble_of(exc))
        if done is None:
            return await desk.pages.trouble(request, NOT_HERE)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"done": done, "on": on})
        return RedirectResponse("/leads", 303)

    def _pressed(self, action: str, token_id: str) -> tuple[str | None, list[str]]:
        strip = self._desk.strip
        if strip is None:
            return None, []
        done = strip.press(action, self._desk.crm.token(token_id))
        now = strip.now()
        return done, [each.name for each in now.buttons if each.is_on] if now else []
