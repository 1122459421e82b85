"""Commands about policies: which tokens end when."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from tokenkeep.backends import private_file
from tokenkeep.cli.session import Columns, Session, counted, listed, missing, pass_session
from tokenkeep.cli.tokens import confirm, foresee
from tokenkeep.clock import moment
from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.policy import NO_POLICIES, Policies, shown
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.policy import Policy
    from tokenkeep.vault import Vault

_COLUMNS: Columns = {"change": 8, "policy": 20, "says": 0}
_ENDS = ("max_session", "idle", "keep_dead", "at_most_per_user")
_FILE = click.argument("file", metavar="FILE")
_YES = click.option("--yes", is_flag=True, help="Don't ask.")
_TAKES_HOLD = (
    "Every process holds to them within a minute; "
    "the next tokenkeep sweep looks at each token once"
)


@click.group()
def policy() -> None:
    """Say which tokens end when: check, set and show the policies of the store."""


@policy.command()
@_FILE
@pass_session
def check(session: Session, file: str) -> None:
    """
    Look whether FILE can be set, and what that would change in the store, if there is one.

    FILE is TOML; "-" is standard input.
    """
    new = _read(file)
    if missing(session.url()):
        told = f"{counted(len(new.rules), 'policy', 'policies')}, version {new.version}, in order"
        session.tell(f"{told}; there is no store yet", {"version": new.version, "changes": None})
        return
    vault = session.vault()
    _expect_known(new, vault)
    changes = list(_changes(vault.policies, new))
    _tell(session, changes)
    told = listed(_counts(changes)) or "nothing would change"
    _told(session, changes, f"Version {new.version}, in order: {told}", new)


@policy.command("set")
@_FILE
@_YES
@click.option("--dry-run", is_flag=True, help="Only list which tokens would end for whom.")
@pass_session
def set_policies(session: Session, file: str, *, yes: bool, dry_run: bool) -> None:
    """
    Let the policies in FILE hold from now on, and no others.

    FILE is TOML; "-" is standard input. It is checked first. Asks if one of those that hold
    now is gone or looser in it.
    """
    new, vault = _read(file), session.vault()
    _expect_known(new, vault)
    if dry_run:
        foresee(session, session.keeper().planned(new))
        return
    changes = list(_changes(vault.ruled.policies, new))
    _tell(session, changes)
    if loosened := [each for each in changes if each.loosens]:
        said = ", ".join(f"{each.policy!r} is {each.change}" for each in loosened)
        confirm(f"Less than now would end: {said}. Set them?", yes=yes)
    told = f"These are the policies it has, version {new.version}"
    if changes:
        vault.set_policies(new)
        told = f"Set {counted(len(new.rules), 'policy', 'policies')}, version {new.version}. "
        told += _TAKES_HOLD
    _told(session, changes, told, new)


@policy.command()
@pass_session
def show(session: Session) -> None:
    """Print the policies of the store, as "tokenkeep policy set" takes them."""
    vault = session.vault()
    ruled, is_applied = vault.ruled, vault.is_applied
    rules = ruled.policies
    head = f"# Version {rules.version}"
    if ruled.at is not None:
        looked = (
            "all tokens were looked at" if is_applied else "the next sweep looks at each token"
        )
        head += f", set {moment(ruled.at)} by {ruled.by}; {looked}"
    facts: dict[str, object] = {"version": rules.version, "set_at": ruled.at, "set_by": ruled.by}
    facts |= {"applied": is_applied, "policies": rules.facts()}
    session.answer(f"{head}\n{rules.to_toml()}".rstrip("\n"), facts)


@policy.command()
@_YES
@pass_session
def clear(session: Session, *, yes: bool) -> None:
    """Let no policy hold any more. What they have ended stays so."""
    vault = session.vault()
    changes = list(_changes(vault.ruled.policies, NO_POLICIES))
    if changes:
        confirm(f"Let go of {counted(len(changes), 'policy', 'policies')}?", yes=yes)
        vault.set_policies(NO_POLICIES)
    told = f"Let go of {counted(len(changes), 'policy', 'policies')}; what they ended stays so"
    _told(session, changes, told if changes else "There was no policy", NO_POLICIES)


def _expect_known(policies: Policies, vault: Vault) -> None:
    """Refuse what the store can't hold to, and names that nobody knows: they protect nobody."""
    vault.expect_possible(policies)
    for rule in policies.rules:
        if rule.provider or rule.environment:
            named = Token(provider=rule.provider, environment=rule.environment)
            try:
                vault.providers.expect_known(named)
            except UnknownName as exc:
                raise UnknownName(f"Policy {rule.name!r}: {exc.what}", hint=exc.hint) from exc


class _Change(NamedTuple):
    policy: str
    change: str
    says: str
    loosens: bool


def _changes(was: Policies, new: Policies) -> Iterator[_Change]:
    """Yield what is new, changed and gone; a change that lets a token live longer is looser."""
    old = {rule.name: rule for rule in was.rules}
    for rule in new.rules:
        before = old.pop(rule.name, None)
        if before is None:
            yield _Change(rule.name, "new", _said(rule), loosens=False)
        elif before != rule:
            loosens = _is_looser(rule, before)
            change = "looser" if loosens else "changed"
            yield _Change(rule.name, change, f"{_said(rule)} (was: {_said(before)})", loosens)
    for rule in old.values():
        yield _Change(rule.name, "gone", _said(rule), loosens=True)


def _is_looser(rule: Policy, before: Policy) -> bool:
    pairs = [(getattr(rule, name), getattr(before, name)) for name in _ENDS]
    return (
        any(was is not None and (now is None or now > was) for now, was in pairs)
        or any(
            now not in (None, "*", was) for now, was in zip(rule.scope, before.scope, strict=True)
        )
        or (before.action, rule.action) == ("delete", "revoke")
    )


def _said(rule: Policy) -> str:
    """Return what a rule says, on one line."""
    (facts,) = Policies([rule]).facts()
    return ", ".join(f"{name} {shown(name, facts[name])}" for name in facts if name != "name")


def _counts(changes: list[_Change]) -> dict[str, int]:
    kinds = ("new", "changed", "looser", "gone")
    return {kind: sum(each.change == kind for each in changes) for kind in kinds}


def _tell(session: Session, changes: list[_Change]) -> None:
    if not session.json and not session.quiet:
        session.rows(_COLUMNS, (each._asdict() for each in changes))


def _told(session: Session, changes: list[_Change], sentence: str, new: Policies) -> None:
    facts = {"version": new.version, "changes": [each._asdict() for each in changes]}
    session.tell(sentence, facts)


def _read(file: str) -> Policies:
    """Return the policies of a file, or of standard input."""
    if file == "-":
        where, text = "standard input", _piped()
    else:
        where, path = file, Path(file)
        found = private_file.read(
            path, "The policy file", variable="FILE", secret=False, private=True
        )
        if found is None:
            raise ConfigurationError(f"There is no policy file {file}", hint="Nothing was changed")
        text = found
    return Policies.from_toml(text, where)


def _piped() -> str:
    read = sys.stdin.buffer.read(private_file.LONGEST + 1)
    if len(read) > private_file.LONGEST:
        raise ConfigurationError(f"standard input is longer than {private_file.LONGEST:,} bytes")
    try:
        return read.decode()
    except UnicodeDecodeError:
        raise ConfigurationError("standard input is not text") from None
