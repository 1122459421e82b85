"""What is asked for is exactly what is used: no preference picks among somebody's tokens."""

from __future__ import annotations

import re

import pytest
from login_stage import refused, sdk_token

BY_COMMAND = ("token", "show", "renew", "revoke", "delete", "logout")
"""The commands that take a token; those from "revoke" on destroy."""


def untouched(stage, *tokens):
    """Tell whether tokens are as they were, here and at the provider."""
    store = stage.open()
    now = [store.find_token_by_id(each.id) for each in tokens]
    same = [row and (row.version, row.status) for row in now]
    return same == [(each.version, each.status) for each in tokens] and all(
        map(stage.is_alive, tokens)
    )


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


@pytest.mark.parametrize(
    ("name", "known"), [("environment", "sandbox"), ("data_center", "eu"), ("provider", "acme")]
)
def test_names_nobody_knows(stage, name, known):
    """An error that lists the known ones, in Python too; also for who has a token there."""
    stage.open().save_token(stage.login(stage.ana))
    with refused("UnknownName") as error:
        stage.keeper().get(user=stage.ana, **{name: "mars"})

    assert known in error.why


@pytest.fixture
def shared(stage):
    """A store that another provider's tokens are in, too: of the same user, and of another."""
    stage.acme = [
        stage.open().save_token(stage.login(user, provider="acme", api_domain=None))
        for user in (stage.ana, "carla@example.com:1")
    ]
    stage.ours = stage.open().save_token(stage.login(stage.bo, at="eu"))
    return stage


def test_the_sdk_is_given_zohos_tokens(shared):
    """It was given those of another provider, and sent them to Zoho; it listed them, too."""
    store = shared.sdk_store()
    assert [shared.ours.id] == [each.get_id() for each in store.get_tokens()]
    for each in shared.acme:
        with refused("TokenNotFound"):
            store.find_token_by_id(each.id)
        client = {"client_id": each.client_id, "client_secret": each.client_secret}
        with refused("TokenNotFound"):
            store.find_token(sdk_token(user=each.user))
        for by in ("id", "access_token", "refresh_token"):
            credential = client if by == "refresh_token" else {}
            token = sdk_token(**{by: getattr(each, by)}, **credential)
            # Nothing is found; for a credential that means: log in with it.
            assert store.find_token(token) is None
            assert each.access_token != token.get_access_token() or by == "access_token"


def test_the_sdk_leaves_the_others_alone(shared):
    """``delete_tokens()`` of the SDK deleted every provider's."""
    store = shared.sdk_store()
    store.delete_token(shared.acme[0].id)
    store.delete_tokens()
    with refused("TokenNotFound"):
        store.revoke(shared.acme[0].id)
    with refused("StoreConflict"):
        store.save_token(sdk_token(shared.login(shared.ana), id=shared.acme[0].id))

    assert {each.id for each in shared.acme} == {row.id for row in shared.open().get_tokens()}
    assert untouched(shared, *shared.acme)
