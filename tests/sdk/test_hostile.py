"""Names nobody expected, and what must not be written anywhere."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed

NAMES = (
    *('o\'brien "the" `first`', "x'; DROP TABLE token; --", "1 or 1=1", 'a:b,c|d"]}', " "),
    *("ana\U0001f511@example.com:é", "first\r\nsecond", "before\0after", "u" * 65536),
)


def test_user_names(sdk, zoho):
    """Invariant 8: a name is any text, stored as it is, found again, mixed with nobody's."""
    process, another = sdk.process(), sdk.process()
    for name in NAMES:
        given = {"refresh_token": zoho.refresh_token(), "user": name, **sdk.secrets()}
        first = sdk.start(process, **given)
        given = {"refresh_token": zoho.refresh_token(), "user": "someone else", **sdk.secrets()}
        other = sdk.start(process, **given)

        assert sdk.start(another, user=name)["id"] == first["id"] != other["id"]
        assert {each["user"] for each in process.get_tokens()} == {name, "someone else"}
        assert process.revoke(first["id"]) is True
        assert sdk.start(another, user="someone else")["access_token"] == other["access_token"]
        process.delete_tokens()


def test_ids(sdk):
    """An id is looked up as it is; nothing in it is obeyed."""
    process = sdk.process()
    first = sdk.log_in(process)
    for wild in ("1 or 1=1", "' or ''='", "%", "*", "../../etc/passwd", ""):
        process.delete_token(wild)
        with pytest.raises(SDKFailed):
            process.find_token_by_id(wild)

    assert [each["id"] for each in process.get_tokens()] == [first["id"]]


def test_no_secret_anywhere(sdk, zoho):
    """No log at any level, no error's text, repr or traceback has a secret in it."""
    process = sdk.process()
    code, spent = zoho.grant_code(), "1000.spent.5e1f"
    token = sdk.start(process, grant_token=code, **sdk.secrets())
    told = [process.repr_of_store()]
    secrets = {code, spent, token["access_token"], token["refresh_token"], *sdk.secrets().values()}

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
    fails("start", environment=sdk.environment(), grant_token=spent, **sdk.secrets())
    fails("find_token_by_id", "0" * 32)
    process.revoke(token["id"])
    fails("find", id=None, refresh_token=token["refresh_token"], **sdk.secrets())
    secrets.discard(sdk.client.client_id)

    logs = [(sdk.folder / name).read_text() for name in ("all.log", "output.log", "sdk.log")]
    told += logs
    assert "tokens.db" in told[0]
    assert "renewal_failed" in logs[0]
    assert [each for each in secrets if each in "\n".join(told)] == []


def test_no_secret_in_local_variables(sdk, zoho):
    """A report of an error that shows local variables shows no secret of the adapter's."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.edit(first["id"], expires_in=-1)
    zoho.faults.add(kind="status", times=None)
    given = {"refresh_token": first["refresh_token"], **sdk.secrets()}
    shown = [
        process.locals_of_ours(method="find", **given),
        process.locals_of_ours(method="rejected", **given),
        process.locals_of_ours(method="elect", grant_token="1000.another.code", **sdk.secrets()),
    ]
    secrets = ["1000.another.code", sdk.client.client_secret]
    secrets += [first[name] for name in ("access_token", "refresh_token", "grant_token")]

    assert all("Error: " in each and "SDKStore" in each for each in shown)
    assert [each for each in secrets if each in "".join(shown)] == []


@pytest.mark.parametrize("field", ["refresh_token", "client_id", "client_secret"])
def test_blanks_around_secrets(sdk, zoho, field):
    """Refused with the reason before Zoho is asked: what a save says, the SDK keeps to itself."""
    for around in ("{}\n", " {}", "{}\r\n"):
        given = {"refresh_token": zoho.refresh_token(), **sdk.secrets()}
        given[field] = around.format(given[field])

        with pytest.raises(SDKFailed, match=f"The {field} begins or ends with a blank"):
            sdk.start(user="ana", **given)
