"""Files written by the unmodified official SDK itself, each generation in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokenkeep import Token

HERE = Path(__file__).parent
SDK = HERE.parents[1] / ".sdk"


@pytest.mark.parametrize("generation", ["5_0", "6_0", "7_0", "8_0"])
def test_its_own_file_is_taken_over(run, store, tmp_path, generation):
    """Every token that the SDK's FileStore wrote arrives, and the file stays as it is."""
    path = tmp_path / "sdk_tokens.txt"
    folder = SDK / generation
    if generation != "8_0" and not folder.exists():
        pytest.skip(f"{folder} is not there: make .stamp-sdk installs it")
    environ = os.environ | ({"PYTHONPATH": str(folder)} if folder.exists() else {})
    subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "sdk_store.py"), str(path)],
        env=environ,
        check=True,
        timeout=100,
    )
    written = path.read_bytes()

    assert [("new", None), ("new", None)] == run(path)

    assert written == path.read_bytes()
    for user, place in (
        ("o'brien@example.com:1", ("eu", "production")),
        ('"josé", é\n2', ("us", "sandbox")),
    ):
        token = store.find_token(Token(user=user))
        assert place == (token.data_center, token.environment)
        assert (f"access {user}", f"refresh {user}") == token.pair
        assert f"grant {user}" == token.grant_token
        assert ("1000.CLIENT", 'se"cret') == (token.client_id, token.client_secret)
        assert (1764000000.123, "https://example.com/back") == (
            token.expires_at,
            token.redirect_uri,
        )
    assert [("already there", None)] * 2 == run(path)
