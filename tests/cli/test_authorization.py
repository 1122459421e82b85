"""One authorization request, and the only answer that belongs to it."""

from __future__ import annotations

import person
import pytest

from tokenkeep.errors import ProviderRefused, ProviderUnavailable, UnknownName
from tokenkeep.login.authorization import (
    AuthorizationRequest,
    NotThisLogin,
    challenge,
    state_of,
)
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS


@pytest.fixture
def request_():
    return AuthorizationRequest(
        DATA_CENTERS,
        DATA_CENTERS.by_name("us"),
        client_id="c",
        redirect_uri="http://127.0.0.1:8417/callback",
        scopes=["a", "b"],
    )


@pytest.fixture
def state(request_):
    return person.query_of(request_.url)["state"]


def test_the_challenge_is_the_one_of_the_standard():
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_an_answer_counts_once(request_, state):
    """The same answer again belongs to no login any more."""
    answer = f"code=x&state={state}&location=eu&accounts-server=https%3A%2F%2Faccounts.zoho.eu&"

    code = request_.accept(answer)

    assert (code.value, code.data_center.name) == ("x", "eu")
    assert challenge(code.verifier) == person.query_of(request_.url)["code_challenge"]
    with pytest.raises(NotThisLogin):
        request_.accept(answer)


def test_without_an_accounts_server_it_is_where_it_began(request_, state):
    """An answer that names no data centre is from the one that was asked."""
    assert request_.accept(f"?code=x&state={state}").data_center.name == "us"


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


def test_two_requests_share_nothing(request_):
    """State and verifier are new each time."""
    other = AuthorizationRequest(
        DATA_CENTERS, DATA_CENTERS.by_name("us"), client_id="c", redirect_uri="u", scopes=[]
    )
    one, two = person.query_of(request_.url), person.query_of(other.url)

    assert one["state"] != two["state"]
    assert one["code_challenge"] != two["code_challenge"]


def test_an_answer_may_come_to_another_process(request_, state):
    """What was kept accepts the answer as the request itself would, with its verifier."""
    kept = request_.kept()
    resumed = AuthorizationRequest.resumed(DATA_CENTERS, kept)

    with pytest.raises(NotThisLogin):
        resumed.accept("code=x&state=y")
    code = resumed.accept(f"code=x&state={state}")

    assert (code.value, code.data_center.name, code.redirect_uri) == (
        "x", "us", "http://127.0.0.1:8417/callback",
    )  # fmt: skip
    assert challenge(code.verifier) == person.query_of(request_.url)["code_challenge"]
    assert kept.state not in repr(kept)
    assert kept.verifier not in repr(kept)


def test_a_request_that_is_over_is_not_kept(request_, state):
    """Its answer has come; there is nothing to wait for."""
    request_.accept(f"code=x&state={state}")

    with pytest.raises(NotThisLogin):
        request_.kept()


def test_the_state_of_an_answer(state):
    """It is found once; an answer without one, or with two, belongs to no login."""
    assert state_of(f"http://127.0.0.1/callback?code=x&state={state}&") == state
    for answer in ("", "code=x", "state=", f"state={state}&state={state}"):
        with pytest.raises(NotThisLogin):
            state_of(answer)
