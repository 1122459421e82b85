"""Secrets Manager: deleting, while others write and after somebody deleted by hand."""

from __future__ import annotations

import datetime as dt

import pytest
from aws_proxy import COMING, GOING, with_options
from aws_records import found, own

from tokenkeep import (
    StoreConflict,
    StoreUnavailable,
)
from tokenkeep.backends import aws_secrets, open_backend
from tokenkeep.backends.secretsmanager import SecretsManagerBackend
from tokenkeep.testing._contract_workers import digits


@pytest.mark.parametrize(("options", "days"), [({"timeout": 10}, 30), ({"recovery_window": 7}, 7)])
def test_the_recovery_window(url, client, prefix, options, days):
    """A deleted secret can be brought back by hand for a while."""
    backend = open_backend(with_options(url, **options))
    backend.write(own(), replaces=None)

    assert backend.delete(own().id) is True

    ends = client.describe_secret(SecretId=f"{prefix}/{own().id}")["DeletedDate"]
    left = ends - dt.datetime.now(dt.UTC)
    assert abs(left - dt.timedelta(days=days)) < dt.timedelta(hours=1)


def test_erased_at_once(url, names):
    """On request nothing is kept."""
    backend = open_backend(with_options(url, force_delete="true"))
    backend.write(own(), replaces=None)

    assert backend.delete(own().id) is True
    assert [] == names()
    backend.write(own(version="again"), replaces=None)
    assert own(version="again") == backend.read(own().id)


def test_a_deleted_secret_is_used_again(backend, client, prefix, names):
    """Who logs in again within the recovery window gets the same secret, with another value."""
    backend.write(own(access="a", user="u"), replaces=None)
    backend.delete(own().id)
    again = own(version="again", access="b")

    backend.write(again, replaces=None)

    assert [again] == backend.scan(None, 10) == found(backend, "access", "b")
    assert [] == found(backend, "access", "a") == found(backend, "user", "u")
    (tag,) = client.describe_secret(SecretId=f"{prefix}/{own().id}")["Tags"]
    assert "access" in tag["Key"]
    assert 1 == len(names())
    with pytest.raises(StoreConflict):
        backend.write(own(version="2"), replaces=digits("1"))


def test_deleted_by_somebody_else(backend, client, prefix, is_scheduled):
    """What was scheduled for deletion by hand is gone, and tokenkeep does not undo that."""
    backend.write(own(), replaces=None)
    client.delete_secret(SecretId=f"{prefix}/{own().id}")

    assert backend.read(own().id) is None
    assert [] == backend.scan(None, 10) == found(backend, "owner", "one thing")
    assert backend.delete(own().id) is False
    with pytest.raises(StoreConflict):
        backend.write(own(version="2"), replaces=digits("1"))
    with pytest.raises(StoreUnavailable, match="aws secretsmanager restore-secret") as caught:
        backend.write(own(version="2"), replaces=None)

    assert f"{prefix}/{own().id}" in str(caught.value)
    assert is_scheduled()


def test_a_delete_is_not_undone_by_a_late_write(watched, proxy, backend):
    """A write that was read for before a delete does not bring the token back."""
    watched.write(own(), replaces=None)

    def delete():
        backend.delete(own().id)

    proxy.faults["UpdateSecretVersionStage"] = [delete]
    with pytest.raises(StoreConflict):
        watched.write(own(version="2"), replaces=digits("1"))

    assert backend.read(own().id) is None


def test_a_delete_of_one_version_is_not_of_another(watched, proxy, backend):
    """Somebody wrote while it was being deleted: that stays, and no secret is scheduled."""
    watched.write(own(), replaces=None)

    def write():
        backend.write(own(version="2"), replaces=digits("1"))

    proxy.faults["UpdateSecretVersionStage"] = [write]
    with pytest.raises(StoreConflict):
        watched.delete(own().id, replaces=digits("1"))

    assert own(version="2") == backend.read(own().id)
    assert [] == proxy.sent("DeleteSecret")


def test_scheduling_is_not_repeated(watched, proxy, backend):
    """It has no condition: sent twice, it could take what was made in between."""
    watched.write(own(), replaces=None)
    proxy.faults["DeleteSecret"] = (GOING,)

    with pytest.raises(StoreUnavailable):
        watched.delete(own().id)

    assert 1 == len(proxy.sent("DeleteSecret"))
    assert backend.read(own().id) is None


def test_a_deleter_that_went_away(watched, proxy, backend, monkeypatch, is_scheduled):
    """A token is gone before its secret is scheduled; for a minute that is left to the deleter."""
    watched.write(own(), replaces=None)
    proxy.faults["DeleteSecret"] = (COMING,)
    with pytest.raises(StoreUnavailable):
        watched.delete(own().id)

    assert watched.read(own().id) is None
    with pytest.raises(StoreUnavailable, match="just being deleted"):
        watched.write(own(version="again"), replaces=None)
    assert backend.delete(own().id) is False
    assert not is_scheduled()

    monkeypatch.setattr(aws_secrets, "ABANDONED", -60.0)
    watched.write(own(version="again"), replaces=None)
    assert own(version="again") == backend.read(own().id)


def test_a_secret_left_behind_is_tidied_up(watched, proxy, backend, monkeypatch, is_scheduled):
    """Deleting again schedules what a deleter left behind, and says that there was nothing."""
    watched.write(own(), replaces=None)
    proxy.faults["DeleteSecret"] = [COMING]
    with pytest.raises(StoreUnavailable):
        watched.delete(own().id)
    monkeypatch.setattr(aws_secrets, "ABANDONED", -60.0)

    assert backend.delete(own().id) is False
    assert is_scheduled()


def test_a_deleter_that_is_slow(watched, proxy, backend):
    """Who logs in while the secret is being scheduled waits for that, and then brings it back."""
    watched.write(own(), replaces=None)
    saved = []

    def log_in_meanwhile():
        impatient = SecretsManagerBackend(**_arguments(backend), timeout=1.0)
        with pytest.raises(StoreUnavailable):
            impatient.write(own(version="early"), replaces=None)
        saved.append(backend.read(own().id))

    proxy.faults["DeleteSecret"] = [log_in_meanwhile]
    watched.delete(own().id)
    backend.write(own(version="again"), replaces=None)

    assert [None] == saved
    assert own(version="again") == watched.read(own().id)


def _arguments(backend):
    place = backend._aws.place
    prefix = place.name.rpartition(" ")[2].removesuffix("/*")
    return {"prefix": prefix, "endpoint_url": place.endpoint, "region": "eu-central-1"}
