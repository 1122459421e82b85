"""Secrets Manager: its limits, its KMS key, and secrets that others wrote."""

from __future__ import annotations

import pytest
from aws_proxy import with_options
from aws_records import own

from tokenkeep import (
    ConfigurationError,
    StoreError,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
)
from tokenkeep.backends import open_backend
from tokenkeep.backends.secretsmanager import SecretsManagerBackend
from tokenkeep.testing._contract_workers import record


def test_the_kms_key(url, client, prefix):
    """New secrets get the key that is named."""
    backend = open_backend(with_options(url, kms_key_id="alias/tokens"))

    backend.write(own(), replaces=None)

    assert "alias/tokens" == client.describe_secret(SecretId=f"{prefix}/{own().id}")["KmsKeyId"]


def test_too_large(backend):
    """More than a secret holds is refused by name, and what was stored stays."""
    backend.write(own(), replaces=None)

    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(own(version="2", sealed=bytes(60_000)), replaces="1")
    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(own("large", sealed=bytes(60_000)), replaces=None)

    assert [own()] == backend.scan(None, 10)


def test_too_large_with_another_id(backend, client):
    """Nor is its identity taken for what could not be stored."""
    backend.write(record("moving"), replaces=None)
    before = len(client.list_secrets()["SecretList"])
    large = {"identity": "of something large", "sealed": bytes(60_000)}

    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(record("id", **large), replaces=None)
    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(record("moving", version="2", **large), replaces="1")

    assert before == len(client.list_secrets()["SecretList"])
    backend.write(record("id", identity="of something large"), replaces=None)


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_an_id_that_is_no_name(backend, name):
    """It is not there, and can't be."""
    assert backend.read(name) is None
    assert backend.delete(name) is False
    with pytest.raises(StoreError, match="no longer than a secret's name"):
        backend.write(record(name), replaces=None)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("secret", StoreForeign),
        ('{"user": "ana"}', StoreForeign),
        ('{"tokenkeep": 2}', StoreTooNew),
        ('{"tokenkeep": 1, "id": "x"}', StoreTampered),
        (
            '{"tokenkeep": 1, "id": 5, "version": "1", "identity": "i", "sealed": ""}',
            StoreTampered,
        ),
        (
            '{"tokenkeep": 1, "id": "x", "version": "1", "identity": "i", "sealed": "?"}',
            StoreTampered,
        ),
        (
            '{"tokenkeep": 1, "id": "x", "version": "1", "identity": "i", "sealed": ""}',
            StoreTampered,
        ),
    ],
)
def test_a_spoiled_secret(backend, client, prefix, text, error):
    """What tokenkeep did not write is told from what a newer one wrote, and not repeated."""
    client.create_secret(Name=f"{prefix}/{own().id}", SecretString=text)

    with pytest.raises(error, match=own().id) as caught:
        backend.read(own().id)

    assert "ana" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"prefix": ""}, "prefix of a secret's name"),
        ({"prefix": "/tokens"}, "prefix of a secret's name"),
        ({"prefix": "tokens/"}, "prefix of a secret's name"),
        ({"prefix": "a b"}, "prefix of a secret's name"),
        ({"prefix": "x" * 257}, "prefix of a secret's name"),
        ({"recovery_window": 6}, "from 7 to 30"),
        ({"recovery_window": 31}, "from 7 to 30"),
    ],
)
def test_wrong_options(arguments, said):
    """What AWS would refuse is refused before anything is asked."""
    with pytest.raises(ConfigurationError, match=said):
        SecretsManagerBackend(**arguments, region="eu-central-1")
