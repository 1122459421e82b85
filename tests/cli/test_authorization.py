"""One authorization request, and the only answer that belongs to it."""

from __future__ import annotations

import person
import pytest
from reported import reported

from tokenkeep.errors import ProviderRefused, ProviderUnavailable, UnknownName
from tokenkeep.login import AuthorizationRequest, NotThisLogin, state_of
from tokenkeep.login.request import challenge
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS

HERE = "http://127.0.0.1:8417/callback"


def make():
    return AuthorizationRequest(
        DATA_CENTERS, DATA_CENTERS.by_name("us"), client_id="c", redirect_uri=HERE, scopes=["a"]
    )


@pytest.fixture
def asked():
    return make()


@pytest.fixture
def state(asked):
    return person.query_of(asked.url)["state"]


def test_an_answer_counts_once(asked, state):
    """The same answer again belongs to no login any more, nor is its request kept."""
    answer = f"code=x&state={state}&location=eu&accounts-server=https%3A%2F%2Faccounts.zoho.eu&"
    kept = asked.kept()
    assert not [each for each in (kept.state, kept.verifier) if each in repr(kept)]
    assert state_of(f"{HERE}?{answer}") == state
    for none in ("", "code=x", "state=", f"state={state}&state={state}"):
        with pytest.raises(NotThisLogin):
            state_of(none)
    other = make().kept()
    assert {kept.state, kept.verifier}.isdisjoint({other.state, other.verifier})

    code = asked.accept(answer)

    assert (code.value, code.data_center.name, code.redirect_uri) == ("x", "eu", HERE)
    assert challenge(code.verifier) == person.query_of(asked.url)["code_challenge"]
    for use in (lambda: asked.accept(answer), asked.kept):
        with pytest.raises(NotThisLogin):
            use()
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
def test_another_answer_is_refused_and_uses_nothing_up(asked, state, answer):
    """After any number of wrong answers the right one is still taken."""
    with pytest.raises(NotThisLogin):
        asked.accept(answer.format(state=state))

    assert asked.accept(f"code=x&state={state}").value == "x"


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
def test_what_can_go_wrong_is_named(asked, state, answer, error):
    """Each has its error; no code, and nothing that binds it to this login, is in a report."""
    verifier = asked.kept().verifier

    with pytest.raises(error) as caught:
        asked.accept(f"{HERE}?state={state}&{answer}")

    for said in ("<script>", "evil"):
        assert said not in str(caught.value)
    for secret in ("s3cret", state, verifier):
        assert secret not in reported(caught.value)
