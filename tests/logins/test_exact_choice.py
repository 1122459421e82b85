"""What is asked for is exactly what is used: no preference picks among somebody's tokens."""

from __future__ import annotations

import json
import re

import pytest
from login_stage import refused, sdk_token

from tokenkeep import Status, Token

BY_COMMAND = ("token", "show", "renew", "revoke", "delete", "logout")
"""The commands that take a token; those from "revoke" on destroy."""


def command(name, *args):
    return (name, *args, *(["--yes"] if name == "delete" else []))


@pytest.fixture
def both(stage):
    """Ana, logged in to production and to the sandbox."""
    stage.production = stage.open().save_token(stage.login(stage.ana))
    stage.sandbox = stage.open().save_token(stage.login(stage.ana, environment="sandbox"))
    return stage


def die(stage, token):
    """Let somebody revoke a token."""
    stage.keeper().revoke(token.id)


def untouched(stage, *tokens):
    """Tell whether tokens are as they were, here and at the provider."""
    store = stage.open()
    now = [store.find_token_by_id(each.id) for each in tokens]
    same = [row and (row.version, row.status) for row in now]
    return same == [(each.version, each.status) for each in tokens] and all(
        map(stage.is_alive, tokens)
    )


@pytest.mark.parametrize("name", BY_COMMAND)
def test_another_data_centre_is_another_token(stage, run, name):
    """``delete --user bo --data-center eu --yes`` deleted Bo's token of the US."""
    bo = stage.open().save_token(stage.login(stage.ana))

    done = run(*command(name, "--user", bo.user, "--data-center", "eu"))

    assert untouched(stage, bo)
    assert 3 == done.exit_code, done.output
    assert bo.access_token not in done.output


@pytest.mark.parametrize("name", BY_COMMAND)
def test_a_data_centre_that_nobody_knows(stage, run, name):
    """``--data-center mars`` printed a token."""
    ana = stage.open().save_token(stage.login(stage.ana))

    done = run(*command(name, "--user", ana.user, "--data-center", "mars"))

    assert untouched(stage, ana)
    assert done.exit_code, done.output
    assert ana.access_token not in done.output
    assert "mars" in done.output
    assert {"us", "eu"} <= set(re.findall(r"\w+", done.output))


@pytest.mark.parametrize("name", BY_COMMAND)
@pytest.mark.parametrize("dead", [False, True], ids=["both live", "production is dead"])
def test_several_environments(both, run, name, dead):
    """
    ``delete --user`` deleted the sandbox, once production was dead.

    ``token --user`` asked which one while both lived, and answered with the
    sandbox's as soon as production was revoked.
    """
    if dead:
        die(both, both.production)

    done = run(*command(name, "--user", both.ana))

    assert untouched(both, both.sandbox)
    assert 2 == done.exit_code, done.output
    assert both.sandbox.access_token not in done.output
    assert "environment" in done.output


@pytest.mark.parametrize(("where", "status"), [("production", "revoked"), ("sandbox", "ok")])
def test_what_to_add(both, run, where, status):
    """With the environment, it is that one, dead or alive."""
    die(both, both.production)

    done = run("--json", "show", "--user", both.ana, "--environment", where)

    shown = json.loads(done.stdout)
    assert (where, status) == (shown["environment"], shown["status"])


@pytest.mark.parametrize("name", ["environment", "data_center", "provider"])
def test_names_nobody_knows(both, name):
    """An error that lists the known ones, in Python too; also for who has a token there."""
    known = {"environment": "sandbox", "data_center": "eu", "provider": "acme"}[name]

    with refused("UnknownName") as error:
        both.keeper().get(user=both.ana, **{name: "mars"})

    assert known in error.why


def test_a_host_of_ones_own_is_known(stage):
    """A server that is in no table is a place of its own, and may be asked for."""
    place = "crm.example.com:8443"
    token = stage.open().save_token(stage.login(stage.ana, api_domain=f"https://{place}"))

    found = stage.keeper().get(user=stage.ana, data_center=place, environment=place)

    assert token.id == found.id


