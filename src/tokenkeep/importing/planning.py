"""What there is to do for each row of a source, and doing it."""

from __future__ import annotations

import secrets
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tokenkeep import saving
from tokenkeep.clock import Clock
from tokenkeep.errors import (
    ConfigurationError,
    DuplicateRefreshToken,
    StaleToken,
    StoreConflict,
    StoreError,
)
from tokenkeep.importing.clashes import Clashes
from tokenkeep.importing.row import Action, Row
from tokenkeep.swapping import OF_THE_STORE, attempts
from tokenkeep.token import Status, Token, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.importing.source import Source
    from tokenkeep.vault import Vault

_FILLED = (
    "user", "client_id", "client_secret", "access_token", "refresh_token", "grant_token",
    "redirect_uri", "issuer", "api_domain", "data_center", "environment",
)  # fmt: skip
"""What an import adds to a stored token that lacks it."""

_OVERTAKEN = (StoreConflict, StaleToken, DuplicateRefreshToken)
"""What a save meets where others have saved since a row was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What is to be done with one row, or was.

    Args:
        row: Which one.
        action: What.
        reason: Why, without a secret. None if there is nothing to say.
        token: What is saved; what the row holds, if nothing is. None if it holds nothing.
        stored: What the store has of it: what it was judged by, and once it
            was saved, that. None if there is nothing.
    """

    row: Row
    action: Action
    reason: str | None = None
    token: Token | None = None
    stored: Token | None = None


