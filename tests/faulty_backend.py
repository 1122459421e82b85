"""Backends that fail as networks do, count trips, or make ids of owners; vaults over them."""

from __future__ import annotations

from tokenkeep import KeyRing, StoreUnavailable, Vault
from tokenkeep.backends.base import FOUND_BY
from tokenkeep.backends.memory import MemoryBackend

PLACE = {"client_id": "c", "provider": "zoho", "data_center": "us", "environment": "production"}
"""All that a row is for, besides its user."""


def _noted(name):
    def call(self, *args, **given):
        self.trips.append(name)
        return getattr(MemoryBackend, name)(self, *args, **given)

    return call


class Faulty(MemoryBackend):
    """
    A backend whose next writes fail, before or after they are committed.

    ``faults`` are those of the next writes: ``lost`` or ``answer lost``.
    ``before_write`` is called once, before the next one. ``trips`` names the
    calls that a server would be asked for.
    """

    def __init__(self):
        super().__init__()
        self.faults, self.trips = [], []
        self.before_write = None

    read, find, scan, delete = map(_noted, ("read", "find", "scan", "delete"))

    def write(self, record, *, replaces):
        self.trips.append("write")
        if self.before_write:
            interfere, self.before_write = self.before_write, None
            interfere()
        fault = self.faults.pop(0) if self.faults else None
        if fault == "lost":
            raise StoreUnavailable("the request was lost")
        super().write(record, replaces=replaces)
        if fault == "answer lost":
            raise StoreUnavailable("the answer was lost")


class Server(Faulty):
    """A backend without a change counter."""

    def revision(self):
        return None


class Named(Faulty):
    """The id is made of the owner, as where nothing is unique but names."""

    def id_for(self, owner):
        return owner[::-1]

    def write(self, record, *, replaces):
        # The header and aliases have an id that is their owner.
        assert record.id in (record.owner, self.id_for(record.owner))
        super().write(record, replaces=replaces)


class Late(Named):
    """Nothing is found but by what it is for, as long as ``is_late``."""

    finds_late = is_late = True

    def find(self, marks):
        found = ("id", "owner") if self.is_late else FOUND_BY
        return super().find([mark for mark in marks if mark[0] in found])


def vault_over(backend, ring=None, **given):
    """Open a vault as another process would; with the same key ring unless one is given."""
    return Vault(backend, ring or KeyRing([bytes(32)]), **given)
