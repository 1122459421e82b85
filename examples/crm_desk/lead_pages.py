"""The leads: list, new, change, delete."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crm_desk import drafts, leads
from crm_desk.crm import CrmRefused
from crm_desk.sessions import CannotTell
from crm_desk.trouble import (
    CANT_TELL,
    KNOWN,
    NO_SUCH_LEAD,
    NOT_LOGGED_IN,
    STALE_FORM,
    STALE_PAGE,
    Trouble,
    trouble_of,
)
from tokenkeep.errors import LoginNeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from starlette.requests import Request

    from crm_desk.desk import Desk

    Result = TypeVar("Result")

_DONE = {
    "created": "The lead was added.",
    "updated": "The lead was changed.",
    "deleted": "The lead was deleted.",
}
LONGEST_NUMBER = 6
"""How many digits the number of a page has at most."""

_EMPTY: Mapping[str, str] = dict.fromkeys(leads.NAMES, "")


class _LeadId(IntegerConvertor):
    """As long as the CRM's ids are: Python refuses to read numbers of any length."""

    regex = "[0-9]{1,19}"


register_url_convertor("lead", _LeadId())


class NotLoggedIn(Exception):
    """The browser has no login in use."""


class LeadPages:
    """``/leads`` and what is below it; everybody sees those of their own organisation."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes: list[Route] = [
            Route("/leads", self._list, methods=["GET"]),
            Route("/leads", self._create, methods=["POST"]),
            Route("/leads/new", self._new, methods=["GET"]),
            Route("/leads/{id:lead}", self._edit, methods=["GET"]),
            Route("/leads/{id:lead}", self._update, methods=["POST"]),
            Route("/leads/{id:lead}/delete", self._ask, methods=["GET"]),
            Route("/leads/{id:lead}/delete", self._delete, methods=["POST"]),
        ]

    # Reading

    async def _list(self, request: Request) -> Response:
        asked = request.query_params
        wanted = asked.get("page", "")
        number = max(int(wanted), 1) if wanted.isdecimal() and len(wanted) <= LONGEST_NUMBER else 1
        try:
            page = await self._as_user(request, partial(leads.listed, number, asked.get("token")))
        except (*KNOWN, NotLoggedIn) as exc:
            return await self._desk.pages.trouble(request, _trouble(exc))
        done = _DONE.get(asked.get("done", ""))
        return await self._desk.pages.show(request, "leads.html", page=page, done=done)

    async def _new(self, request: Request) -> Response:
        session = request.state.session
        if session.token_id is None:
            trouble = CANT_TELL if session.is_unknown else NOT_LOGGED_IN
            return await self._desk.pages.trouble(request, trouble)
        values, draft = await self._draft(request, "/leads/new")
        return await self._form(request, values or _EMPTY, draft=draft)

    async def _edit(self, request: Request) -> Response:
        lead_id = request.path_params["id"]
        try:
            lead = await self._as_user(request, partial(leads.read, lead_id))
        except (*KNOWN, NotLoggedIn) as exc:
            return await self._desk.pages.trouble(request, _trouble(exc))
        values, draft = await self._draft(request, f"/leads/{lead_id}")
        if lead is None and values:
            return await self._form(request, values, trouble=NO_SUCH_LEAD, draft=draft)
        if lead is None:
            return await self._desk.pages.trouble(request, NO_SUCH_LEAD)
        return await self._form(request, values or lead.values, name=lead.full_name, draft=draft)

    async def _ask(self, request: Request) -> Response:
        try:
            lead = await self._as_user(request, partial(leads.read, request.path_params["id"]))
        except (*KNOWN, NotLoggedIn) as exc:
            return await self._desk.pages.trouble(request, _trouble(exc))
        if lead is None:
            return await self._desk.pages.trouble(request, NO_SUCH_LEAD)
        return await self._desk.pages.show(request, "lead_delete.html", lead=lead)

    # Writing

    async def _create(self, request: Request) -> Response:
        return await self._write(request, leads.created, "created", form="/leads/new")

    async def _update(self, request: Request) -> Response:
        lead_id = request.path_params["id"]
        change = partial(leads.updated, lead_id)
        return await self._write(request, change, "updated", form=f"/leads/{lead_id}")

    async def _delete(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            given = form.get("form_token")
        if not request.state.session.owns(given):
            return await self._desk.pages.trouble(request, STALE_PAGE)
        work = partial(leads.deleted, request.path_params["id"])
        try:
            await self._as_user(request, work)
        except (*KNOWN, NotLoggedIn) as exc:
            return await self._desk.pages.trouble(request, _trouble(exc, writing=True))
        return RedirectResponse("/leads?done=deleted", 303)

    async def _write(
        self,
        request: Request,
        write: Callable[[Mapping[str, str]], None],
        done: str,
        *,
        form: str,
    ) -> Response:
        """Send what was typed; whatever happens, what was typed is not lost."""
        async with request.form(max_files=0, max_fields=30) as sent:
            values = {name: _text(sent.get(name)) for name in leads.NAMES}
            given, draft = sent.get("form_token"), _text(sent.get("draft"))[: drafts.LONGEST]
        # First: what is corrected is sent again, and would be somebody else's then.
        if not request.state.session.owns(given):
            return await self._form(request, values, trouble=STALE_FORM, draft=draft)
        errors = _errors(values)
        if errors:
            return await self._form(request, values, errors=errors, draft=draft)
        try:
            await self._as_user(request, lambda: write(values))
        except CrmRefused as exc:
            trouble = _trouble(exc, writing=True)
            field = exc.details.get("api_name") or exc.details.get("field")
            if field in leads.NAMES:
                errors = {str(field): f"Zoho CRM says: {exc.message or exc.code}"}
                return await self._form(request, values, errors=errors, draft=draft)
            return await self._not_sent(request, values, trouble, form, draft)
        except (*KNOWN, NotLoggedIn) as exc:
            trouble = _trouble(exc, writing=True)
            return await self._not_sent(request, values, trouble, form, draft)
        if draft:
            # The lead is there: sent again, it would be two.
            await self._sent(request, draft)
        return RedirectResponse(f"/leads?done={done}", 303)

    async def _not_sent(
        self, request: Request, values: dict[str, str], trouble: Trouble, form: str, draft: str
    ) -> Response:
        """Show the form again as it was, and keep it over a login if that is what it takes."""
        if trouble.login:
            ledger, session, before, draft = self._desk.ledger, request.state.session, draft, ""
            with suppress(*KNOWN):  # it is still in the form on this page
                draft = await self._desk.threads.note(
                    lambda: drafts.keep(ledger, session, form, values, before)
                )
            request.state.session = replace(session, draft=draft or session.draft)
        return await self._form(request, values, trouble=trouble, draft=draft)

    async def _sent(self, request: Request, draft: str) -> None:
        """Forget a draft."""
        ledger, session = self._desk.ledger, request.state.session
        with suppress(*KNOWN):
            await self._desk.threads.note(lambda: drafts.drop(ledger, session, draft))
        if session.draft == draft:
            request.state.session = replace(session, draft="")

    async def _form(
        self,
        request: Request,
        values: Mapping[str, str],
        *,
        name: str | None = None,
        errors: Mapping[str, str] | None = None,
        trouble: Trouble | None = None,
        draft: str = "",
    ) -> Response:
        lead_id = request.path_params.get("id")
        status = trouble.status if trouble else 422 if errors else 200
        return await self._desk.pages.show(
            request,
            "lead_form.html",
            status,
            fields=leads.FIELDS,
            values=values,
            errors=errors or {},
            trouble=trouble,
            draft=draft,
            action="/leads" if lead_id is None else f"/leads/{lead_id}",
            lead_id=lead_id,
            name=name,
        )

    async def _draft(self, request: Request, form: str) -> tuple[Mapping[str, str] | None, str]:
        """Return what was typed before a login, and its draft. None if there is none."""
        ledger, session = self._desk.ledger, request.state.session
        draft, kept = request.query_params.get("draft", ""), None
        if draft:
            with suppress(*KNOWN):
                kept = await self._desk.threads.note(
                    lambda: drafts.values_of(ledger, session, draft, form)
                )
        if kept is None:
            return None, ""
        if session.draft == draft:
            # From here on it is in the form.
            request.state.session = replace(session, draft="")
        return {name: str(kept.get(name, "")) for name in leads.NAMES}, draft

    async def _as_user(self, request: Request, work: Callable[[], Result]) -> Result:
        """Do something as the user of this browser, in a thread."""
        login, token_id = request.state.session.login, request.state.session.token_id
        if request.state.session.is_unknown:
            raise CannotTell("The desk's own file can't be read")
        if token_id is None:
            raise NotLoggedIn
        crm, threads, ledger = self._desk.crm, self._desk.threads, self._desk.ledger
        token = await threads.look(lambda: crm.token_of(login))
        try:
            return await threads.work(
                lambda: crm.as_user(token, work),
                of=token_id,
                at=token.data_center or "",
            )
        except LoginNeeded:
            # Wherever it was ended: the next login does not bring back sessions from before.
            with suppress(*KNOWN):
                # Unless somebody has logged in meanwhile.
                if not await threads.look(lambda: crm.is_good(token_id)):
                    await threads.note(lambda: ledger.end_login(token_id, login.since))
            raise


def _trouble(error: Exception, *, writing: bool = False) -> Trouble:
    if isinstance(error, NotLoggedIn):
        return NOT_LOGGED_IN
    if isinstance(error, CrmRefused) and error.code == "INVALID_DATA" and "id" in error.details:
        return NO_SUCH_LEAD
    return trouble_of(error, writing=writing)


def _text(sent: object) -> str:
    """Return what was sent as text that can be stored: lines as people type them, no halves."""
    text = str(sent or "").encode(errors="replace").decode()
    return text.replace("\r\n", "\n").strip()


def _errors(values: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with what was typed, by field."""
    errors = {}
    for field in leads.FIELDS:
        value = values[field.name]
        if field.required and not value:
            errors[field.name] = f"{field.label} is missing"
        elif len(value) > field.longest:
            errors[field.name] = f"{field.label} has more than {field.longest} characters"
    return errors
