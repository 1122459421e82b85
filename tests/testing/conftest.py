"""An application that speaks to the emulator, as the tests need it."""

from __future__ import annotations

import pytest
import requests


class Application:
    """Plain calls, with the default client's credentials."""

    def __init__(self, zoho):
        self.zoho = zoho
        self.client = zoho.client

    def post(self, url, **form):
        return requests.post(url, data=form, timeout=20, allow_redirects=False)

    def token(self, grant_type, *, data_center="us", client=None, **form):
        client = client or self.client
        credentials = {"client_id": client.client_id, "client_secret": client.client_secret}
        return self.post(
            self.zoho[data_center].token_url, grant_type=grant_type, **(credentials | form)
        )

    def exchange(self, code, **form):
        return self.token("authorization_code", code=code, **form).json()

    def refresh(self, refresh_token, **form):
        return self.token("refresh_token", refresh_token=refresh_token, **form).json()

    def error(self, refresh_token, **form):
        return self.refresh(refresh_token, **form).get("error")

    def crm(self, path, token, method="GET", *, url=None, scheme="Zoho-oauthtoken", **given):
        return requests.request(
            method,
            f"{url or self.zoho.us.api_url}/crm/v8/{path}",
            headers={"Authorization": f"{scheme} {token}"},
            timeout=20,
            **given,
        )

    def code(self, path, token, **given):
        """The error code of a CRM call, None for a good one."""
        response = self.crm(path, token, **given)
        return response.json().get("code") if response.content else None


@pytest.fixture
def app(zoho):
    return Application(zoho)
