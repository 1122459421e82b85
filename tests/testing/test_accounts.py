"""Revocation, introspection and the small lookups of an accounts server; its users."""

import pytest
import requests


def test_revoke_refresh_token(app, zoho):
    """Revoking a refresh token ends it and its access tokens."""
    token = zoho.refresh_token()
    access = app.refresh(token)["access_token"]
    response = app.post(zoho.us.revoke_url, token=token)

    assert (response.status_code, response.json()) == (200, {"status": "success"})
    assert app.error(token) == "invalid_code"
    assert app.code("org", access) == "INVALID_TOKEN"


def test_revoke_access_token(app, zoho):
    """Revoking an access token leaves its refresh token."""
    token = zoho.refresh_token()
    access = app.refresh(token)["access_token"]
    app.post(zoho.us.revoke_url, token=access)

    assert (zoho.is_active(access), zoho.is_active(token)) == (False, True)


def test_revoke_what_is_not_there(app, zoho):
    """An unknown or revoked token, or one of another data centre, is 400."""
    revoked, token = zoho.refresh_token(), zoho.refresh_token()
    app.post(zoho.us.revoke_url, token=revoked)
    asked = [(zoho.us, revoked), (zoho.us, "x"), (zoho.eu, token)]

    assert [400] * 3 == [app.post(at.revoke_url, token=it).status_code for at, it in asked]
    assert zoho.is_active(token)


@pytest.mark.parametrize("right", [True, False])
def test_newer_revocation_path(app, zoho, right):
    """The newer path wants the client's credentials."""
    token = zoho.refresh_token()
    response = requests.post(
        f"{zoho.us.accounts_url}/oauth/v2/revoke/token",
        data={"token": token, "token_type": "refresh_token"},
        auth=(app.client.client_id, app.client.client_secret if right else "wrong"),
        timeout=20,
    )

    assert right == (response.json() == {"status": "success"})
    assert right != zoho.is_active(token)


def test_withdrawal(app, zoho):
    """What a user withdraws is dead for one client or for all, others' tokens live."""
    other = zoho.register_client("Other")
    mine, others = zoho.refresh_token(), zoho.refresh_token(client=other)
    strangers = zoho.refresh_token(zoho.add_user("bo@example.com"))
    access = app.refresh(mine)["access_token"]

    assert zoho.revoke(zoho.user, client=zoho.client) == 1
    assert not any(zoho.is_active(each) for each in (mine, access))
    assert all(zoho.is_active(each) for each in (others, strangers))
    assert zoho.revoke(zoho.user) == 1
    assert app.error(others, client=other) == "invalid_code"


def test_ended_by_hand(app, zoho):
    """Access tokens can be expired, of one user or all; one token can die in silence."""
    bo = zoho.add_user("bo@example.com")
    token = zoho.refresh_token()
    mine, his = zoho.access_token(refresh_token=token), zoho.access_token(bo)

    assert zoho.expire_access_tokens(bo) == 1
    assert (app.code("org", mine), app.code("org", his)) == (None, "INVALID_TOKEN")
    zoho.evict(mine)
    assert (zoho.is_active(mine), zoho.is_active(token)) == (False, True)
    assert (app.error(token), zoho.expire_access_tokens()) == (None, 1)
    zoho.evict(token)
    assert app.error(token) == "invalid_code"


def test_introspection(app, zoho):
    """A client may ask about its own tokens."""
    access = zoho.access_token(scope="ZohoCRM.org.READ,ZohoCRM.users.READ")

    def ask(token, secret=app.client.client_secret):
        return requests.post(
            f"{zoho.us.accounts_url}/oauth/v2/introspect",
            data={"token": token},
            auth=(app.client.client_id, secret),
            timeout=20,
        ).json()

    answer = ask(access)
    assert answer["active"]
    assert answer["scope"] == "ZohoCRM.org.READ ZohoCRM.users.READ"
    assert ask("unknown") == {"active": False}
    assert ask(access, "wrong") == {"error": "invalid_client_secret"}


def test_user_info(zoho):
    """The user info needs its scope, and tells who it is."""
    user = zoho.add_user("li@example.com", first_name="Li", last_name="Wu")

    def ask(token):
        return requests.get(
            f"{zoho.us.accounts_url}/oauth/user/info",
            headers={"Authorization": f"Zoho-oauthtoken {token}"},
            timeout=20,
        )

    told = {"First_Name": "Li", "Last_Name": "Wu", "Email": "li@example.com"}
    assert told.items() <= ask(zoho.access_token(user)).json().items()
    assert ask(zoho.access_token(user, scope="ZohoCRM.org.READ")).status_code == 401
    assert ask("wrong").status_code == 401


def test_what_servers_tell(zoho):
    """The server info lists all data centres, the discovery document the endpoints of its own."""
    info, document = (
        requests.get(f"{zoho.eu.accounts_url}/{path}", timeout=20).json()
        for path in ("oauth/serverinfo", ".well-known/openid-configuration")
    )

    assert {"us": zoho.us.accounts_url, "eu": zoho.eu.accounts_url} == info["locations"]
    endpoints = {
        "issuer": zoho.eu.accounts_url,
        "authorization_endpoint": zoho.eu.auth_url,
        "token_endpoint": zoho.eu.token_url,
        "revocation_endpoint": zoho.eu.revoke_url,
    }
    assert endpoints.items() <= document.items()


def test_users(zoho):
    """Names find users, addresses only while they are enough; organisations don't move."""
    us = zoho.add_user("ana@example.com", zgid="1")
    again = zoho.add_user("ana@example.com", zgid="1")
    zoho.add_user("ana@example.com", zgid="2")

    assert us is again
    assert us.name == "ana@example.com:1"
    with pytest.raises(LookupError, match="2 users"):
        zoho.refresh_token("ana@example.com")
    with pytest.raises(ValueError, match="lives in 'us'"):
        zoho.add_user("bo@example.com", zgid="1", data_center="eu")
    with pytest.raises(ValueError, match="us, eu"):
        zoho.add_user("bo@example.com", data_center="mars")


def test_counters(app, zoho):
    """Counters know refresh tokens by an id that is no secret."""
    token = zoho.refresh_token()
    for each in (token, token, "wrong"):
        app.refresh(each)

    assert {zoho.id_of(token): 2} == zoho.counters.mints
    assert zoho.counters.errors == {"invalid_code": 1}
    assert zoho.counters.token_calls() == 3
    zoho.counters.reset()
    assert zoho.counters.calls() == 0
