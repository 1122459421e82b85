"""One authorization request, and the only answer that belongs to it."""

from __future__ import annotations

import person
import pytest
from reported import reported

from tokenkeep import Token
from tokenkeep.errors import ProviderRefused, ProviderUnavailable, UnknownName
from tokenkeep.login import AuthorizationRequest, NotThisLogin
from tokenkeep.login.request import challenge, state_of
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS

HERE = "http://127.0.0.1:8417/callback"
WANTED = Token(client_id="c", scope="a")


@pytest.fixture
def asked():
    return AuthorizationRequest(data_center="us", redirect_uri=HERE)


def test_an_answer(asked):
    """It leads to the code, and where that is exchanged; no other request is like it."""
    query = person.query_of(asked.url(DATA_CENTERS, WANTED))
    answer = f"code=x&state={query['state']}&location=eu&accounts-server=https://accounts.zoho.eu&"
    assert not [each for each in (asked.state, asked.verifier) if each in repr(asked)]
    assert state_of(f"{HERE}?{answer}") == asked.state
    for none in ("", "code=x", "state=", f"state={asked.state}&state={asked.state}"):
        with pytest.raises(NotThisLogin):
            state_of(none)
    other = AuthorizationRequest(data_center="us", redirect_uri=HERE)
    assert {asked.state, asked.verifier}.isdisjoint({other.state, other.verifier})

    found = asked.accept(DATA_CENTERS, WANTED, answer)

    assert WANTED.but(grant_token="x", data_center="eu", redirect_uri=HERE) == found
    assert challenge(asked.verifier) == query["code_challenge"]
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "code=x",
        "code=x&state=",
        "code=x&state=y",
        "code=x&state={state}x",
        "code=x&state=\ud800",
        "code=x&state={state}&state={state}",
        "code=x&state={state}&code=y",
        "&".join(["a=b"] * 99),
    ],
)
def test_another_answer_is_refused(asked, answer):
    """After any number of wrong answers the right one is still taken."""
    with pytest.raises(NotThisLogin):
        asked.accept(DATA_CENTERS, WANTED, answer.format(state=asked.state))

    assert asked.accept(DATA_CENTERS, WANTED, f"code=x&state={asked.state}").grant_token


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("error=access_denied", ProviderRefused),
        ("error=<script>", ProviderRefused),
        ("error=s3cret+x&code=s3cret", ProviderRefused),
        ("code=&id_token=s3cret", ProviderUnavailable),
        ("code=s3cret&accounts-server=https://accounts.zoho.com.evil.example", UnknownName),
        ("code=s3cret&accounts-server=http://accounts.zoho.com", UnknownName),
        ("code=s3cret&accounts-server=https://evil@accounts.zoho.example", UnknownName),
        ("code=s3cret&code=s3cret", NotThisLogin),
        ("code=s3cret&state=other", NotThisLogin),
    ],
)
def test_what_can_go_wrong_is_named(asked, answer, error):
    """Each has its error; no code, and nothing that binds it to this login, is in a report."""
    with pytest.raises(error) as caught:
        asked.accept(DATA_CENTERS, WANTED, f"{HERE}?state={asked.state}&{answer}")

    for said in ("<script>", "evil"):
        assert said not in str(caught.value)
    for secret in ("s3cret", asked.state, asked.verifier):
        assert secret not in reported(caught.value)
