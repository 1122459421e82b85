"""No call to a provider that fails has a secret in its error, nor in a frame on its way."""

from __future__ import annotations

import pytest
from provider_server import SECRETS, as_json, assert_error_is_clean, response

from tokenkeep.errors import TokenKeepError
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.providers.zoho import Zoho, current_user

VERIFIER = "a-verifier.s3cret"
CALLS = {
    "refresh": lambda token: OAuth2("acme").refresh(token),
    "refresh by basic": lambda token: OAuth2("acme", client_auth="basic").refresh(token),
    "exchange": lambda token: OAuth2("acme").exchange(token, code_verifier=VERIFIER),
    "exchange at Zoho": lambda token: Zoho().exchange(token, code_verifier=VERIFIER),
    "revoke": lambda token: Zoho().revoke(token),
    "current user": current_user,
}
ANSWERS = [
    b"",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    response(b"", "302 Found", "Location: /"),
    response(f"<p>{SECRETS['access_token']}".encode()),
    as_json({"error": "invalid_grant", "code": SECRETS["refresh_token"]}, "400 Bad"),
    response(b"{}", "200 OK", "Content-Encoding: gzip"),
]
ODD = [
    {"client_id": None},
    {"access_token": None, "grant_token": None, "refresh_token": None},
    {name: f"{secret}\udc80" for name, secret in SECRETS.items()},
    {name: f"{secret}\r\nX: 1" for name, secret in SECRETS.items()},
]


@pytest.mark.parametrize("call", CALLS)
def test_no_secret(serve, token, call):
    """Whatever comes back or breaks off; whoever is not there; whatever can't be sent."""
    urls = [serve(answer).url for answer in ANSWERS]
    refusing = serve(as_json({"error": "invalid_request"}, "400 Bad")).url
    nobody = ["http://127.0.0.1:9/token", "http://acme.example/token", "nonsense"]

    for url, odd in [*((url, {}) for url in urls + nobody), *((refusing, odd) for odd in ODD)]:
        try:
            CALLS[call](token(url, api_domain=url.removesuffix("/oauth/v2/token"), **odd))
        except TokenKeepError as exc:
            assert_error_is_clean(exc, VERIFIER, "s3cret")
