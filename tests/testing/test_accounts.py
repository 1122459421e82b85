"""Revocation, introspection and the small lookups of an accounts server."""

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


def test_revoke_unknown(app, zoho):
    """An unknown or revoked token is 400, or 200 where RFC 7009 is asked for."""
    token = zoho.refresh_token()
    app.post(zoho.us.revoke_url, token=token)
    statuses = [app.post(zoho.us.revoke_url, token=each).status_code for each in (token, "x")]
    zoho.options.dialect = "rfc6749"

    assert statuses == [400, 400]
    assert app.post(zoho.us.revoke_url, token="x").status_code == 200


def test_revoke_at_another_data_center(app, zoho):
    """A data centre knows only its own tokens."""
    token = zoho.refresh_token()

    assert app.post(zoho.eu.revoke_url, token=token).status_code == 400
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
    assert [zoho.is_active(each) for each in (mine, access, others, strangers)] == [
        False,
        False,
        True,
        True,
    ]
    assert zoho.revoke(zoho.user) == 1
    assert app.error(others, client=other) == "invalid_code"


def test_expire_access_tokens(app, zoho):
    """Access tokens can be expired by hand, of one user or all."""
    bo = zoho.add_user("bo@example.com")
    mine, his = zoho.access_token(), zoho.access_token(bo)

    assert zoho.expire_access_tokens(bo) == 1
    assert (app.code("org", mine), app.code("org", his)) == (None, "INVALID_TOKEN")
    assert zoho.expire_access_tokens() == 1


def test_evict(app, zoho):
    """A single token can be made to die in silence."""
    token = zoho.refresh_token()
    access = zoho.access_token(refresh_token=token)
    zoho.evict(access)
    alive = zoho.is_active(token)
    zoho.evict(token)

    assert alive
    assert (zoho.is_active(access), app.error(token)) == (False, "invalid_code")


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

    good = ask(zoho.access_token(user)).json()
    assert (
        good["First_Name"],
        good["Last_Name"],
        good["Email"],
    ) == ("Li", "Wu", "li@example.com")
    assert ask(zoho.access_token(user, scope="ZohoCRM.org.READ")).status_code == 401
    assert ask("wrong").status_code == 401


def test_server_info(zoho):
    """The server info lists all data centres."""
    answer = requests.get(f"{zoho.us.accounts_url}/oauth/serverinfo", timeout=20).json()

    assert {"us": zoho.us.accounts_url, "eu": zoho.eu.accounts_url} == answer["locations"]


def test_openid_configuration(zoho):
    """The discovery document names this data centre's endpoints."""
    url = f"{zoho.eu.accounts_url}/.well-known/openid-configuration"
    answer = requests.get(url, timeout=20).json()

    assert zoho.eu.accounts_url == answer["issuer"]
    assert (zoho.eu.auth_url, zoho.eu.token_url, zoho.eu.revoke_url) == (
        answer["authorization_endpoint"],
        answer["token_endpoint"],
        answer["revocation_endpoint"],
    )


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


def test_mints_are_counted_by_id(app, zoho):
    """Counters know refresh tokens by an id that is no secret."""
    token = zoho.refresh_token()
    app.refresh(token)
    app.refresh(token)
    app.refresh("wrong")

    assert {zoho.id_of(token): 2} == zoho.counters.mints
    assert zoho.counters.errors == {"invalid_code": 1}
    assert zoho.counters.token_calls() == 3
    zoho.counters.reset()
    assert zoho.counters.calls() == 0