class Importer:
    """
    Take over the tokens of a source.

    Nothing is ever doubled, and what is stored is never replaced by another
    login (unless *replace* says so) or by an older access token. That holds
    for what others save meanwhile too: a row is written over what it was
    judged by, or judged anew. So an import can be run again, and while the
    store is in use.

    Args:
        source: Where the tokens are.
        store: Where they go.
        data_center: Of rows that don't say theirs, e.g. ``us``. None means
            that such a row is an error.
        environment: Of rows that don't say theirs.
        replace: Whether another login of a user takes the stored one's place.
        clock: The time. None means the operating system's.
    """

    def __init__(
        self,
        source: Source,
        store: Vault,
        *,
        data_center: str | None = None,
        environment: str = "production",
        replace: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock or Clock()
        self._replace = replace
        self._given = _place(store, data_center, environment)

    def plan(self, on_read: Callable[[int], None] | None = None) -> Iterator[Step]:
        """
        Yield what is to be done, row by row; nothing is written.

        The whole source is read before the first row is judged, so a damaged
        one is refused before anything is done.

        Args:
            on_read: Called with the number of rows read so far, before the
                first is judged. None means that nobody has to know.

        Raises:
            ConfigurationError: The source is damaged, or does not say where
                its tokens are valid.
            StoreError: The store can't be read.
        """
        with closing(Clashes()) as clashes:
            for count, row in enumerate(self._source.rows(), 1):
                if row.token is not None:
                    clashes.add_row(row.number, self._located(row))
                if on_read is not None:
                    on_read(count)
            for row in self._source.rows():
                yield self._step(row, clashes)

    def apply(self, step: Step) -> Step:
        """
        Do one step, if what it was judged by is still what is stored; else judge it anew.

        The id that the row has in the source leads to its token from now on.

        Returns:
            What was done, with the token as stored; `Action.FAILED` if the
            store does not take this one.

        Raises:
            StoreError: The store can't be used.
        """
        if step.token is None:
            return step
        token = self._located(step.row)
        try:
            if step.stored is not None and step.stored.user != token.user:
                # Its user may have got a row of their own, with a later login.
                step = self._judged(step.row, token)
            for _ in attempts(user=token.user):
                try:
                    return self._with_its_id(self._done(step))
                except _OVERTAKEN:
                    step = self._judged(step.row, token)
        except OF_THE_STORE:
            raise
        except StoreError as exc:
            return Step(row=step.row, action=Action.FAILED, reason=exc.what, token=token)
        raise AssertionError  # attempts() has raised

    def _done(self, step: Step) -> Step:
        """
        Write what a step says.

        Raises:
            StoreError: One of `_OVERTAKEN` if others have written since; nothing was done.
        """
        if step.token is None or step.action not in (Action.NEW, Action.UPDATE):
            return step
        # Where it comes from it may go on being used, whatever grant it came of.
        token = saving.cleaned(step.token).with_renewal(given=True)
        now = self._clock.now()
        if step.stored is None:
            # Not saved: that would take a login for newer that somebody has just made.
            row = saving.first(token, login=secrets.token_hex(16), now=now)
            return replace(step, stored=self._store.adopt(row.but(id=new_id())))
        as_judged = token.but(id=step.stored.id, version=step.stored.version)
        return replace(step, stored=self._store.save_token(as_judged))

    def _with_its_id(self, step: Step) -> Step:
        """Let the row's id in the source lead to its token; one that is taken is told."""
        if not (step.stored and step.token and step.row.source_id):
            return step
        if not saving.same_thing(step.stored, step.token):
            return step
        try:
            self._store.add_id(step.row.source_id, step.stored)
        except StoreConflict as exc:
            taken = f"its id leads to token {exc.token_id} already"
            return replace(step, reason=f"{step.reason}; {taken}" if step.reason else taken)
        return step

    def _step(self, row: Row, clashes: Clashes) -> Step:
        if row.token is None:
            return Step(row=row, action=Action.SKIP, reason=row.problem)
        token = self._located(row)
        counts = clashes.instead(row.number, token)
        if counts is not None:
            again = f"row {counts} is the same, and counts"
            return Step(row=row, action=Action.SKIP, reason=again, token=token)
        return self._judged(row, token)

    def _judged(self, row: Row, token: Token) -> Step:
        """Say what is to be done with a row by what is stored now."""
        try:
            _, rows = self._store.look(token)
            plan = saving.plan(token, rows, login="", now=self._clock.now())
        except DuplicateRefreshToken as exc:
            whose = f" of {exc.user}" if exc.user else ""
            reason = f"token {exc.token_id}{whose} of the store has the same refresh token"
            return Step(row=row, action=Action.SKIP, reason=reason, token=token)
        except StaleToken as exc:
            reason = f"token {exc.token_id} of the store had this refresh token, and has no more"
            stored = self._store.reread(str(exc.token_id))
            return Step(row=row, action=Action.SKIP, reason=reason, token=token, stored=stored)
        if plan.stored is None:
            return Step(row=row, action=Action.NEW, token=token)
        return replace(self._compared(row, token, plan.stored), stored=plan.stored)

    def _compared(self, row: Row, token: Token, stored: Token) -> Step:
        """Say what is to be done with a row whose token is stored, in whatever state."""
        # With the same refresh token it is the same one, whether or not its grant is known.
        has_it = token.refresh_token is not None and token.refresh_token == stored.refresh_token
        if saving.is_login(stored, token) and not has_it:
            if self._replace:
                reason = "takes the place of another login of this user"
                return Step(row=row, action=Action.UPDATE, reason=reason, token=token)
            reason = "the store has another login of this user; --replace takes this one"
            return Step(row=row, action=Action.SKIP, reason=reason, token=token)
        if stored.status is not Status.OK:
            reason = f"stored as {stored.status.value}, and stays so"
            return Step(row=row, action=Action.NOTHING, reason=reason, token=token)
        changes = {name: getattr(token, name) for name in _FILLED if not getattr(stored, name)}
        added = {name: value for name, value in changes.items() if value}
        if _is_newer(token, stored):
            added |= {"access_token": token.access_token, "expires_at": token.expires_at}
        if not added:
            older = token.access_token and token.access_token != stored.access_token
            why = "the stored access token is newer" if older else None
            return Step(row=row, action=Action.NOTHING, reason=why, token=token)
        reason = f"adds {', '.join(sorted(added))}"
        return Step(row=row, action=Action.UPDATE, reason=reason, token=stored.but(**added))

    def _located(self, row: Row) -> Token:
        token = row.token or Token()
        if not token.api_domain:
            if self._given is None:
                raise ConfigurationError(
                    f"Row {row.number} of {self._source.name} does not say where its token is "
                    "valid: older generations of the SDK did not write it",
                    hint="Say it: --data-center us, and --environment if it is not production",
                )
            token = token.but(**self._given)
        return self._store.providers.locate(token)


def _place(
    store: Vault, data_center: str | None, environment: str
) -> dict[str, str | None] | None:
    """Return what is filled into rows that don't say where they are valid."""
    if data_center is None:
        return None
    from tokenkeep.providers.zoho import Zoho

    zoho = store.providers.of(Token(provider="zoho"))
    if not isinstance(zoho, Zoho):
        return {"data_center": data_center, "environment": environment}
    center = zoho.table.by_name(data_center)
    return {
        "api_domain": center.api_domain(environment),
        "data_center": center.name,
        "environment": environment.strip().lower(),
    }


def _is_newer(token: Token, stored: Token) -> bool:
    """Tell whether a row's access token ends later than the stored one."""
    return bool(
        token.access_token
        and token.access_token != stored.access_token
        and token.expires_at is not None
        and (stored.expires_at is None or token.expires_at > stored.expires_at)
    )
