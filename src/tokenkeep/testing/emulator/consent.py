"""The page where a person grants an application access, or does not."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from .accounts import ENVIRONMENTS, Access
from .server import Answer, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .accounts import Accounts, Client
    from .server import Request

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{name} asks for access</title>
<h1>{name} asks for access</h1>
<p>It would be able to:</p>
<ul>{scopes}</ul>
<form method="post" action="/oauth/v2/auth">{hidden}
<p><label>Account <select name="user">{users}</select></label></p>
<p><label>Environment <select name="environment">{environments}</select></label></p>
<p><button name="decision" value="accept">Accept</button>
<button name="decision" value="reject">Reject</button></p>
</form>
<p>This is an emulator: nothing here reaches Zoho.</p>
"""


class ConsentPage:
    """Show what is asked for, take the decision, and send the browser back to the application."""

    def __init__(self, accounts: Accounts, accounts_url: Callable[[str], str]) -> None:
        self._accounts = accounts
        self._accounts_url = accounts_url

    def answer(self, request: Request) -> Answer:
        """Answer the browser."""
        asked = request.form
        client = self._accounts.clients.get(asked.get("client_id", ""))
        # An address that was not checked gets no redirect: the person is told here.
        if client is None:
            raise _wrong("invalid_client")
        if not client.accepts(asked.get("redirect_uri", "")):
            raise _wrong("invalid_redirect_uri")
        decision = asked.get("decision") if request.method == "POST" else None
        if decision is None:
            return self._show(asked, client)
        if decision != "accept":
            raise Refused("access_denied", _back(asked, {"error": "access_denied"}))
        return self._accept(asked, client)

    def _show(self, asked: dict[str, str], client: Client) -> Answer:
        scopes = asked.get("scope", "").replace(",", " ").split()
        hidden = (f'name="{escape(name)}" value="{escape(asked[name])}"' for name in asked)
        page = _PAGE.format(
            name=escape(client.name),
            scopes="".join(f"<li>{escape(each)}</li>" for each in scopes),
            hidden="".join(f'<input type="hidden" {each}>' for each in hidden),
            users=_choices(self._accounts.users),
            environments=_choices(ENVIRONMENTS),
        )
        return Answer(200, page, "text/html; charset=utf-8")

    def _accept(self, asked: dict[str, str], client: Client) -> Answer:
        accounts = self._accounts
        environment = asked.get("environment", ENVIRONMENTS[0])
        try:
            user = accounts.user(asked.get("user") or None)
            access = Access(user, client, environment, asked.get("scope", ""))
        except (LookupError, ValueError) as error:
            raise _wrong(str(error)) from error
        whose = (user, client, environment)
        logins = [each.access for each in accounts.logins]
        had = whose in [(each.user, each.client, each.environment) for each in logins]
        code = accounts.make_grant(
            access,
            redirect_uri=asked["redirect_uri"],
            # A refresh token comes with the first consent, and later only if asked for again.
            offline=asked.get("access_type") == "offline"
            and (not had or asked.get("prompt") == "consent"),
            challenge=asked.get("code_challenge"),
        )
        fields = {"code": code, "location": user.data_center}
        return _back(asked, fields | {"accounts-server": self._accounts_url(user.data_center)})


def _wrong(reason: str) -> Refused:
    return Refused(reason, Answer(400, f"This request can't be granted: {reason}", "text/plain"))


def _back(asked: dict[str, str], answer: dict[str, str]) -> Answer:
    """Send the browser to the application, with the trailing ``&`` that Zoho has."""
    state = {"state": asked["state"]} if "state" in asked else {}
    uri = asked["redirect_uri"]
    query = urlencode(state | answer, quote_via=quote, safe="")
    location = f"{uri}{'&' if '?' in uri else '?'}{query}&"
    return Answer(302, headers={"Location": location})


def _choices(values: Iterable[str]) -> str:
    return "".join(f"<option>{escape(each)}</option>" for each in values)
