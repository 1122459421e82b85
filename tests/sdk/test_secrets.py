"""What must not be written anywhere, nor taken for a secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from emulated import login
from reported import reported
from sdk_driver import SDKFailed
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException

from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.testing import FakeClock


def test_no_secret_anywhere(sdk, zoho):
    """No log at any level, no error's text, repr or traceback has a secret in it."""
    process = sdk.process()
    code, spent = zoho.grant_code(), "1000.spent.5e1f"
    token = sdk.start(process, grant_token=code)
    told = [process.repr_of_store()]
    secrets = {code, spent, token["access_token"], token["refresh_token"], *sdk.secrets.values()}

    def fails(name, *arguments, **given):
        with pytest.raises(SDKFailed) as failed:
            process.later(name, *arguments, **given).result()
        told.append(failed.value.everything)

    for kind in ("garbage", "drop", "status"):
        zoho.faults.add(kind=kind, times=None)
        process.edit(token["id"], expires_in=-1)
        fails("get_token")
        zoho.faults.clear()
        process.move_clock(seconds=10)
    secrets.add(process.get_token())
    process.rejected()
    secrets.add(process.get_token())
    fails("start", environment=sdk.environment(), grant_token=spent, **sdk.secrets)
    fails("find_token_by_id", "0" * 32)
    process.revoke(token["id"])
    fails("find", id=None, refresh_token=token["refresh_token"], **sdk.secrets)
    secrets.discard(zoho.client.client_id)

    logs = [sdk.log(name) for name in ("all.log", "output.log", "sdk.log")]
    told += logs
    assert "tokens.db" in told[0]
    assert "renewal_failed" in logs[0]
    assert [each for each in secrets if each in "\n".join(told)] == []


def test_no_secret_in_local_variables(zoho):
    """A report of an error that shows local variables shows no secret."""
    store = SDKStore("memory:", clock=FakeClock())
    stored = store.keeper.save(login(zoho, access_token="1000.access.5e1f", expires_at=1.0))
    zoho.faults.add(kind="status", times=None)
    client = {"client_id": stored.client_id, "client_secret": stored.client_secret}
    new = OAuthToken(grant_token="1000.another.code", **client)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(store.find_token, new).result() is None  # it is to log in
        for call, token, kind in (
            (store.find_token, OAuthToken(refresh_token=stored.refresh_token, **client), "Prov"),
            (store.rejected, OAuthToken(id=stored.id, access_token=stored.access_token), "Prov"),
            (store.find_token, new, "RenewalTimeout"),
        ):
            with pytest.raises(SDKException) as caught:
                call(token)
            seen = reported(caught.value)
            assert type(caught.value.cause).__name__.startswith(kind)
            assert "SDKStore" in seen
            for secret in (*stored.pair, stored.client_secret, "1000.another.code"):
                assert secret not in seen


@pytest.mark.parametrize("field", ["refresh_token", "client_id", "client_secret"])
def test_blanks_around_secrets(sdk, zoho, field):
    """Refused with the reason before Zoho is asked: what a save says, the SDK keeps to itself."""
    for around in ("{}\n", " {}", "{}\r\n"):
        given = {"refresh_token": zoho.refresh_token(), **sdk.secrets}
        given[field] = around.format(given[field])

        with pytest.raises(SDKFailed, match=f"The {field} begins or ends with a blank"):
            sdk.start(user="ana", **given)
