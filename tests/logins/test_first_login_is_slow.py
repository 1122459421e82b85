"""A first login under way is left alone as long as who makes it lives, however slow it is."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from login_stage import refused, sdk_token
from official_sdk import PROGRAM, run_sdk

from tokenkeep import Token


@contextmanager
def a_thread():
    """Run calls in a thread that lives on after them, as a request's does while it logs in."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda *given: pool.submit(*given).result()


@pytest.fixture(params=["grant_token", "refresh_token"])
def asked(request, stage):
    """Returns what callers have who want to log in with the same credential."""
    login = stage.login(got_here=True)

    def make():
        given = {name: getattr(login, name) for name in ("client_id", "client_secret")}
        given[request.param] = getattr(login, request.param)
        return sdk_token(**given, api_domain=login.api_domain)

    stage.first = login
    return make


def test_its_holder_lives(stage, asked):
    """After five seconds it was taken over, and one code was sent twice."""
    with a_thread() as elsewhere:
        assert elsewhere(stage.sdk_store().find_token, asked()) is None
        began = stage.clock.monotonic()

        with refused("RenewalTimeout"):
            stage.sdk_store().find_token(asked())

        assert 30 <= stage.clock.monotonic() - began <= 60


def test_others_are_given_what_it_saves(stage, asked):
    """They wait for it, past what it usually takes."""
    with a_thread() as elsewhere:
        store, waits = stage.sdk_store(), stage.sdk_store()
        assert elsewhere(store.find_token, asked()) is None
        sleep, slept = stage.clock.sleep, []

        def saved_after_a_while(seconds):
            slept.append(seconds)
            sleep(seconds)
            if sum(slept) > 20 and not stage.logins():
                elsewhere(store.save_token, sdk_token(stage.first))

        stage.clock.sleep = saved_after_a_while
        found = waits.find_token(asked())

    assert stage.first.access_token == found.get_access_token()
    assert [stage.zoho.id_of(stage.first.refresh_token)] == stage.logins()


def test_its_holder_has_ended(stage, asked):
    """The next one carries on at once."""
    logging_in = threading.Thread(target=stage.sdk_store().find_token, args=(asked(),))
    logging_in.start()
    logging_in.join()
    began = stage.clock.monotonic()

    assert stage.sdk_store().find_token(asked()) is None
    assert stage.clock.monotonic() - began < 1


def test_its_holder_asks_again(stage, asked):
    """Its login has failed: it may try once more, at once."""
    store = stage.sdk_store()
    assert [None, None] == [store.find_token(asked()) for _ in range(2)]
    assert [] == stage.clock.slept


def test_it_is_no_token(stage, asked):
    """What stands for a login under way is not found, listed or saved over; a sweep leaves it."""
    with a_thread() as elsewhere:
        elsewhere(stage.sdk_store().find_token, asked())

        assert [] == stage.open().get_tokens()
        assert stage.open().find_token(Token(grant_token=stage.first.grant_token)) is None
        stage.pass_time(120.0)
        stage.keeper().sweep()
        with refused("RenewalTimeout"):
            stage.sdk_store().find_token(asked())


@pytest.mark.slow(part="ci")
def test_one_code_is_sent_once(stage, environment):
    """Two programs on the real SDK log in with one code, and Zoho takes seven seconds."""
    zoho = stage.zoho
    login = {"client_id": zoho.client.client_id, "client_secret": zoho.client.client_secret,
             "grant_token": zoho.grant_code()}  # fmt: skip
    environment.setenv("LOGIN", json.dumps(login))
    zoho.faults.add(kind="slow", delay=7.0, grant_type="authorization_code")

    def program(name):
        (stage.folder / name).mkdir()
        place = (zoho.us.api_url, zoho.us.token_url, stage.folder / name)
        return run_sdk("8_0", PROGRAM, "tokenkeep", *place)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(program, ["one", "other"])

    assert 1 == zoho.counters.token_calls("authorization_code")
    assert [200, 200] == [one["status"], other["status"]]
    assert (one["id"], one["access_token"]) == (other["id"], other["access_token"])
