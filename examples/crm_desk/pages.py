"""Pages: templates, and what is on all of them."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from crm_desk.panel import panel, where
from crm_desk.threads import Ending
from tokenkeep.errors import StoreUnavailable, TokenKeepError

if TYPE_CHECKING:
    from starlette.requests import Request

    from crm_desk.desk import Desk
    from crm_desk.sessions import Session
    from crm_desk.trouble import Trouble
    from tokenkeep.token import Token

HERE = Path(__file__).parent
STATIC = HERE / "static"


@dataclass(frozen=True)
class Account:
    """A login as its person knows it: the id, who it is, where, and whose what is typed is."""

    token_id: str
    email: str
    organisation: str
    data_center: str
    owner: str

    @classmethod
    def of(cls, token: Token) -> Account:
        """Return the account of a stored token."""
        email, _, organisation = (token.user or "").rpartition(":")
        name = email or token.user or "Somebody Zoho did not name"
        # The same after a new login; nobody can tell that of those without a name.
        whose = f"owner {token.user} {token.data_center}"
        owner = hashlib.sha256(whose.encode()).hexdigest()[:32] if token.user else ""
        return cls(str(token.id), name, organisation, token.data_center or "", owner)


class Pages:
    """
    Make pages from templates; all text in them is escaped.

    Args:
        desk: What they are about.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"clock": clock, "iso": iso, "duration": duration}
        # With the content in its address a file can be kept for ever.
        self._templates.globals["static"] = {
            path.name: f"/static/{path.name}?{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
            for path in STATIC.iterdir()
        }

    async def show(
        self, request: Request, template: str, status: int = 200, /, **facts: Any
    ) -> Response:
        """
        Answer with a page.

        Args:
            request: What is answered.
            template: The name of its file.
            status: The HTTP status.
            facts: What the template wants to know.
        """
        trouble: Trouble | None = facts.get("trouble")
        frame = self._frame(request.state.session)
        # No use asking a store that has just failed.
        if trouble is None or not trouble.bare:
            with suppress(StoreUnavailable, Ending):
                frame |= await self._desk.threads.look(partial(self._known, request.state.session))
        facts = {"trouble": None, "done": None, **frame, **facts}
        if facts["trouble"] is not None and facts["trouble"].login:
            facts.setdefault("data_centers", self._desk.data_centers)
        page = self._templates.get_template(template).render(**facts)
        headers = {}
        if trouble is not None and trouble.until:
            headers["Retry-After"] = str(max(1, round(trouble.until - time.time())))
        return HTMLResponse(page, status, headers)

    async def trouble(self, request: Request, trouble: Trouble, **facts: Any) -> Response:
        """Answer with a page that says what went wrong."""
        given: dict[str, Any] = {"draft": "", "again": _again(request), **facts}
        return await self.show(request, "trouble.html", trouble.status, trouble=trouble, **given)

    def fragment(self, template: str, **facts: Any) -> str:
        """Return a part of a page."""
        return self._templates.get_template(template).render(now=time.time(), **facts)

    def _frame(self, session: Session) -> dict[str, Any]:
        """Return what every page shows, as if nothing were known."""
        return {
            "session": session,
            "account": None,
            "others": [],
            "panel": None,
            "where": None,
            "strip": None,
            "is_emulated": self._desk.strip is not None,
            "process": os.getpid(),
            "now": time.time(),
        }

    def _known(self, session: Session) -> dict[str, Any]:
        """Return what the stores know for every page, as far as they can be read."""
        desk = self._desk
        known: dict[str, Any] = {}
        # One that does not answer is not asked for the next login.
        with suppress(TokenKeepError):
            known["where"] = where(desk.crm)
            mine = self._account(session.token_id) if session.token_id else None
            known["account"] = mine
            others = map(self._account, session.others)
            known["others"] = [each for each in others if each is not None]
            if mine is not None:
                known["panel"] = panel(desk.crm, desk.ledger, mine.token_id)
        if desk.strip is not None and known.get("account"):
            known["strip"] = desk.strip.now()
        return known

    def _account(self, token_id: str) -> Account | None:
        """
        Return a login. None if it is gone, or its row can't be read.

        Raises:
            StoreUnavailable: No row can be.
        """
        try:
            return Account.of(self._desk.crm.token(token_id))
        except StoreUnavailable:
            raise
        except TokenKeepError:
            return None


def _again(request: Request) -> str:
    """Return where trying again leads: to the same page, unless that was a form or an answer."""
    url = request.url
    if request.method != "GET" or not url.path.startswith(("/leads", "/account/")):
        return "/leads"
    return f"{url.path}?{url.query}" if url.query else url.path


def clock(at: float) -> str:
    """Return a moment as people read it."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def iso(at: float) -> str:
    """Return a moment as programs read it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def duration(seconds: float) -> str:
    """Return a length of time as people read it."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
