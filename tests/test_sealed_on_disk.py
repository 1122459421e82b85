"""What somebody who can read or write the database can and can't do, in real files."""

from __future__ import annotations

from base64 import b64encode

import pytest

import tokenkeep
from tokenkeep import Token

KEY = bytes(range(32))
SECRETS = {
    name: f"the-{name}-of"
    for name in ("client_secret", "access_token", "refresh_token", "grant_token")
}


@pytest.fixture
def open_store(tmp_path):
    opened = []

    def _open(url=f"sqlite:///{tmp_path}/tokens.db"):
        opened.append(tokenkeep.open_store(url, keys_newest_first=[KEY], environ={}))
        return opened[-1]

    yield _open
    for store in opened:
        store.close()


def token(user, **changes):
    secrets = {name: f"{value}-{user}" for name, value in SECRETS.items()}
    return Token(**{"user": user, "client_id": "c", **secrets, **changes})


@pytest.mark.parametrize("url", ["sqlite:///{}/t.db", "file:///{}/t.json"])
def test_no_plaintext_on_disk(open_store, tmp_path, url):
    """No file a store leaves shows a secret, a user or an id, in whatever encoding."""
    store = open_store(url.format(tmp_path))
    for user in ("ana@example.com", "bob@example.com"):
        store.save_token(token(user, id=f"customer-{user}"))
    saved = store.save_token(token("ana@example.com", access_token="the-access_token-of-ana-2"))
    store.swap(saved.with_renewal(to_revoke=(("refresh_token", "the-refresh_token-to-revoke"),)))
    while_open = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    store.close()
    after = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]

    assert while_open
    shown = ("the-refresh_token-to-revoke", "ana@example.com", "customer-", "production")
    for data in (*while_open, *after):
        for secret in (*SECRETS.values(), *shown):
            for form in (secret, secret.encode().hex(), b64encode(secret.encode()).decode()[:20]):
                assert form.encode() not in data
        assert KEY not in data
        assert KEY.hex().encode() not in data
