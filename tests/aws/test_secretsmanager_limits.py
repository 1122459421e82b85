"""Secrets Manager: its limits, its KMS key, and secrets that others wrote."""

from __future__ import annotations

import json

import pytest
from aws_proxy import with_options
from aws_records import own, row

from tokenkeep import (
    ConfigurationError,
    StoreError,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
)
from tokenkeep.backends import open_backend
from tokenkeep.backends.aws_content import text_of
from tokenkeep.backends.secretsmanager import SecretsManagerBackend
from tokenkeep.testing._contract_workers import digits


def told(**changed):
    """A secret's text, with something else in it than tokenkeep writes."""
    return json.dumps({**json.loads(text_of(own())), **changed})


def test_the_kms_key(url, client, prefix):
    """New secrets get the key that is named."""
    backend = open_backend(with_options(url, kms_key_id="alias/tokens"))

    backend.write(own(), replaces=None)

    assert "alias/tokens" == client.describe_secret(SecretId=f"{prefix}/{own().id}")["KmsKeyId"]


def test_too_large(backend):
    """More than a secret holds is refused by name, and what was stored stays."""
    backend.write(own(), replaces=None)

    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(own(version="2", sealed=bytes(60_000)), replaces=digits("1"))
    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(own("large", sealed=bytes(60_000)), replaces=None)

    assert [own()] == backend.scan(None, 10)


def test_too_large_with_another_id(backend, client):
    """Nor is its owner taken for what could not be stored."""
    backend.write(row("moving"), replaces=None)
    before = len(client.list_secrets()["SecretList"])
    large = {"owner": "of something large", "sealed": bytes(60_000)}

    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(row("id", **large), replaces=None)
    with pytest.raises(StoreError, match="a secret holds 65536"):
        backend.write(row("moving", version="2", **large), replaces=digits("1"))

    assert before == len(client.list_secrets()["SecretList"])
    backend.write(row("id", owner="of something large"), replaces=None)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("secret", StoreForeign),
        ('{"user": "ana"}', StoreForeign),
        ('{"tokenkeep": 1}', StoreForeign),
        ('{"tokenkeep": 3}', StoreTooNew),
        ('{"tokenkeep": 2, "id": "x"}', StoreTampered),
        (told(id=5), StoreTampered),
        (told(sealed="?"), StoreTampered),
        (told(id="x"), StoreTampered),
    ],
    ids=["no JSON", "others", "older", "newer", "a part", "no id", "no bytes", "another id"],
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
