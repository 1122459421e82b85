"""Hosts for the procedures of docs/operations.md."""

from __future__ import annotations

import pytest
from operations_site import Host

import tokenkeep


@pytest.fixture
def key():
    return tokenkeep.generate_key()


@pytest.fixture
def host(zoho, tmp_path, key):
    """Set up hosts that share a store, a SQLite file if no *url* is given, and a key."""
    zoho.options.mints_per_window = None
    hosts = []

    def _host(name="host", *, url=None, rotation="none", keys=None):
        zoho.options.rotation = rotation
        where = url or f"sqlite:///{tmp_path}/tokens.db"
        made = Host(zoho, tmp_path / name, where, keys or [key], rotates=rotation != "none")
        hosts.append(made)
        return made

    yield _host
    zoho.faults.clear()
    for each in hosts:
        each.close()
