"""Zoho's limits, each at its edge, and the rotation of other providers."""

import pytest


def test_mints_per_window(app, zoho):
    """The eleventh access token of a refresh token within ten minutes is refused."""
    token = zoho.refresh_token()
    good = [app.refresh(token) for _ in range(10)]
    throttled = app.token("refresh_token", refresh_token=token)

    assert all("access_token" in each for each in good)
    assert throttled.status_code == 400
    assert throttled.json()["error"] == "Access Denied"
    assert "too many requests" in throttled.json()["error_description"]
    assert throttled.json()["status"] == "failure"


def test_mint_window_ends(app, zoho):
    """Ten minutes after the first one, access tokens are made again."""
    token = zoho.refresh_token()
    for _ in range(11):
        app.refresh(token)
    zoho.clock.advance(595)
    blocked = app.error(token)
    zoho.clock.advance(10)

    assert blocked == "Access Denied"
    assert "access_token" in app.refresh(token)


def test_limit_is_per_refresh_token(app, zoho):
    """A throttled refresh token does not hinder another one."""
    zoho.options.mints_per_window = 1
    first, second = zoho.refresh_token(), zoho.refresh_token()
    app.refresh(first)

    assert app.error(first) == "Access Denied"
    assert "access_token" in app.refresh(second)


@pytest.mark.parametrize(("counts", "error"), [(True, "Access Denied"), (False, None)])
def test_exchange_counts(app, zoho, counts, error):
    """The access token of an exchange is one of the ten, unless optioned away."""
    zoho.options.mints_per_window = 2
    zoho.options.exchange_counts_as_mint = counts
    token = app.exchange(zoho.grant_code())["refresh_token"]
    app.refresh(token)

    assert error == app.error(token)


def test_sliding_window(app, zoho):
    """A sliding window gives back mint by mint."""
    zoho.options.mints_per_window = 2
    zoho.options.throttle_window_kind = "sliding"
    token = zoho.refresh_token()
    app.refresh(token)
    zoho.clock.advance(400)
    app.refresh(token)
    zoho.clock.advance(205)

    assert None is app.error(token)
    assert app.error(token) == "Access Denied"


@pytest.mark.parametrize(("extends", "error"), [(False, None), (True, "Access Denied")])
def test_refused_calls_may_extend(app, zoho, extends, error):
    """On request every refused call starts the block anew."""
    zoho.options.mints_per_window = 1
    zoho.options.throttle_extends = extends
    token = zoho.refresh_token()
    app.refresh(token)
    zoho.clock.advance(500)
    app.refresh(token)
    zoho.clock.advance(200)

    assert error == app.error(token)


def test_throttle_status(app, zoho):
    """The throttle answer can come with status 200."""
    zoho.options.mints_per_window = 0
    zoho.options.throttle_status = 200
    response = app.token("refresh_token", refresh_token=zoho.refresh_token())

    assert (response.status_code, response.json()["error"]) == (200, "Access Denied")


@pytest.mark.parametrize("limit", [10, 15, 30])
def test_active_access_tokens(app, zoho, limit):
    """One access token too many silently ends the oldest."""
    zoho.options.active_access_tokens = limit
    zoho.options.mints_per_window = None
    token = zoho.refresh_token()
    made = [app.refresh(token)["access_token"] for _ in range(limit + 1)]

    assert [False] + [True] * limit == [zoho.is_active(each) for each in made]
    assert app.code("org", made[0]) == "INVALID_TOKEN"
    assert zoho.counters.evictions == {"access_token": 1}


def test_refresh_tokens_per_user_and_client(app, zoho):
    """The twenty-first refresh token ends the first, with its access tokens."""
    first = zoho.refresh_token()
    access = app.refresh(first)["access_token"]
    someone_else = zoho.refresh_token(zoho.add_user("bo@example.com"))
    rest = [zoho.refresh_token() for _ in range(20)]

    assert app.error(first) == "invalid_code"
    assert not zoho.is_active(access)
    assert all(zoho.is_active(each) for each in [*rest, someone_else])


def test_refresh_token_limit_as_error(app, zoho):
    """On request one too many is an error, and nothing dies."""
    zoho.options.refresh_tokens = 1
    zoho.options.refresh_token_limit_is_error = True
    first = zoho.refresh_token()

    assert app.exchange(zoho.grant_code())["error"] == "access_denied"
    assert zoho.is_active(first)


def test_logins_per_window(app, zoho):
    """The eleventh login of a user and client within ten minutes is refused."""
    codes = [zoho.grant_code() for _ in range(11)]
    answers = [app.exchange(each) for each in codes]

    assert [each["error"] for each in answers if "error" in each] == ["Access Denied"]
    zoho.clock.advance(601)
    assert "access_token" in app.exchange(zoho.grant_code())


def test_early_refresh(app, zoho):
    """On request a renewal long before the end is refused, as Exact Online does."""
    zoho.options.early_refresh_window = 30
    token = zoho.refresh_token()
    app.refresh(token)
    early = app.error(token)
    zoho.clock.advance(3575)

    assert early == "access_denied"
    assert None is app.error(token)


def test_rotation(app, zoho):
    """With rotation the old refresh token is refused, the new one works."""
    zoho.options.rotation = "rotate"
    old = zoho.refresh_token()
    new = app.refresh(old)["refresh_token"]

    assert old != new
    assert app.error(old) == "invalid_code"
    assert "refresh_token" in app.refresh(new)


def test_rotation_reuse_kills_the_family(app, zoho):
    """A used refresh token used again ends its successors and their access tokens."""
    zoho.options.rotation = "rotate_reuse_kills"
    old = zoho.refresh_token()
    answer = app.refresh(old)

    assert app.error(old) == "invalid_code"
    assert app.error(answer["refresh_token"]) == "invalid_code"
    assert not zoho.is_active(answer["access_token"])


def test_rotation_with_grace(app, zoho):
    """One generation back is accepted with the same successor; two back is not."""
    zoho.options.rotation = "rotate_grace"
    first = zoho.refresh_token()
    second = app.refresh(first)["refresh_token"]
    again = app.refresh(first)["refresh_token"]
    third = app.refresh(second)["refresh_token"]

    assert second == again
    assert app.error(first) == "invalid_code"
    assert third == app.refresh(second)["refresh_token"]
    assert third != second


def test_rotation_kills_access_tokens(app, zoho):
    """On request older access tokens die at a rotation."""
    zoho.options.rotation = "rotate"
    zoho.options.rotation_kills_access_tokens = True
    first = app.refresh(zoho.refresh_token())
    second = app.refresh(first["refresh_token"])

    assert not zoho.is_active(first["access_token"])
    assert zoho.is_active(second["access_token"])
