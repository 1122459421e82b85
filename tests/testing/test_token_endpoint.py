"""The token endpoint: exchange, renewal, client credentials and what they refuse."""

import base64
import hashlib

import pytest
import requests


def test_exchange(app, zoho):
    """A grant code gives an access and a refresh token, in Zoho's words."""
    answer = app.exchange(zoho.grant_code(scope="ZohoCRM.users.READ,ZohoCRM.org.READ"))

    assert {
        "access_token": answer["access_token"],
        "refresh_token": answer["refresh_token"],
        "scope": "ZohoCRM.users.READ ZohoCRM.org.READ",
        "api_domain": zoho.us.api_url,
        "token_type": "Bearer",
        "expires_in": 3600,
    } == answer


def test_tokens_look_like_zohos(app, zoho):
    """Tokens are 1000, a dot and twice 32 hexadecimal digits."""
    parts = app.exchange(zoho.grant_code())["refresh_token"].split(".")

    assert [parts[0], *map(len, parts[1:])] == ["1000", 32, 32]


def test_refresh_keeps_the_refresh_token(app, zoho):
    """A renewal answers a working access token and no refresh token."""
    refresh_token = zoho.refresh_token()
    answer = app.refresh(refresh_token)

    assert "refresh_token" not in answer
    assert zoho.is_active(answer["access_token"])
    assert zoho.is_active(refresh_token)


def test_query_parameters(app, zoho):
    """Parameters may come in the query, as in Zoho's samples."""
    query = {
        "grant_type": "refresh_token",
        "refresh_token": zoho.refresh_token(),
        "client_id": app.client.client_id,
        "client_secret": app.client.client_secret,
    }
    response = requests.post(zoho.us.token_url, params=query, timeout=20)

    assert "access_token" in response.json()
    assert zoho.counters.token_calls("refresh_token") == 1


def test_basic_authentication(app, zoho):
    """A client may authenticate by HTTP Basic."""
    response = requests.post(
        zoho.us.token_url,
        data={"grant_type": "refresh_token", "refresh_token": zoho.refresh_token()},
        auth=(app.client.client_id, app.client.client_secret),
        timeout=20,
    )

    assert "access_token" in response.json()


def test_code_is_single_use(app, zoho):
    """A code works once."""
    code = zoho.grant_code()
    app.exchange(code)

    assert app.exchange(code) == {"error": "invalid_code"}


def test_code_reuse_can_kill(app, zoho):
    """On request a code used twice kills the tokens it made."""
    zoho.options.code_reuse_kills = True
    code = zoho.grant_code()
    answer = app.exchange(code)
    app.exchange(code)

    assert not zoho.is_active(answer["refresh_token"])
    assert not zoho.is_active(answer["access_token"])


@pytest.mark.parametrize(("seconds", "works"), [(59, True), (61, False)])
def test_code_life(app, zoho, seconds, works):
    """A code lives for 60 seconds of the emulator's time."""
    code = zoho.grant_code()
    zoho.clock.advance(seconds)

    assert works == ("access_token" in app.exchange(code))


def test_code_life_of_its_own(app, zoho):
    """A self client chooses how long its code lives."""
    code = zoho.grant_code(life=600)
    zoho.clock.advance(599)

    assert "access_token" in app.exchange(code)


def test_wrong_client(app):
    """An unknown client is invalid_client, with status 200."""
    response = app.token("refresh_token", client_id="1000.NOBODY", refresh_token="x")

    assert (response.status_code, response.json()) == (200, {"error": "invalid_client"})


def test_wrong_secret(app, zoho):
    """A wrong secret has an error of its own."""
    assert app.error(zoho.refresh_token(), client_secret="wrong") == "invalid_client_secret"


def test_wrong_code_of_another_client(app, zoho):
    """A code of another client is no code."""
    other = zoho.register_client("Other")

    assert app.exchange(zoho.grant_code(client=other)) == {"error": "invalid_code"}


def test_wrong_data_center(app, zoho):
    """A code of another data centre is invalid_client, a refresh token invalid_code."""
    europe = zoho.add_user("eva@example.com", data_center="eu")

    assert app.exchange(zoho.grant_code(europe)) == {"error": "invalid_client"}
    assert app.error(zoho.refresh_token(europe)) == "invalid_code"
    assert "access_token" in app.refresh(zoho.refresh_token(europe), data_center="eu")


