"""What is asked for is exactly what is used: no preference picks among somebody's tokens."""

from __future__ import annotations

import re

import pytest
from login_stage import refused
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

from tokenkeep.integrations.zoho_sdk import SDKStore

BY_COMMAND = ("token", "show", "renew", "revoke", "delete", "logout")
"""The commands that take a token; those from "revoke" on destroy."""


def untouched(stage, *tokens):
    """Tell whether tokens are as they were, here and at the provider."""
    now = [stage.open().find_token_by_id(each.id) for each in tokens]
    return now == [*tokens] and all(map(stage.is_alive, tokens))


WHERE = {
    "another data centre": (["--data-center", "eu"], 3, set()),
    "one that nobody knows": (["--data-center", "mars"], 2, {"mars", "us", "eu"}),
    "several environments": ([], 2, {"environment"}),
    "several, and one is dead": ([], 2, {"environment"}),
}
"""What is added to the user, the exit status, and what is said."""


@pytest.mark.parametrize("case", WHERE)
def test_what_was_not_asked_for(stage, run, case):
    """
    ``delete --user bo --data-center eu --yes`` deleted Bo's token of the US.

    ``token --user`` asked which one while both lived, and answered with the
    sandbox's as soon as production was revoked.
    """
    where, status, said = WHERE[case]
    ana = stage.open().save_token(stage.login(stage.ana, environment="sandbox"))
    if "several" in case:
        production = stage.open().save_token(stage.login(stage.ana))
        if "dead" in case:
            stage.keeper().revoke(production.id)

    for name in BY_COMMAND:
        done = run(name, "--user", stage.ana, *where, *["--yes"] * (name == "delete"))

        assert untouched(stage, ana)
        assert status == done.exit_code, done.output
        assert ana.access_token not in done.output
        assert said <= set(re.findall(r"\w+", done.output))


def test_the_sdk_sees_zohos_tokens_only(stage):
    """It was given another provider's, and sent them to Zoho; its ``delete_tokens()`` hit them."""
    store = SDKStore(stage.open(), clock=stage.clock)
    ours = stage.open().save_token(stage.login(stage.bo, at="eu"))
    acmes = [
        stage.open().save_token(stage.login(user, provider="acme", api_domain=None))
        for user in (stage.ana, "carla@example.com:1")
    ]
    assert [ours.id] == [each.get_id() for each in store.get_tokens()]
    for each in acmes:
        with refused("TokenNotFound"):
            store.find_token_by_id(each.id)
        client = {"client_id": each.client_id, "client_secret": each.client_secret}
        with refused("TokenNotFound"):
            store.find_token(OAuthToken(user_signature=UserSignature(each.user)))
        for by in ("id", "access_token", "refresh_token"):
            credential = client if by == "refresh_token" else {}
            token = OAuthToken(**{by: getattr(each, by)}, **credential)
            # Nothing is found; for a credential that means: log in with it.
            assert store.find_token(token) is None
            assert each.access_token != token.get_access_token() or by == "access_token"
    store.delete_token(acmes[0].id)
    store.delete_tokens()
    with refused("TokenNotFound"):
        store.revoke(acmes[0].id)
    login = OAuthToken(id=acmes[0].id, refresh_token=stage.login().refresh_token, **client)
    with refused("StoreConflict"):
        store.save_token(login)

    assert {each.id for each in acmes} == {row.id for row in stage.open().get_tokens()}
    assert untouched(stage, *acmes)
