"""The contract fails for stores that are wrong in the ways that stores are wrong."""

from __future__ import annotations

import re

pytest_plugins = ["pytester"]

MUTANTS = {
    "ignores case": """
        def find_token(self, token):
            return super().find_token(token.but(user=token.user and token.user.lower()))
    """,
    "answers an empty question": """
        def find_token(self, token):
            try:
                return super().find_token(token)
            except EmptyLookup:
                return next(iter(self.get_tokens()), None)
    """,
    "falls back to the next best": """
        def find_token(self, token):
            return super().find_token(token) or super().find_token(Token(user=token.user or "x"))
    """,
    "ignores ids": """
        def find_token(self, token):
            return super().find_token(token.but(id=None) if token.user else token)
    """,
    "doubles": """
        def save_token(self, token):
            token = saving.first(saving.cleaned(token), login="", now=1.0)
            return self._append(token.but(id=str(len(self._rows))))
    """,
    "forgets what a save leaves out": """
        def save_token(self, token):
            saved = super().save_token(token)
            return self._replace(saved.but(refresh_token=token.refresh_token))
    """,
    "brings the dead back": """
        def save_token(self, token):
            saved = super().save_token(token)
            return saved if token.status is not Status.OK else self._replace(
                saved.but(status=Status.OK))
    """,
    "answers with a status and keeps none": """
        def save_token(self, token):
            saved = super().save_token(token)
            self._replace(saved.but(status=Status.OK))
            return saved
    """,
    "complains about absent ids": """
        def delete_token(self, token_id):
            if self.find_token_by_id(token_id) is None:
                raise KeyError(token_id)
            super().delete_token(token_id)
    """,
    "keeps a login twice": """
        def save_token(self, token):
            kept = self.delete_token
            self.delete_token = lambda token_id: None
            try:
                return super().save_token(token)
            finally:
                self.delete_token = kept
    """,
    "takes a refresh token twice": """
        def save_token(self, token):
            try:
                return super().save_token(token)
            except DuplicateRefreshToken:
                made = saving.first(saving.cleaned(token), login="", now=1.0)
                return self._append(made.but(id=new_id()))
    """,
    "takes copies out of date": """
        def save_token(self, token):
            return super().save_token(token.but(version=None))
    """,
    "brings the deleted back": """
        def save_token(self, token):
            there = token.id and self.find_token_by_id(token.id)
            return super().save_token(token if there else token.but(id=None, version=None))
    """,
    "prefers what lives": """
        def find_token(self, token):
            try:
                return super().find_token(token)
            except AmbiguousLookup:
                return next(t for t in self.get_tokens() if t.user == token.user)
    """,
    "forgets a caller's id": """
        def save_token(self, token):
            there = token.id and self.find_token_by_id(token.id)
            ours = token.id and is_ours(token.id)
            return super().save_token(token if there or ours else token.but(id=None))
    """,
    "cuts at 255": """
        def save_token(self, token):
            return super().save_token(token.but(access_token=(token.access_token or "")[:255]))
    """,
}

HEAD = """
from tokenkeep import AmbiguousLookup, DuplicateRefreshToken, EmptyLookup, Status, Token, saving
from tokenkeep.token import is_ours, new_id
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import StoreContract
import pytest
"""

CLASS = """
class Store{number}(ListStore):
    "A wrong store, or the right one."
{mutant}

class Test{number}(StoreContract):
    @pytest.fixture
    def open_store(self):
        store = Store{number}()
        return lambda: store
"""


def test_wrong_stores_fail(pytester):
    """Each of these mistakes breaks at least one promise; without one all are kept."""
    bodies = ["", *("\n".join(line[4:] for line in m.splitlines()) for m in MUTANTS.values())]
    classes = [CLASS.format(number=n, mutant=body) for n, body in enumerate(bodies)]
    pytester.makepyfile(HEAD + "".join(classes))

    # In a process of its own: pytester unloads what tests loaded, the errors too.
    result = pytester.runpytest_subprocess("-q", "-rf", "--tb=no", "-p", "no:cacheprovider")

    failed = set(re.findall(r"FAILED \S+::Test(\d+)::", result.stdout.str()))
    assert {str(n) for n in range(1, len(bodies))} == failed
    assert result.parseoutcomes()["passed"] > 0
