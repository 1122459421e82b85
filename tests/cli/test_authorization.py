"""One authorization request, and the only answer that belongs to it."""

from __future__ import annotations

import person
import pytest
from reported import reported

from tokenkeep.errors import ProviderRefused, ProviderUnavailable, TokenKeepError, UnknownName
from tokenkeep.login import (
    AuthorizationRequest,
    NotThisLogin,
    state_of,
)
from tokenkeep.login.request import challenge
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS

HERE = "http://127.0.0.1:8417/callback"


def make():
    return AuthorizationRequest(
        DATA_CENTERS, DATA_CENTERS.by_name("us"), client_id="c", redirect_uri=HERE, scopes=["a"]
    )


@pytest.fixture
def request_():
    return make()


@pytest.fixture
def state(request_):
    return person.query_of(request_.url)["state"]


def test_the_challenge_is_the_one_of_the_standard():
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_an_answer_counts_once(request_, state):
    """The same answer again belongs to no login any more, nor is its request kept."""
    answer = f"code=x&state={state}&location=eu&accounts-server=https%3A%2F%2Faccounts.zoho.eu&"

    code = request_.accept(answer)

    assert (code.value, code.data_center.name) == ("x", "eu")
    assert challenge(code.verifier) == person.query_of(request_.url)["code_challenge"]
    with pytest.raises(NotThisLogin):
        request_.accept(answer)
    with pytest.raises(NotThisLogin):
        request_.kept()


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
def test_another_answer_is_refused_and_uses_nothing_up(request_, state, answer):
    """After any number of wrong answers the right one is still taken."""
    with pytest.raises(NotThisLogin):
        request_.accept(answer.format(state=state))

    assert request_.accept(f"code=x&state={state}").value == "x"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("error=access_denied", ProviderRefused),
        ("error=<script>", ProviderRefused),
        ("code=", ProviderUnavailable),
        ("code=x&accounts-server=https://accounts.zoho.com.evil.example", UnknownName),
        ("code=x&accounts-server=http://accounts.zoho.com", UnknownName),
        ("code=x&accounts-server=https://evil@accounts.zoho.example", UnknownName),
    ],
)
def test_what_can_go_wrong_is_named(request_, state, answer, error):
    """Each has its error, and none of them repeats what was in the address."""
    with pytest.raises(error) as caught:
        request_.accept(f"{answer}&state={state}")

    assert "<script>" not in str(caught.value)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "rest",
    [
        "code=s3cret&code=s3cret",
        "code=s3cret&state=other",
        "error=s3cret+x&code=s3cret",
        "code=&id_token=s3cret",
        "code=s3cret&accounts-server=https%3A%2F%2Fevil.example",
    ],
)
def test_no_code_in_the_frames_of_an_error(request_, state, rest):
    """Codes, and what binds an answer to this login, are in no crash report."""
    verifier = request_.kept().verifier

    with pytest.raises((TokenKeepError, NotThisLogin)) as caught:
        request_.accept(f"{HERE}?state={state}&{rest}")

    for secret in ("s3cret", state, verifier):
        assert secret not in reported(caught.value)


def test_an_answer_may_come_to_another_process(request_, state):
    """What was kept accepts the answer as the request itself would, with its verifier."""
    kept = request_.kept()
    resumed = AuthorizationRequest.resumed(DATA_CENTERS, kept)

    with pytest.raises(NotThisLogin):
        resumed.accept("code=x&state=y")
    code = resumed.accept(f"code=x&state={state}")

    assert (code.value, code.data_center.name, code.redirect_uri) == ("x", "us", HERE)
    assert challenge(code.verifier) == person.query_of(request_.url)["code_challenge"]
    assert kept.state not in repr(kept)
    assert kept.verifier not in repr(kept)


def test_the_state_of_an_answer(state):
    """Each request has its own; it is found once, and no answer has none or two."""
    other = make()

    assert state_of(f"{HERE}?code=x&state={state}&") == state
    assert person.query_of(other.url)["state"] != state
    assert other.kept().verifier != make().kept().verifier
    for answer in ("", "code=x", "state=", f"state={state}&state={state}"):
        with pytest.raises(NotThisLogin):
            state_of(answer)
