"""Logins saved with names and without, revoked, deleted and copied both ways, in any order."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count

import pytest
from moved_tokens import login

from tokenkeep import Keeper, KeyRing, StaleToken, Status, Vault
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import ProviderUnavailable
from tokenkeep.moving import Copier
from tokenkeep.providers import Profile, Providers

RINGS = (KeyRing([b"1" * 32]), KeyRing([b"2" * 32]))


class Zoho(Providers):
    """Of a provider that knows what it has issued, and may be away."""

    def __init__(self, *, revokes_grant):
        super().__init__()
        self.profile = Profile(revokes_grant=revokes_grant)
        self.alive = {}
        self.away = False
        self.name = "zoho"

    def of(self, token):  # noqa: ARG002  # the interface's
        return self

    def place(self, api_domain):  # noqa: ARG002  # the interface's
        return None

    def issuer(self, place):  # noqa: ARG002  # the interface's
        return None

    def tenant(self, token):  # noqa: ARG002  # the interface's
        return None

    def revoke(self, token):
        if self.away:
            raise ProviderUnavailable("away")
        user = self.alive.pop(token.refresh_token, None)
        if self.profile.revokes_grant and user:
            self.alive = {each: its for each, its in self.alive.items() if its != user}


class Named(MemoryBackend):
    """Ids are made of owners, as in AWS Secrets Manager."""

    def id_for(self, owner):
        return f"{int(owner, 16) ^ 1:032x}"


class Story:
    """
    Two stores, and what happens to the logins in them.

    Each login is one user's, whether or not that is known where it is saved.
    """

    def __init__(self, seed, backend, rings, options):
        self.random = random.Random(seed)
        self.zoho = Zoho(revokes_grant=options.get("revokes_grant", False))
        self.stores = [Vault(backend(), ring, providers=self.zoho) for ring in rings]
        self.whose = {}
        self.given_up = set()
        self.numbers = count()
        self.steps = ["save", "name", "revoke", "copy", "copy", "log in again", "away"]
        self.steps += ["delete"] * options.get("deletes", 0)

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
            elif step == "away":
                self.zoho.away = not self.zoho.away
                Keeper(here, providers=self.zoho).sweep()
            elif rows := here.get_tokens():
                self.touch(step, here, self.random.choice(rows))
            self.look()

    def touch(self, step, store, row):
        if step == "name" and row.user is None and row.status is Status.OK:
            self.try_to_save(store, row.but(user=self.whose[row.refresh_token], version=None))
        elif step == "revoke":
            Keeper(store, providers=self.zoho).revoke(row.id)
        elif step == "log in again" and row.user:
            self.save(store, self.new(row.user), row.user)
        elif step == "delete":
            if row.status is not Status.REVOKED:  # then it is forgotten on purpose
                self.given_up |= {row.refresh_token, *secrets(row.renewal.replaced)}
            store.delete_token(row.id)

    def new(self, user=None):
        token = f"refresh {next(self.numbers)}"
        self.whose[token] = user or self.random.choice(["ana", "ben"])
        self.zoho.alive[token] = self.whose[token]
        return token

    def save(self, store, token, user):
        given = {"refresh_token": token, "access_token": f"access {token}"}
        self.try_to_save(store, login(user=user, **given))

    def try_to_save(self, store, token):
        try:
            store.save_token(token)
        except StaleToken:
            if not any(token.refresh_token in held(each) for each in self.stores):
                self.given_up.add(token.refresh_token)  # it never was stored since

    def copy(self, here, there):
        steps = list(Copier(here, there).steps())
        assert "failed" not in {step.action.value for step in steps}
        by_id = {step.token_id: step for step in steps}
        dead = {row.refresh_token for row in here.get_tokens() if row.status is Status.REVOKED}
        assert not dead & alive(there)
        for row in here.get_tokens():
            found = there.find_token_by_id(row.id)
            skipped = by_id[row.id].action.value == "skipped"
            assert found is not None or skipped
            assert skipped or found.refresh_token == row.refresh_token or found.renewal.past
        for own, to in here.iter_added_ids():
            there_too, row = there.find_token_by_id(own), there.find_token_by_id(to)
            assert row is None or own in by_id or there_too.id == row.id
        before = [each.backend.scan(None, 100) for each in self.stores]
        again = {step.action.value for step in Copier(here, there).steps()}
        assert again <= {"already there", "skipped"}
        assert before == [each.backend.scan(None, 100) for each in self.stores]

    def look(self):
        for store in self.stores:
            rows = [row for row in store.get_tokens() if row.refresh_token]
            assert all(row.user in (None, self.whose[row.refresh_token]) for row in rows)
            dead = {row.refresh_token for row in rows if row.status is Status.REVOKED}
            assert not dead & alive(store)
            tokens = Counter(row.refresh_token for row in rows if row.status is Status.OK)
            assert set(tokens.values()) <= {1}
            users = Counter(row.user for row in rows if row.user)
            assert set(users.values()) <= {1}
        stored = set().union(*(held(store) for store in self.stores))
        assert set(self.zoho.alive) <= stored | self.given_up


def secrets(pairs):
    return {value for _, value in pairs}


def held(store):
    """Return the refresh tokens that a store has in any place from where they are revoked."""
    rows = [*store.get_tokens(), *(row for row in store.due(1e12) if row.ended)]
    living = {row.refresh_token for row in rows if not row.ended}
    renewals = [row.renewal for row in rows]
    return living.union(*(secrets((*each.to_revoke, *each.replaced)) for each in renewals))


def alive(store):
    return {row.refresh_token for row in store.get_tokens() if row.status is Status.OK} - {None}


@pytest.mark.parametrize(
    "options",
    [{}, {"deletes": 1}, {"deletes": 1, "revokes_grant": True}],
    ids=["", "deletes", "revokes the grant"],
)
@pytest.mark.parametrize("backend", [MemoryBackend, Named])
def test_any_order(backend, options):
    """No user mixed, nothing revoked that lives, no login in two rows, none forgotten alive."""
    for seed in range(500):
        try:
            Story(seed, backend, RINGS, options).tell()
        except Exception as exc:
            exc.add_note(f"seed {seed}")
            raise
