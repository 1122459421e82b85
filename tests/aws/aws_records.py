"""Records for the tests at AWS, of short texts where there have to be digits."""

from __future__ import annotations

from tokenkeep.backends.base import FOUND_BY
from tokenkeep.testing.records import digits, record

FULL = {"client_id": "c", "data_center": "us", "environment": "production"}


def row(name="one", **changes):
    """Return a record of the version "1"; digits stand for what is given instead."""
    given = {"version": "1", **changes}
    texts = given.keys() & {"version", *FOUND_BY}
    return record(name, **given | {field: digits(given[field]) for field in texts})


def own(owner="one thing", **changes):
    """Return a record whose id is its owner, as the vault makes them for Secrets Manager."""
    return row(owner, id=owner, owner=owner, **changes)


def found(backend, field, text):
    """Return what a text's digits find."""
    return backend.find([(field, digits(text))])