def test_the_keeper_is_as_exact(both):
    """Neither what is dead nor what has no refresh token makes another one the answer."""
    die(both, both.production)

    with refused("AmbiguousLookup") as error:
        both.keeper().get(user=both.ana)
    with refused("TokenNotFound"):
        both.keeper().get(user=both.ana, environment="production", data_center="eu")

    assert "environment" in error.why
    assert both.sandbox.id == both.keeper().get(user=both.ana, environment="sandbox").id


def test_the_sdk_is_never_given_another_environment(both):
    """Before it is initialised there is none that it prefers: it is told to say which."""
    die(both, both.production)

    with refused("AmbiguousLookup"):
        both.sdk_store().find_token(sdk_token(user=both.ana))


def test_the_sdk_prefers_its_data_centre(stage):
    """Only that: where its user has a token elsewhere alone, the SDK is given that."""
    home = stage.open().save_token(stage.login(stage.ana))
    store = stage.sdk_store()
    elsewhere = sdk_token(user=stage.ana, api_domain=stage.zoho.eu.api_url)
    assert home.access_token == store.find_token(elsewhere).get_access_token()

    abroad = stage.open().save_token(stage.login(stage.ana, api_domain=stage.zoho.eu.api_url))

    elsewhere = sdk_token(user=stage.ana, api_domain=stage.zoho.eu.api_url)
    assert abroad.access_token == store.find_token(elsewhere).get_access_token()


@pytest.fixture
def shared(stage):
    """A store that another provider's tokens are in, too: of the same user, and of another."""
    stage.acme = [
        stage.open().save_token(stage.login(user, provider="acme", api_domain=None))
        for user in (stage.ana, "carla@example.com:1")
    ]
    stage.ours = stage.open().save_token(stage.login(stage.bo, at="eu"))
    return stage


def test_the_sdk_lists_zohos_tokens(shared):
    """It listed all there were."""
    found = shared.sdk_store().get_tokens()

    assert [shared.ours.id] == [each.get_id() for each in found]


@pytest.mark.parametrize("by", ["user", "id", "access_token", "refresh_token"])
def test_the_sdk_is_given_zohos_tokens(shared, by):
    """It was given those of another provider, and sent them to Zoho."""
    store = shared.sdk_store()
    for each in shared.acme:
        asked = {by: getattr(each, by)}
        if by == "refresh_token":
            asked |= {"client_id": each.client_id, "client_secret": each.client_secret}
        if by == "id":
            with refused("TokenNotFound"):
                store.find_token_by_id(each.id)
        token = sdk_token(**asked)
        # Nothing is found; for a credential that means: log in with it.
        assert store.find_token(token) is None
        assert each.access_token != token.get_access_token() or by == "access_token"


def test_the_sdk_deletes_zohos_tokens(shared):
    """``delete_tokens()`` of the SDK deleted every provider's."""
    store = shared.sdk_store()
    store.delete_token(shared.acme[0].id)
    store.delete_tokens()

    assert {each.id for each in shared.acme} == {row.id for row in shared.open().get_tokens()}


def test_the_sdk_revokes_zohos_tokens(shared):
    """Another provider's token is none of its."""
    with refused("TokenNotFound"):
        shared.sdk_store().revoke(shared.acme[0].id)

    assert untouched(shared, *shared.acme)


def test_the_sdk_saves_over_zohos_tokens(shared):
    """A save of the SDK with such a token's id is refused, and changes nothing."""
    mine = sdk_token(shared.login(shared.ana), id=shared.acme[0].id)

    with refused("StoreConflict"):
        shared.sdk_store().save_token(mine)

    assert untouched(shared, *shared.acme)


def test_a_credential_finds_the_row_it_is_in(both):
    """A refresh token with its client is one row's, whatever else is asked for is not."""
    token = Token(refresh_token=both.sandbox.refresh_token, client_id=both.sandbox.client_id)

    assert both.sandbox.id == both.open().find_token(token).id
    assert both.open().find_token(token.but(environment="production")) is None
    assert Status.OK is both.open().find_token(token).status
