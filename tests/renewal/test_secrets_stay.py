"""Nothing that is logged, raised or reported holds a secret the emulator issued."""

from __future__ import annotations

import logging
import traceback
import uuid

import pytest

from tokenkeep import Token, TokenKeepError


@pytest.mark.parametrize("fleet", ["none", "rotate_reuse_kills"], indirect=True)
def test_no_secret_in_logs_errors_and_events(fleet, caplog):
    """Invariant 9: neither success nor fault, rejection, revocation or sweep tells a secret."""
    caplog.set_level(logging.DEBUG)
    told, events = [], []
    keeper = fleet.keeper(on_event=events.append)
    zoho = fleet.zoho
    wrong = uuid.uuid4().hex
    secrets = {wrong}

    def expire():
        secrets.update(zoho.secrets())
        stored = fleet.stored
        fleet.store.swap(stored.but(expires_at=1.0).with_renewal(failure=None, claim=None))

    def attempt(call):
        expire()
        try:
            told.append(repr(call()))
        except TokenKeepError as exc:
            told.extend([str(exc), repr(exc), repr(vars(exc)), *traceback.format_exception(exc)])

    get = lambda: keeper.get(id=fleet.id)  # noqa: E731
    attempt(get)
    for kind in ("status", "garbage", "list", "no_access_token", "drop", "huge"):
        zoho.faults.add(kind=kind, times=2)
        attempt(get)
    attempt(lambda: keeper.get(Token(access_token="no such token")))
    attempt(lambda: keeper.rejected(fleet.id, str(fleet.stored.access_token)))
    attempt(lambda: keeper.get(id=fleet.id, client_secret=wrong))
    zoho.revoke()
    attempt(get)
    fleet.login(left=3600.0)
    attempt(lambda: keeper.revoke(fleet.id))
    attempt(keeper.sweep)
    expire()

    told += [record.getMessage() for record in caplog.records]
    told += [repr(event) for event in events]
    everything = "\n".join(told)
    assert len(secrets) > 5
    assert len(caplog.records) > 5
    assert [secret for secret in secrets if secret in everything] == []
