"""A store, a Zoho and their time: what the tests of logins share."""

from __future__ import annotations

from contextlib import contextmanager, suppress

import pytest

from tokenkeep import (
    Keeper,
    LoginNeeded,
    ProviderRefused,
    Status,
    Token,
    TokenKeepError,
    TokenNotFound,
    open_store,
)
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.testing import FakeClock, emulator_configuration

HOUR = 3600.0


@contextmanager
def refused(*names):
    """Expect an error of ours, named as a user reads it; also as the cause of the SDK's own."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is looked at below
        yield caught
    error = getattr(caught.value, "cause", None) or caught.value
    assert isinstance(error, TokenKeepError), repr(error)
    assert type(error).__name__ in names, error
    caught.why = str(error)


class Stage:
    """
    One store, any number of processes on it, and an emulator.

    The processes are this one: each `open` or `keeper` sees the store with eyes of its own.
    With *rotates* each renewal answers another refresh token and the old one is refused. With
    *ids_of_owners* SQLite makes ids of what records are for, as a store with nothing but names.
    """

    def __init__(
        self,
        zoho,
        folder,
        environment,
        *,
        store="tokens.db",
        url=None,
        rotates=False,
        revokes_grant=False,
        ids_of_owners=False,
    ):
        self.zoho, self.folder = zoho, folder
        self.url = url or f"sqlite:///{folder}/{store}"
        self.clock = FakeClock()
        self.ana, self.bo = (user.name for user in zoho.users[:2])
        self._opened = []
        self._eye = None
        self._long_gone = set()
        self._long_gone = self.alive()
        zoho.options.rotation = "rotate" if rotates else "none"
        path = folder / "config.toml"
        path.write_text(
            f"{emulator_configuration(zoho)}\n[providers.zoho.profile]\n"
            f"rotates = {str(rotates).lower()}\nrevokes_grant = {str(revokes_grant).lower()}\n"
            f'[providers.acme]\nkind = "oauth2"\nissuer = "{zoho.us.token_url}"\n'
        )
        if ids_of_owners:
            environment.setattr(SQLiteBackend, "id_for", lambda _, owner: owner[:32][::-1])
        environment.setenv("TOKENKEEP_CONFIG", str(path))
        environment.setenv("TOKENKEEP_STORE", self.url)

    def close(self):
        for each in self._opened:
            each.close()

    def open(self, url=None):
        """Open the store, or another one, as a process does that has just started."""
        store = open_store(url or self.url, clock=self.clock, make=True)
        self._opened.append(store)
        return store

    def keeper(self, store=None):
        """Return a keeper of a process that has just started, or of one that has a store."""
        return Keeper(store or self.open(), clock=self.clock)

    def login(self, user=None, *, at="us", environment="production", got_here=False, **fields):
        """
        Return what the provider gives a person; it is not saved.

        Without a *user* it is Ana's, and does not say so. *got_here*: by a code, not copied.
        """
        zoho, center, client = self.zoho, self.zoho[at], self.zoho.client
        person = user if user in [each.name for each in zoho.users] else None
        refresh_token = zoho.refresh_token(person, environment=environment)
        return Token(
            user=user,
            client_id=client.client_id,
            client_secret=client.client_secret,
            access_token=zoho.access_token(refresh_token=refresh_token),
            refresh_token=refresh_token,
            grant_token=zoho.grant_code(person) if got_here else None,
            expires_at=self.clock.now() + HOUR,
            issuer=center.token_url,
            api_domain=center.environment_url(environment),
        ).but(**fields)

    def pass_time(self, seconds):
        """Let time pass, here and at the provider."""
        self.clock.advance(seconds)
        self.zoho.clock.advance(seconds)

    @contextmanager
    def provider_down(self, endpoint="*"):
        """Let nobody reach the provider."""
        self.zoho.faults.add(endpoint=endpoint, kind="drop", times=None)
        yield
        self.zoho.faults.clear()

    def is_alive(self, token):
        """Tell whether the provider still knows the login that a token came from."""
        return self.zoho.id_of(token.refresh_token) in self.alive()

    def alive(self):
        """Return the logins of this stage that live at the provider, by their names there."""
        logins = self.zoho.state()["logins"]
        return {each["id"] for each in logins if each["status"] == "active"} - self._long_gone

    def living(self):
        """Return the rows that are not revoked or dead, as a process sees them that only looks."""
        self._eye = self._eye or self.open()
        return [row for row in self._eye.get_tokens() if row.status is Status.OK]

    def renew_all(self):
        """Renew each living row, as programs do with what they use."""
        for row in self.living():
            with suppress(LoginNeeded, ProviderRefused, TokenNotFound):
                self.keeper().renew(row.id)

    def logins(self):
        """Return the names at the provider of the logins in living rows."""
        return [self.zoho.id_of(row.refresh_token) for row in self.living()]

    def works(self, token):
        """Tell whether the provider takes both tokens now."""
        return self.zoho.is_active(token.access_token) and self.zoho.is_active(token.refresh_token)

    def end_everything(self):
        """Revoke every row, and let the sweep finish; return what is forgotten alive."""
        keeper = self.keeper()
        for row in keeper.tokens():
            keeper.revoke(row.id)
        keeper.sweep()
        return self.alive()

    @property
    def revocations(self):
        """How often the provider was asked to revoke something."""
        return self.zoho.counters.calls("revoke")
