"""Logins saved with names and without, revoked, deleted and copied both ways, in any order."""

from __future__ import annotations

import random
from itertools import count

import pytest
from moved_tokens import login

from tokenkeep import Keeper, KeyRing, Status, Vault
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.moving import Copier
from tokenkeep.providers import Profile, Providers

RINGS = (KeyRing([b"1" * 32]), KeyRing([b"2" * 32]))


class Agrees(Providers):
    """Of a provider that takes every token back."""

    def of(self, token):  # noqa: ARG002  # the interface's
        return _Agrees()


class _Agrees:
    profile = Profile()

    def revoke(self, token):
        pass


class Named(MemoryBackend):
    """Ids are made of identities, as in AWS Secrets Manager."""

    def id_for(self, identity):
        return f"of {identity}"


class Story:
    """
    Two stores, and what happens to the logins in them.

    Each login is one user's, whether or not that is known where it is saved.
    """

    def __init__(self, seed, backend, rings, deletes):
        self.random = random.Random(seed)
        self.stores = [Vault(backend(), ring) for ring in rings]
        self.whose = {}
        self.numbers = count()
        self.steps = ["save", "name", "revoke", "copy", "copy", "log in again"]
        self.steps += ["delete"] * deletes

    def tell(self):
        """Let some things happen; look after each at what has to hold."""
        for _ in range(self.random.randint(4, 9)):
            here, there = self.random.sample(self.stores, 2)
            step = self.random.choice(self.steps)
            if step == "save":
                known = self.whose and self.random.random() < 0.6
                token = self.random.choice(list(self.whose)) if known else self.new()
                named = self.random.choice([True, False])
                self.save(here, token, self.whose[token] if named else None)
            elif step == "copy":
                self.copy(here, there)
            elif rows := here.get_tokens():
                self.touch(step, here, self.random.choice(rows))
            self.look()

    def touch(self, step, store, row):
        if step == "name" and row.user is None and row.status is Status.OK:
            store.save_token(row.but(user=self.whose[row.refresh_token], version=None))
        elif step == "revoke":
            Keeper(store, providers=Agrees()).revoke(row.id)
        elif step == "log in again" and row.user:
            self.save(store, self.new(row.user), row.user)
        elif step == "delete":
            store.delete_token(row.id)

    def new(self, user=None):
        token = f"refresh {next(self.numbers)}"
        self.whose[token] = user or self.random.choice(["ana", "ben"])
        return token

    def save(self, store, token, user):
        store.save_token(login(user=user, refresh_token=token, access_token=f"access {token}"))

    def copy(self, here, there):
        steps = list(Copier(here, there).steps())
        assert "failed" not in {step.action.value for step in steps}
        dead = {row.refresh_token for row in here.iter_rows() if row.status is Status.REVOKED}
        assert not dead & alive(there)
        for row in here.iter_rows():
            found = there.find_token_by_id(row.id)
            skipped = next(s for s in steps if s.token_id == row.id).action.value == "skipped"
            if found is not None and not row.moved_to and not skipped:
                assert row.refresh_token == found.refresh_token
            assert found is not None or "delete" in self.steps

    def look(self):
        for store in self.stores:
            rows = [row for row in store.iter_rows() if row.refresh_token]
            assert all(row.user in (None, self.whose[row.refresh_token]) for row in rows)
            dead = {row.refresh_token for row in rows if row.status is Status.REVOKED}
            assert not dead & alive(store)
            tokens = [row.refresh_token for row in rows if row.status is Status.OK]
            assert len(tokens) == len(set(tokens))


def alive(store):
    return {row.refresh_token for row in store.iter_rows() if row.status is Status.OK} - {None}


@pytest.mark.parametrize("deletes", [False, True], ids=["", "deletes"])
@pytest.mark.parametrize("rings", [RINGS[:1] * 2, RINGS], ids=["one ring", "two rings"])
@pytest.mark.parametrize("backend", [MemoryBackend, Named])
def test_any_order(backend, rings, deletes):
    """No user mixed, nothing revoked that lives, no login in two rows, no id leads nowhere."""
    for seed in range(500):
        try:
            Story(seed, backend, rings, deletes).tell()
        except Exception as exc:
            exc.add_note(f"seed {seed}")
            raise
