"""The application: routes, and what is around them. ``uvicorn --factory crm_desk.app:make``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from crm_desk.account_pages import AccountPages
from crm_desk.desk import Desk
from crm_desk.ending import close, end_with, when_told_to_end
from crm_desk.guard import Guard
from crm_desk.lead_pages import LeadPages
from crm_desk.login_pages import LoginPages
from crm_desk.pages import STATIC
from crm_desk.panel_pages import PanelPages
from crm_desk.sessions import Sessions
from crm_desk.settings import settings
from crm_desk.threads import Ending
from crm_desk.trouble import NOT_HERE, OURS, trouble_of
from tokenkeep.errors import StoreUnavailable, TokenKeepError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

logger = logging.getLogger("crm_desk")

SWEEP_EVERY = 3600.0
"""How often what was left over is tidied up, in seconds."""


def make() -> ASGIApp:
    """
    Make the application of one worker.

    Raises:
        TokenKeepError: It can't run as configured.
    """
    configure_logging()
    desk = Desk(settings())
    launcher = multiprocessing.parent_process()
    if launcher is not None:
        end_with(launcher)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with when_told_to_end(desk.threads.end):
            await _open(desk)
            sweeping = asyncio.create_task(_sweep(desk))
            try:
                yield
            finally:
                sweeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sweeping
                await close(desk.crm, desk.sign_ins)
                desk.ledger.close()

    async def not_here(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith("/static/"):
            return PlainTextResponse("There is no such file\n", 404)
        return await desk.pages.trouble(request, NOT_HERE)

    async def refused(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        return PlainTextResponse("That can't be done here\n", status)

    async def ours(request: Request, _error: Exception) -> Response:
        return await desk.pages.trouble(request, OURS)

    async def ended(request: Request, error: Exception) -> Response:
        return await desk.pages.trouble(request, trouble_of(error))

    app = Starlette(
        routes=[
            *LoginPages(desk, logger).routes,
            *LeadPages(desk).routes,
            *AccountPages(desk).routes,
            *PanelPages(desk).routes,
            Route("/health", _health),
            Route("/favicon.ico", _icon),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        lifespan=lifespan,
        exception_handlers={
            404: not_here,
            HTTPException: refused,
            Ending: ended,
            Exception: ours,
        },
    )
    # Around everything, pages about errors among it.
    sessions = Sessions(app, desk.settings, desk.key, desk.ledger, desk.threads)
    return Guard(sessions, desk.settings, desk.login_servers, desk.threads)


def configure_logging() -> None:
    """Log to standard error, without what is secret."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # Its lines hold whole addresses, and the one of a login's answer is secret.
    logging.getLogger("uvicorn.access").disabled = True


async def _health(_request: Request) -> Response:
    """For whatever watches the desk; it asks nobody."""
    return PlainTextResponse(f"{os.getpid()}\n")


async def _icon(_request: Request) -> Response:
    """For browsers, which ask for it where a page names none: answers that are plain text."""
    return FileResponse(STATIC / "icon.svg", headers={"Cache-Control": "max-age=86400"})


async def _open(desk: Desk) -> None:
    """Open the store, if it can be had now."""
    try:
        await desk.threads.work(lambda: desk.crm.store)
    except (StoreUnavailable, TimeoutError, Ending) as exc:
        # It may come back; until then each page says so.
        logger.warning("%s", str(exc) or "The token store does not answer")


async def _sweep(desk: Desk) -> None:
    """Finish revocations, save answers that could not be saved; any number of workers may."""
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        try:
            await desk.threads.work(lambda: desk.crm.store.keeper.sweep())  # noqa: PLW0108  # the store may have to be opened first: in the thread
        except (TokenKeepError, TimeoutError, Ending) as exc:
            logger.warning("Sweeping: %s", str(exc) or "it takes too long")
        except Exception:
            # Whatever it was: the next time it may be done.
            logger.exception("Sweeping")
