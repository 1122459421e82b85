"""Revocation, the ends of tokens that nobody is told of, and users."""

from __future__ import annotations

import pytest


def test_revoke(app, zoho):
    """A refresh token ends with its access tokens, an access token alone; only here, and once."""
    token, other = zoho.refresh_token(), zoho.refresh_token()
    access, others = (app.refresh(each)["access_token"] for each in (token, other))
    asked = [
        (zoho.us, "x"), (zoho.eu, token), (zoho.eu, others),
        (zoho.us, others), (zoho.us, token), (zoho.us, token),
    ]  # fmt: skip
    answers = [app.post(at.revoke_url, token=it) for at, it in asked]

    assert [400, 400, 400, 200, 200, 400] == [each.status_code for each in answers]
    assert answers[-2].json() == {"status": "success"}
    assert app.error(token) == "invalid_code"
    assert zoho.counters.errors["invalid_code"] == 1
    assert app.code("org", access) == "INVALID_TOKEN"
    assert (zoho.is_active(others), zoho.is_active(other)) == (False, True)


def test_withdrawal(app, zoho):
    """What a user withdraws is dead; others' live, until they expire."""
    mine, other = zoho.refresh_token(), zoho.refresh_token()
    strangers = zoho.refresh_token(zoho.add_user("bo@example.com"))
    tokens = mine, other, app.refresh(mine)["access_token"], zoho.access_token()

    zoho.revoke(zoho.user)
    assert not any(zoho.is_active(each) for each in tokens)
    theirs = zoho.access_token(refresh_token=strangers)
    zoho.expire_access_tokens()
    assert (zoho.is_active(theirs), zoho.is_active(strangers)) == (False, True)
    assert app.error(other) == "invalid_code"


def test_users(zoho):
    """Names find users, addresses only while they are enough."""
    us = zoho.add_user("ana@example.com", zgid="1")
    again = zoho.add_user("ana@example.com", zgid="1")
    zoho.add_user("ana@example.com", zgid="2")

    assert us is again
    assert us.name == "ana@example.com:1"
    with pytest.raises(LookupError, match="2 users"):
        zoho.refresh_token("ana@example.com")
    with pytest.raises(ValueError, match="us, eu"):
        zoho.add_user("bo@example.com", data_center="mars")
    with pytest.raises(ValueError, match="production, sandbox, developer"):
        zoho.refresh_token(environment="moon")
