"""``tokenkeep emulate --folder``: files that stay, and are replaced only if they are its own."""

from __future__ import annotations

import socket

import pytest

from tokenkeep import settings
from tokenkeep.cli.emulate import prepare
from tokenkeep.errors import ConfigurationError
from tokenkeep.testing import ZohoEmulator


def test_a_second_run_in_the_same_folder(zoho, tmp_path):
    """Files of an earlier run are replaced, private ones; what else is there stays."""
    first = prepare(zoho, tmp_path)
    (tmp_path / "tokens.db").touch(0o600)

    with ZohoEmulator(data_centers=("us",)) as other:
        second = prepare(other, tmp_path)
        table = settings(second["environment"]).options["zoho"]["table"]

        assert other.us.token_url == table.get("us").token_endpoint
        assert f"{other.client.client_secret}\n" == (tmp_path / "client_secret").read_text()
    assert first["client_secret_file"] == second["client_secret_file"]
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert dict.fromkeys(("client_secret", "config.toml", "tokens.db"), 0o600) == modes


@pytest.mark.parametrize("name", ["config.toml", "client_secret"])
@pytest.mark.parametrize("before", [True, False], ids=["foreign", "changed"])
def test_what_is_not_its_own_is_left_alone(zoho, tmp_path, name, before):
    """A file somebody else wrote, or changed, is never replaced, nor is the one beside it."""
    if not before:
        prepare(zoho, tmp_path)
    (tmp_path / name).write_text("mine")
    there = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}

    with pytest.raises(ConfigurationError, match="left as it is"):
        prepare(zoho, tmp_path)

    assert there == {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}


@pytest.mark.parametrize("behind", [0, 1, 4])
def test_a_port_that_is_taken(run, behind):
    """Whichever of them it is: said in words."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] - behind
        done = run("emulate", "--port", str(port))

    assert (1, True) == (done.exit_code, f"can't have port {port}" in done.stderr), done.stderr
    assert "--port" in done.stderr
