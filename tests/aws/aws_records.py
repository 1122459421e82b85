"""Records as the vault makes them for Secrets Manager."""

from __future__ import annotations

from tokenkeep.backends.aws_names import id_for
from tokenkeep.testing._contract_workers import record

FULL = {"client_id": "c", "data_center": "us", "environment": "production"}


def own(identity="one thing", **changes):
    """Return a record whose id is that of its identity."""
    return record(id_for(identity), identity=identity, **changes)
