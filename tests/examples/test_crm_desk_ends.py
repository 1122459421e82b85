"""How the sample application ends: soon, whatever hangs, and with what is needed done."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time

import pytest
from desk_driver import ANA, Browser, DeskServer, consent

import tokenkeep
from crm_desk.ending import when_told_to_end


@pytest.fixture(params=[1, 2], ids=["one", "two"])
def ending(zoho, tmp_path, request):
    """A desk of one process or two, to be told to end by the test."""
    server = DeskServer(zoho, tmp_path, workers=request.param)
    try:
        yield server.start()
    finally:
        zoho.faults.clear()
        server.stop()


class Asking(threading.Thread):
    """A person who waits for an answer."""

    def __init__(self, ask):
        super().__init__()
        self._ask = ask
        self.answer = None
        self.start()

    def run(self):
        self.answer = self._ask()


def seconds_to_end(desk):
    desk.tell_to_end()
    began = time.monotonic()
    desk.end()
    return time.monotonic() - began


def test_while_a_change_hangs(ending, zoho):
    """It ends; who waits has what was typed back, and is told that it may have been sent."""
    browser = Browser(ending)
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    fault = zoho.faults.add(endpoint="records", kind="hang", times=None)
    asking = Asking(lambda: browser.send(page, "/leads", Last_Name="Typed", Company="Long text"))
    fault.wait()

    took = seconds_to_end(ending)
    asking.join()

    assert took < 12
    answer = asking.answer
    assert (answer.status, answer.trouble) == (503, "ending")
    assert (answer.value("Last_Name"), answer.value("Company")) == ("Typed", "Long text")
    assert "not known whether what you sent was done" in answer.text
    assert "Traceback" not in ending.log()
    assert "Cancel " not in ending.log()


def test_while_a_page_is_slow(ending, zoho):
    """What takes a few seconds is waited for."""
    browser = Browser(ending)
    browser.log_in(ANA)
    browser.get("/leads")
    zoho.faults.add(endpoint="records", kind="slow", delay=2.0)
    asking = Asking(lambda: browser.get("/leads"))
    time.sleep(0.5)

    took = seconds_to_end(ending)
    asking.join()

    assert took < 6
    assert asking.answer.status == 200


@pytest.mark.slow(part="ci")
def test_while_a_renewal_is_slow(ending, zoho):
    """The answer to a renewal is saved before the end, though nobody waits for it any more."""
    browser = Browser(ending)
    browser.log_in(ANA)
    browser.get("/leads")
    ending.expire(ANA)
    zoho.counters.reset()
    zoho.faults.add(endpoint="token", kind="slow", delay=8.5)
    asking = Asking(lambda: browser.get("/leads"))
    time.sleep(0.5)

    ending.tell_to_end()
    ending.end()
    asking.join()
    ending.start()
    again = browser.get("/leads")

    assert asking.answer.trouble == "ending"
    assert again.status == 200
    assert zoho.counters.token_calls("refresh_token") == 1
    assert "Traceback" not in ending.log()


@pytest.mark.slow(part="ci")
def test_while_a_login_is_slow(ending, zoho):
    """The tokens that Zoho has given are stored before the end: nobody else knows them."""
    browser = Browser(ending)
    answer = consent(browser.begin(), user=ANA)
    zoho.counters.reset()
    zoho.faults.add(endpoint="token", kind="slow", delay=8.5)
    asking = Asking(lambda: browser.callback(answer))
    time.sleep(0.5)

    ending.tell_to_end()
    ending.end()
    asking.join()

    assert asking.answer.status == 503
    with ending.open_store() as store:
        assert [ANA] == [token.user for token in store.get_tokens()]
    assert "Traceback" not in ending.log()


@pytest.mark.slow
def test_while_the_store_hangs(zoho, postgres, tmp_path):
    """Nobody waits for a store that does not answer, neither for a page nor to let go of it."""
    environ = {"TOKENKEEP_STORE": postgres.url(), "TOKENKEEP_KEYS": tokenkeep.generate_key()}
    desk = DeskServer(zoho, tmp_path, environ=environ)
    try:
        browser = Browser(desk.start())
        browser.log_in(ANA)
        postgres.pause()
        try:
            asking = Asking(lambda: browser.get("/leads"))
            time.sleep(0.5)
            took = seconds_to_end(desk)
        finally:
            postgres.resume()
        asking.join()
    finally:
        desk.stop()

    assert took < 12
    assert asking.answer.trouble == "ending"
    assert "Traceback" not in desk.log()


@pytest.mark.slow(part="ci")
@pytest.mark.parametrize("later", [0.0, 0.5], ids=["at once", "a while later"])
def test_before_its_store_answers(zoho, tmp_path, later):
    """A start that waits for the store ends as soon."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        environ = {
            "TOKENKEEP_STORE": f"postgresql://app@127.0.0.1:{port}/app?timeout=10",
            "TOKENKEEP_KEYS": tokenkeep.generate_key(),
        }
        desk = DeskServer(zoho, tmp_path, environ=environ)
        try:
            desk.launch()
            deadline = time.monotonic() + 30
            while "Waiting for application startup" not in desk.log():
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(later)
            took = seconds_to_end(desk)
        finally:
            desk.stop()

    assert took < 9
    assert "Traceback" not in desk.log()


def test_told_without_being_woken(monkeypatch):
    """A signal of which the waiting loop does not learn by itself is heard soon all the same."""
    monkeypatch.setattr("crm_desk.ending.GRACE", 0.0)
    server = signal.signal(signal.SIGTERM, lambda *_: None)

    async def heard():
        loop = asyncio.get_running_loop()
        acted = loop.create_future()
        with when_told_to_end(lambda: acted.set_result(loop.time())):
            # The signal gets to another thread, as one that comes between the
            # interpreter's last look and the wait: the wait goes on.
            sender = threading.Thread(target=signal_from_here)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            sender.start()
            began = loop.time()
            async with asyncio.timeout(10):
                return await acted - began

    def signal_from_here():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        assert asyncio.run(heard()) < 2
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGTERM, server)


def test_while_a_form_is_on_its_way(ending):
    """Who sends half a form and no more is not waited for."""
    with ending.begin_form(b"Last_Name=", 1000) as slow:
        time.sleep(0.5)
        took = seconds_to_end(ending)
        answer = slow.recv(100_000).decode()

    assert took < 12
    assert "503 Service Unavailable" in answer
    assert "Traceback" not in ending.log()
