"""The pages where a person grants an application access, or does not."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from .device import device_form
from .model import ENVIRONMENTS, OAuthError
from .oauth import parameters, site_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from .model import Client, User
    from .world import World

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; }}
select, button {{ font: inherit; padding: .4rem .8rem; }}
label {{ display: block; margin-top: 1rem; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_KEPT = (
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "access_type",
    "prompt",
    "response_type",
    "code_challenge",
    "code_challenge_method",
)


class ConsentPages:
    """
    ``/oauth/v2/auth`` and ``/oauth/device``.

    They show what is asked for, take the decision and, of the first, send the
    browser back to the application.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes: list[Route] = [
            Route("/oauth/v2/auth", self._auth, methods=["GET", "POST"]),
            Route("/oauth/device", self._device, methods=["GET", "POST"]),
        ]

    async def _auth(self, request: Request) -> Response:
        asked = await parameters(request)
        try:
            client = self._check(asked, site_of(request).data_center)
        except OAuthError as error:
            self._world.counters.add("errors", error.name)
            return page("This request can't be granted", f"<p>{escape(error.name)}</p>", 400)
        refusal = _refusal(asked, client)
        if refusal is not None:
            return self._back(asked, {"error": refusal})

        decision = asked.get("decision") if request.method == "POST" else None
        if self._world.options.auto_consent and "auto" in asked:
            decision = asked["auto"]
        if decision is None:
            return self._show(asked, client, site_of(request).data_center)
        if decision != "accept":
            return self._back(asked, {"error": "access_denied"})
        return self._accept(asked, client, site_of(request).data_center)

    async def _device(self, request: Request) -> Response:
        asked = await parameters(request)
        accounts = self._world.accounts
        if request.method == "GET":
            users = list(accounts.registry.users.values())
            return page("Connect a device", device_form(users, asked.get("user_code", "")))
        accepted = asked.get("decision") == "accept"
        try:
            self._world.devices.decide(
                asked.get("user_code", ""),
                accounts.registry.user(asked.get("user")),
                accept=accepted,
                environment=asked.get("environment", "production"),
            )
        except (LookupError, ValueError) as error:
            return page("This can't be granted", f"<p>{escape(str(error))}</p>", 400)
        return page("Access granted" if accepted else "Access refused", "<p>Go on there.</p>")

    def _check(self, asked: dict[str, str], data_center: str) -> Client:
        """Find the client, or raise what is shown here: an unchecked address gets no redirect."""
        client = self._world.registry.clients.get(asked.get("client_id", ""))
        if client is None or data_center not in client.secrets:
            raise OAuthError("invalid_client")
        if not self._world.registry.accepts_redirect(client, asked.get("redirect_uri", "")):
            raise OAuthError("invalid_redirect_uri")
        return client

    def _show(self, asked: dict[str, str], client: Client, data_center: str) -> Response:
        users = self._users(client, data_center)
        scopes = asked["scope"].replace(",", " ").split()
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{escape(asked[name])}">'
            for name in _KEPT
            if name in asked
        )
        return page(
            f"{client.name} asks for access",
            f"""<p>It would be able to:</p>
<ul>{"".join(f"<li><code>{escape(each)}</code></li>" for each in scopes)}</ul>
<form method="post" action="/oauth/v2/auth">{hidden}
<label for="user">Account</label>
<select id="user" name="user">{_choices(each.name for each in users)}</select>
<label for="environment">Environment</label>
<select id="environment" name="environment">{_choices(ENVIRONMENTS)}</select>
<p><button name="decision" value="accept">Accept</button>
<button name="decision" value="reject">Reject</button></p>
</form>
<p>This is an emulator: nothing here reaches Zoho.</p>""",
        )

    def _users(self, client: Client, data_center: str) -> list[User]:
        """Who can log in here: users of all data centres, but China keeps to itself."""
        return [
            each
            for each in self._world.registry.users.values()
            if each.data_center in client.secrets
            and (each.data_center == "cn") == (data_center == "cn")
        ]

    def _user(self, name: str | None, client: Client, data_center: str) -> User:
        """The user of this name, or the first, of those who can log in here."""
        offered = self._users(client, data_center)
        for user in offered:
            if name in (None, "", user.name, user.email):
                return user
        raise LookupError(f"{name!r} can't log in here")

    def _accept(self, asked: dict[str, str], client: Client, data_center: str) -> Response:
        accounts = self._world.accounts
        environment = asked.get("environment", "production")
        try:
            user = self._user(asked.get("user"), client, data_center)
            first = (user.name, client.client_id, environment) not in accounts.consents
            grant = accounts.make_grant(
                user,
                client,
                scope=asked["scope"],
                environment=environment,
                redirect_uri=asked["redirect_uri"],
                # A refresh token comes with the first consent, and later only if asked for again.
                offline=asked.get("access_type") == "offline"
                and (first or asked.get("prompt") == "consent"),
                challenge=asked.get("code_challenge"),
                challenge_method=asked.get("code_challenge_method", "plain"),
            )
        except (LookupError, ValueError) as error:
            return page("This request can't be granted", f"<p>{escape(str(error))}</p>", 400)
        return self._back(
            asked,
            {
                "code": grant.code,
                "location": user.data_center,
                "accounts-server": self._world.accounts_url(user.data_center),
            },
        )

    def _back(self, asked: dict[str, str], answer: dict[str, str]) -> Response:
        """Send the browser to the application, with the trailing ``&`` that Zoho has."""
        if "error" in answer:
            self._world.counters.add("errors", answer["error"])
        state = {"state": asked["state"]} if "state" in asked else {}
        uri = asked["redirect_uri"]
        glue = "&" if "?" in uri else "?"
        query = urlencode(state | answer, quote_via=quote, safe="")
        return RedirectResponse(f"{uri}{glue}{query}&", status_code=302)


def page(title: str, body: str, status: int = 200) -> Response:
    """
    Make a page.

    Args:
        title: Text, escaped here.
        body: HTML.
        status: HTTP status.
    """
    return HTMLResponse(
        _PAGE.format(title=escape(title), body=body),
        status_code=status,
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "Cache-Control": "no-store",
        },
    )


def _choices(values: Iterable[str]) -> str:
    return "".join(f"<option>{escape(each)}</option>" for each in values)


def _refusal(asked: dict[str, str], client: Client) -> str | None:
    """The error to send back to the application; None if the request is in order."""
    if asked.get("response_type") != "code":
        return "unsupported_response_type"
    if not asked.get("scope"):
        return "invalid_scope"
    method = asked.get("code_challenge_method", "plain")
    if method not in ("plain", "S256") or (client.public and "code_challenge" not in asked):
        return "invalid_request"
    return None
