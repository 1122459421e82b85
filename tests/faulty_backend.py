"""A backend that fails as networks do, and vaults over it."""

from __future__ import annotations

from tokenkeep import KeyRing, StoreUnavailable, Vault
from tokenkeep.backends.memory import MemoryBackend


class Faulty(MemoryBackend):
    """A backend whose next writes fail, before or after they are committed."""

    def __init__(self):
        super().__init__()
        self.faults = []
        self.reads = 0
        self.before_write = None

    def read(self, record_id):
        self.reads += 1
        return super().read(record_id)

    def find(self, marks):
        self.reads += 1
        return super().find(marks)

    def write(self, record, *, replaces):
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


def vault_over(backend, **given):
    return Vault(backend, KeyRing([bytes(32)]), **given)