def test_secrets_differ_by_data_center(app, zoho):
    """A client may have another secret in each data centre, and be unknown in one."""
    client = zoho.register_client(
        "Multi", client_secret="home", secrets_by_data_center={"eu": "away"}
    )
    only_us = zoho.register_client("Home", data_centers=["us"])
    europe = zoho.add_user("eva@example.com", data_center="eu")
    token = zoho.refresh_token(europe, client=client)

    assert (client.client_secret, client.secrets["eu"]) == ("home", "away")
    assert (
        app.error(token, client=client, data_center="eu", client_secret="home")
        == "invalid_client_secret"
    )
    assert "access_token" in app.refresh(token, client=client, data_center="eu")
    assert app.error(token, client=only_us, data_center="eu") == "invalid_client"


def test_environments(app, zoho):
    """api_domain is that of the environment the grant was made for."""
    answers = [
        app.exchange(zoho.grant_code(environment=each))["api_domain"]
        for each in ("production", "sandbox", "developer")
    ]

    assert [zoho.us.api_url, zoho.us.sandbox_url, zoho.us.developer_url] == answers


@pytest.mark.parametrize(
    ("option", "expected"),
    [("omit", None), ("https://api.zoho.eu", "https://api.zoho.eu"), ("production", "us")],
)
def test_api_domain_option(app, zoho, option, expected):
    """api_domain can be left out, fixed, or always production's."""
    zoho.options.api_domain = option
    answer = app.refresh(zoho.refresh_token(environment="sandbox"))

    assert (zoho.us.api_url if expected == "us" else expected) == answer.get("api_domain")


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ("seconds", {"expires_in": 3600}),
        ("milliseconds_with_sec", {"expires_in": 3_600_000, "expires_in_sec": 3600}),
        ("milliseconds", {"expires_in": 3_600_000}),
        ("text", {"expires_in": "3600"}),
        ("missing", {}),
    ],
)
def test_expires_in_units(app, zoho, units, expected):
    """The life can be told in every way Zoho ever told it."""
    zoho.options.expires_in = units
    answer = app.refresh(zoho.refresh_token())

    assert expected == {name: answer[name] for name in answer if name.startswith("expires")}


def test_access_token_life(app, zoho):
    """The life of access tokens can be set, and is what is answered."""
    zoho.options.access_token_life = 2
    answer = app.refresh(zoho.refresh_token())
    alive = zoho.is_active(answer["access_token"])
    zoho.clock.advance(2)

    assert (
        answer["expires_in"],
        alive,
        zoho.is_active(answer["access_token"]),
    ) == (2, True, False)


@pytest.mark.parametrize(("soid", "error"), [("ZohoCRM.6000001", None), ("", "missing_org_info")])
def test_client_credentials(app, soid, error):
    """Client credentials need the organisation, and give no refresh token."""
    answer = app.token("client_credentials", soid=soid, scope="ZohoCRM.org.READ").json()

    assert error == answer.get("error")
    assert (error is None) == ("access_token" in answer)
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    ("method", "form", "status"),
    [
        ("GET", {"grant_type": "refresh_token"}, 400),
        ("POST", {}, 400),
        ("POST", {"grant_type": "password"}, 200),
    ],
)
def test_bad_request(zoho, method, form, status):
    """A wrong method or no grant type is 400, an unknown grant type 200."""
    response = requests.request(method, zoho.us.token_url, data=form, timeout=20)

    assert status == response.status_code
    assert "error" in response.json()


def test_error_status_option(app, zoho):
    """Errors can come with 400 instead of 200."""
    zoho.options.error_status = 400

    assert app.token("refresh_token", refresh_token="wrong").status_code == 400


def test_rfc6749_dialect(app, zoho):
    """Errors can have the names and statuses of RFC 6749."""
    zoho.options.dialect = "rfc6749"
    unknown = app.token("refresh_token", refresh_token="wrong")
    secret = app.token("refresh_token", refresh_token="x", client_secret="wrong")

    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_grant")
    assert (secret.status_code, secret.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_pkce(app, zoho, method):
    """A code asked for with PKCE needs its verifier."""
    zoho.options.auto_consent = True
    verifier = "v" * 43
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    asked = {
        "client_id": app.client.client_id,
        "redirect_uri": app.client.redirect_uris[0],
        "response_type": "code",
        "scope": "ZohoCRM.org.READ",
        "code_challenge": verifier if method == "plain" else digest.rstrip(b"=").decode(),
        "code_challenge_method": method,
        "auto": "accept",
    }
    response = requests.get(zoho.us.auth_url, params=asked, allow_redirects=False, timeout=20)
    code = response.headers["Location"].partition("code=")[2].partition("&")[0]
    redirect = {"redirect_uri": app.client.redirect_uris[0]}

    assert app.exchange(code, **redirect) == {"error": "invalid_code"}
    assert app.exchange(code, code_verifier="w" * 43, **redirect) == {"error": "invalid_code"}
    assert "access_token" in app.exchange(code, code_verifier=verifier, **redirect)
