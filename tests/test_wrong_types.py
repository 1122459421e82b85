"""What does not belong there is named where it comes in, and so is what does."""

from __future__ import annotations

from pathlib import Path

import pytest
from reported import reported

import tokenkeep
from tokenkeep import Keeper, Token
from tokenkeep.providers import Provider
from tokenkeep.stores.list import ListStore


def type_of(wrong):
    return type(wrong).__name__


WRONG = [5, b"tk_1", {"user": "ana"}]


@pytest.fixture(params=["vault", "six methods"])
def keeper(request):
    if request.param == "vault":
        return Keeper(tokenkeep.open_store("memory:", keys_newest_first=[bytes(32)], environ={}))
    return Keeper(ListStore())


@pytest.mark.parametrize("wrong", [*WRONG, Path("tokens.db")], ids=type_of)
def test_a_store(wrong):
    """Its URL, or a store."""
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=f"named by its URL, such as .* not by a {name}"):
        tokenkeep.open_store(wrong, environ={})
    for given in (wrong, "sqlite:///tokens.db", Token()):
        with pytest.raises(TypeError, match="A store belongs here, as "):
            Keeper(given)


class Silent(Provider):
    """One that does nothing."""

    refresh = exchange = revoke = place = issuer = None


@pytest.mark.parametrize("wrong", [*WRONG, "acme", {}, Silent(), {"acme": Silent()}], ids=type_of)
def test_providers(wrong):
    """They come as `Providers`, the default one by its name: the text shows how."""
    if not isinstance(wrong, str):
        with pytest.raises(TypeError, match="given by name, the default one too"):
            tokenkeep.Providers(wrong)
    said = rf'providers has to be Providers\("acme", .*, not a {type(wrong).__name__}'
    with pytest.raises(TypeError, match=said):
        tokenkeep.open_store("memory:", providers=wrong, environ={})
    with pytest.raises(TypeError, match=said):
        Keeper(ListStore(), providers=wrong)


@pytest.mark.parametrize("wrong", [*WRONG, "/bin/tell", ["/bin/tell"]], ids=type_of)
def test_notices(wrong):
    """They come as `Notices`: the text shows how."""
    with pytest.raises(TypeError, match=r"notices has to be tokenkeep\.Notices\("):
        Keeper(ListStore(), notices=wrong)


@pytest.mark.parametrize(
    "wrong",
    [Silent(), "acme", ["acme"], 5, {"acme": "oauth2"}, {"acme": None}, {"acme": Silent}, {5: {}},
     {"kind": "oauth2", "headers": {"X-Api-Key": "s3cret"}}],
)  # fmt: skip
def test_providers_by_name(wrong):
    """Each a provider or a table of options; nothing of them is shown."""
    with pytest.raises(TypeError, match="Providers are given by name") as caught:
        tokenkeep.Providers("acme", wrong)

    assert "s3cret" not in reported(caught.value)


@pytest.mark.parametrize("wrong", [*WRONG, "tk_0123"], ids=type_of)
def test_a_token(keeper, wrong):
    """Looked up, saved: the text says how an id is given."""
    for door in (keeper.get, keeper.save, keeper.store.save_token):
        with pytest.raises(TypeError, match=f"Token belongs here, not a {type(wrong).__name__}"):
            door(wrong)
    assert [] == keeper.store.get_tokens()


@pytest.mark.parametrize("wrong", [*WRONG, None, Token(user="ana")], ids=type_of)
def test_an_id(wrong):
    """One that is not text leads to nothing, by whatever method."""
    keeper = Keeper(tokenkeep.open_store("memory:", keys_newest_first=[bytes(32)], environ={}))
    refused = (keeper.revoke, keeper.end, keeper.delete, keeper.store.find_token_by_id,
               keeper.store.reread, lambda each: keeper.rejected(each, "access"))  # fmt: skip
    for door in refused:
        with pytest.raises(tokenkeep.LookupFailed, match="An id is text"):
            door(wrong)


@pytest.mark.parametrize("wrong", [*WRONG, "tk_0123", None, Token(user="ana")], ids=type_of)
def test_the_sdks(wrong, tmp_path, monkeypatch):
    """What it saved was lost in silence."""
    zoho_sdk = pytest.importorskip("tokenkeep.integrations.zoho_sdk")
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    store = zoho_sdk.SDKStore(f"sqlite:///{tmp_path}/t.db")
    for door in (store.save_token, store.rejected):
        with pytest.raises(TypeError, match="OAuthToken belongs here"):
            door(wrong)
    if wrong is not None and not isinstance(wrong, str):
        with pytest.raises(TypeError, match="named by its URL"):
            zoho_sdk.SDKStore(wrong)
