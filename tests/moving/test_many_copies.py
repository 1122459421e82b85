"""Logins saved with names and without, revoked, deleted and copied both ways, in any order."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from contextlib import suppress
from itertools import count

import pytest
from moved_tokens import copied, login

from tokenkeep import Keeper, KeyRing, StaleToken, Status, Vault
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import ProviderUnavailable
from tokenkeep.moving import Merge, StoreSource
from tokenkeep.providers import Profile, Providers
from tokenkeep.saving import is_older, rotated

RINGS = (KeyRing([b"1" * 32]), KeyRing([b"2" * 32]))


class Zoho:
    """A provider that knows what it has issued, and may be away."""

    name = "zoho"
    away = False

    def __init__(self, *, revokes_grant):
        self.profile = Profile(revokes_grant=revokes_grant)
        self.alive = {}

    def revoke(self, token):
        if self.away:
            raise ProviderUnavailable("away")
        user = self.alive.pop(token.refresh_token, None)
        if self.profile.revokes_grant and user:
            self.alive = {each: its for each, its in self.alive.items() if its != user}

    def nothing(self, *_):
        """All else that a store asks is not known."""

    place = issuer = tenant = expect_known = nothing


class OnlyZoho(Providers):
    """Whoever a token is of, it is of this one."""

    def __init__(self, zoho):
        super().__init__()
        self.zoho = zoho

    def of(self, token):  # noqa: ARG002  # the interface's
        return self.zoho


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
        self.stores = [Vault(backend(), ring, providers=OnlyZoho(self.zoho)) for ring in rings]
        self.ids_stay = backend is MemoryBackend
        self.whose = {}
        self.given_up = set()
        self.numbers = count()
        self.steps = ["save", "name", "revoke", "copy", "copy", "log in again", "renew", "away"]
        self.steps += ["delete"] * options.get("deletes", 0)

    def tell(self):
        """Let some things happen; look after each at what has to hold."""
        for number in range(self.random.randint(6, 18)):
            here, there = self.random.sample(self.stores, 2)
            step = "save" if number < 2 else self.random.choice(self.steps)
            if step == "save":
                old = [each for each in self.whose if self.ids_stay or each in self.zoho.alive]
                token = (
                    self.random.choice(old) if old and self.random.random() < 0.6 else self.new()
                )
                named = self.random.choice([True, False])
                self.save(here, token, self.whose[token] if named else None)
            elif step == "copy":
                self.copy(here, there)
            elif step == "away":
                self.zoho.away = not self.zoho.away
                Keeper(here).sweep()
            elif rows := here.get_tokens():
                self.touch(step, here, self.random.choice(rows))
            self.look()

    def touch(self, step, store, row):
        if step == "name" and row.user is None and row.status is Status.OK:
            self.try_to_save(store, row.but(user=self.whose[row.refresh_token], version=None))
        elif step == "revoke":
            Keeper(store).revoke(row.id)
        elif step == "log in again" and row.user:
            self.save(store, self.new(row.user), row.user)
        elif step == "renew" and not (row.user or self.ids_stay):
            pass  # nothing but its id would tell, there and back, that it is one login
        elif step == "renew" and row.refresh_token in alive(store) & self.zoho.alive.keys():
            self.zoho.alive.pop(row.refresh_token)
            fresh = rotated(row, self.new(self.whose[row.refresh_token]))
            store.swap(fresh.but(updated_at=time.time()))
        elif step == "delete":
            if row.status is not Status.REVOKED:  # then it is forgotten on purpose
                self.given_up |= {row.refresh_token, *values(row.renewal.replaced)}
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
        replace = self.random.random() < 0.2
        if self.random.random() < 0.2:
            self.stop_in_the_midst(Merge(StoreSource(here), there, replace=replace), there.backend)
            self.look()
        steps = list(Merge(StoreSource(here), there, replace=replace).steps())
        assert "failed" not in {step.action.value for step in steps}
        by_id = {step.row.id: step for step in steps}
        skipped = [row for row in rows_of(here) if by_id[row.id].action.value == "skipped"]
        living = [row for row in here.get_tokens() if row.status is Status.OK]
        left = held_by(living) - held(there) - held_by(skipped)
        assert not left & self.zoho.alive.keys()
        assert not ended(here) & alive(there)
        for row in here.get_tokens():
            found = there.find_token_by_id(row.id)
            if row in skipped or row.refresh_token in ended(here) | ended(there):
                continue
            if found is None and row.id in {each.id for each in rows_of(there)}:
                continue  # the id is that of a row that is being ended there
            assert found.refresh_token == row.refresh_token or is_older(found, row.refresh_token)
        for own, to in here.iter_added_ids():
            led, row = there.find_token_by_id(own), there.find_token_by_id(to)
            assert row is None or own in by_id or led.id == row.id or led.status is Status.REVOKED
        before = [each.backend.scan(None, 100) for each in self.stores]
        again = {step.action.value for step in copied(here, there)}
        assert again <= {"already there", "skipped"}
        assert before == [each.backend.scan(None, 100) for each in self.stores]

    def stop_in_the_midst(self, copier, backend):
        """Copy until some write, which is the last one."""
        writes = count(self.random.randint(-5, -1))
        write = type(backend).write

        def last(record, *, replaces):
            write(backend, record, replaces=replaces)
            if next(writes) == -1:
                raise KeyboardInterrupt

        backend.write = last
        with suppress(KeyboardInterrupt):
            list(copier.steps())
        del backend.write

    def look(self):
        for store in self.stores:
            for own, _ in store.iter_added_ids():
                store.reread(own)  # what is on its way into a row arrives there
            rows = [row for row in store.get_tokens() if row.refresh_token]
            assert all(row.user in (None, self.whose[row.refresh_token]) for row in rows)
            assert not ended(store) & alive(store)
            tokens = Counter(row.refresh_token for row in rows if row.status is Status.OK)
            assert set(tokens.values()) <= {1}
            users = Counter(row.user for row in rows if row.user)
            assert set(users.values()) <= {1}
        stored = set().union(*(held(store) for store in self.stores))
        assert set(self.zoho.alive) <= stored | self.given_up


def values(pairs):
    return {value for _, value in pairs}


def rows_of(store):
    return [*store.get_tokens(), *(row for row in store.due(1e12) if row.ended)]


def held(store):
    return held_by(rows_of(store))


def held_by(rows):
    """Return the refresh tokens that rows have in any place from where they are revoked."""
    living = {row.refresh_token for row in rows if not row.ended}
    renewals = [row.renewal for row in rows]
    return living.union(*(values((*each.to_revoke, *each.replaced)) for each in renewals))


def alive(store):
    return {row.refresh_token for row in store.get_tokens() if row.status is Status.OK} - {None}


def ended(store):
    rows = store.get_tokens()
    return {row.refresh_token for row in rows if row.status is Status.REVOKED} - {None}


@pytest.mark.parametrize(
    "options",
    [{}, {"deletes": 1}, {"deletes": 1, "revokes_grant": True}],
    ids=["", "deletes", "revokes the grant"],
)
@pytest.mark.parametrize("backend", [MemoryBackend, Named])
def test_any_order(monkeypatch, backend, options):
    """No user mixed, nothing revoked that lives, no login in two rows, none forgotten alive."""
    for seed in range(300):
        story = Story(seed, backend, RINGS, options)
        # Ids as well, so that a seed tells the same story again.
        monkeypatch.setattr(
            secrets, "token_hex", lambda n, story=story: story.random.randbytes(n).hex()
        )
        try:
            story.tell()
        except Exception as exc:
            exc.add_note(f"seed {seed}")
            raise
