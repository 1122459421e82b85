"""
Policies: which tokens end when, and which are renewed ahead of need. Pure.

Of several rules for one token the strictest counts. They are kept in the store, sealed in
its header, so that every process that opens it holds to them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tokenkeep.errors import ConfigurationError, StoreTooNew
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from tokenkeep.token import Token

FORMAT = 1
"""Of a policy file: what it begins with, ``tokenkeep = 1``."""

SHORTEST = 300.0
"""No session and no idle time is shorter, in seconds: clocks may be that far apart."""

LONGEST = 10 * 365 * 86_400.0
"""Nor longer."""

USE_NOTED_EVERY = 3600.0
"""How often it is noted that a token is in use, in seconds; more often where idle ones end."""

TAKEN_UP = 120.0
"""After so many seconds every process holds to policies that were set."""

MOST = 200
"""So many policies a store may have: each process reads them again once a minute."""

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)")
_HOURS = re.compile(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)(?:\s+(\S+))?")
_SCOPE = ("provider", "client_id", "user", "environment")
_SPANS = ("max_session", "idle", "keep_dead")
_SETS = (*_SPANS, "at_most_per_user", "keep_fresh", "quiet_hours")
_ENDS = ("max_session", "idle", "at_most_per_user")
_MOST_KNOWN = 10_000
_WORKS = Status.OK

Action = Literal["revoke", "delete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    One rule: which tokens, and what holds for them.

    Args:
        name: What it is called in refusals, reports and the history of tokens.
        provider: Only tokens of this provider. None means any.
        client_id: Only tokens of this client. None means any.
        user: Only tokens of users like this: ``*`` stands for anything, as in
            ``*@example.com:*``. None means any.
        environment: Only tokens of this environment. None means any.
        max_session: How long after its login a token ends, in seconds. None means never.
        idle: How long after it was last handed out a token ends, in seconds; up to a quarter
            more, an hour at most, since use is not noted each time. None means never.
        keep_dead: How long a token that is revoked, or needs a login, stays stored, in
            seconds. None means for ever.
        at_most_per_user: How many tokens of one user there may be; with one more the oldest
            login ends. None means any number.
        keep_fresh: Whether `tokenkeep.Keeper.keep_fresh` renews them ahead of need.
        quiet_hours: When it does not, such as ``22:00-06:00`` or ``22:00-06:00 Europe/Paris``;
            UTC unless it says. None means never.
        action: What becomes of a token that ends: ``revoke`` keeps its row, ``delete`` doesn't.
            At the provider it is revoked in both cases.

    Raises:
        ConfigurationError: Something of it is not possible; it is named.
    """

    name: str
    provider: str | None = None
    client_id: str | None = None
    user: str | None = None
    environment: str | None = None
    max_session: float | None = None
    idle: float | None = None
    keep_dead: float | None = None
    at_most_per_user: int | None = None
    keep_fresh: bool = False
    quiet_hours: str | None = None
    action: Action = "revoke"

    def __post_init__(self) -> None:
        is_name = isinstance(self.name, str) and self.name.strip() and self.name.isprintable()
        self._expect("name", self.name, bool(is_name), "text on one line")
        for name in (*_SCOPE, "quiet_hours"):
            value = getattr(self, name)
            self._expect(name, value, value is None or (isinstance(value, str) and value != ""))
        for name, least in (("max_session", SHORTEST), ("idle", SHORTEST), ("keep_dead", 0.0)):
            self._expect_span(name, getattr(self, name), least)
        most: object = self.at_most_per_user
        so = most is None or (type(most) is int and most >= 1)
        self._expect("at_most_per_user", most, so, "a whole number, 1 or more")
        fresh: object = self.keep_fresh
        self._expect("keep_fresh", fresh, isinstance(fresh, bool), "true or false")
        action: object = self.action
        self._expect("action", action, action in {"revoke", "delete"}, "'revoke' or 'delete'")
        for name in _SPANS:  # as a file says it: the same rules have the same version
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        if self.quiet_hours is not None:
            self._windows()
        if not any(getattr(self, name) for name in _SETS) and self.keep_dead is None:
            raise self._error("says nothing", f"It may say {', '.join(_SETS)}")
        if self.idle and self.max_session and self.idle >= self.max_session:
            raise self._error("idle never takes hold: max_session is not longer", "Leave one out")

    @property
    def scope(self) -> tuple[str | None, ...]:
        """Which tokens it is for."""
        return tuple(getattr(self, name) for name in _SCOPE)

    def _windows(self) -> tuple[time, time, tzinfo]:
        """Return when quiet hours begin and end, and in which time zone."""
        from zoneinfo import ZoneInfo

        hours = str(self.quiet_hours)
        form = "two times of day, such as 22:00-06:00, with a time zone behind or UTC"
        found = _HOURS.fullmatch(hours.strip())
        if found is None or max(found[1], found[3]) > "23" or max(found[2], found[4]) > "59":
            raise self._error(f"quiet_hours has to be {form}, not {hours!r}", None)
        begins, ends = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        try:
            zone: tzinfo = ZoneInfo(found[5]) if found[5] else UTC
        except (ValueError, OSError, LookupError) as exc:
            raise self._error(
                f"knows no time zone {found[5]!r}", "Is tzdata installed here?"
            ) from exc
        if begins == ends:
            raise self._error("is quiet all day: it would never renew", "Leave keep_fresh out")
        return begins, ends, zone

    def _expect_span(self, name: str, value: object, least: float) -> None:
        is_span = isinstance(value, int | float) and not isinstance(value, bool)
        self._expect(name, value, value is None or is_span, "seconds")
        if is_span and not least <= float(value) <= LONGEST:  # type: ignore[arg-type]
            said = f"{name} is not possible: {said_span(float(value))}"  # type: ignore[arg-type]
            raise self._error(said, f"It may be {said_span(least)} to {said_span(LONGEST)}")

    def _expect(self, name: str, value: object, so: bool, form: str = "text") -> None:  # noqa: FBT001
        if not so:
            raise self._error(f"{name} has to be {form}, not {value!r}", None)

    def _error(self, what: str, hint: str | None) -> ConfigurationError:
        return ConfigurationError(f"Policy {self.name!r}: {what}", hint=hint)


class Limit(NamedTuple):
    """How long something may last, in seconds; which policy says so, and what it does then."""

    seconds: float
    policy: str
    action: Action


class End(NamedTuple):
    """When a token ends by a policy, in epoch seconds, and what that does."""

    at: float
    policy: str
    action: Action


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one token: the strictest of each; None where nothing does."""

    max_session: Limit | None = None
    idle: Limit | None = None
    keep_dead: Limit | None = None
    at_most: Limit | None = None
    keep_fresh: bool = False
    quiet: tuple[tuple[time, time, tzinfo], ...] = ()


class Policies:
    """
    All rules of a store.

    Args:
        rules: Each with a name of its own.
        since: When they were set, in epoch seconds; a store knows. None means long ago.

    Raises:
        ConfigurationError: There are too many, or two of them fight: they have one name, or
            say different things of the same tokens.
    """

    def __init__(self, rules: Iterable[Policy] = (), *, since: float | None = None) -> None:
        self.rules: tuple[Policy, ...] = tuple(rules)
        if len(self.rules) > MOST:
            hint = "Let one policy be for several users: user = '*@example.com:*'"
            raise ConfigurationError(
                f"These are {len(self.rules)} policies; {MOST} may be", hint=hint
            )
        _refuse_fights(self.rules)
        self._taken_up = (since or 0.0) + TAKEN_UP
        self._patterns = [re.compile(translate(rule.user or "*")) for rule in self.rules]
        self._known: dict[tuple[str | None, ...], Limits] = {}
        idle = (rule.idle / 4 for rule in self.rules if rule.idle)
        self.notes_use_every: float = min([USE_NOTED_EVERY, *idle])
        """How often it has to be noted that a token is in use, in seconds."""

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policies) and other.rules == self.rules

    def __hash__(self) -> int:
        return hash(self.rules)

    def __repr__(self) -> str:
        return f"<Policies {', '.join(rule.name for rule in self.rules)}>"

    @property
    def version(self) -> str:
        """What tells these rules from any others; ``none`` without a rule."""
        text = json.dumps(self.facts(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8] if self.rules else "none"

    @classmethod
    def from_toml(cls, text: str, where: str) -> Policies:
        """
        Read rules from the text of a file; *where* is its name, for errors.

        Raises:
            ConfigurationError: It is not complete, or something in it is not known or possible.
            StoreTooNew: It is written for a newer tokenkeep.
        """
        import tomllib

        try:
            found = tomllib.loads(text)
        except (ValueError, RecursionError) as exc:
            hint = "Is it written to its end? Nothing was changed"
            raise ConfigurationError(f"{where} is not TOML: {exc}", hint=hint) from exc
        made_for = found.pop("tokenkeep", None)
        if type(made_for) is not int:
            hint = f"It begins with the line: tokenkeep = {FORMAT}"
            raise ConfigurationError(f"{where} is no policy file", hint=hint)
        if made_for > FORMAT:
            said = f"{where} is written for a newer tokenkeep (tokenkeep = {made_for})"
            raise StoreTooNew(said, hint="Upgrade tokenkeep; nothing was changed")
        rules = found.pop("policy", [])
        if found or not isinstance(rules, list):
            odd = next(iter(found), "policy")
            hint = "Each rule is a table [[policy]]"
            raise ConfigurationError(f"{where}: there is an unknown entry {odd!r}", hint=hint)
        try:
            return cls.of_facts([_in_seconds(rule) for rule in rules])
        except ConfigurationError as exc:
            raise type(exc)(f"{where}: {exc.what}", hint=exc.hint) from exc

    @classmethod
    def of_facts(
        cls, rules: Iterable[Mapping[str, Any]], *, since: float | None = None
    ) -> Policies:
        """Return the rules that `facts` has told; *since* and errors as of `Policies`."""
        made = []
        for number, rule in enumerate(rules, 1):
            name = str(rule.get("name", f"number {number}"))
            known = Policy.__dataclass_fields__
            odd = sorted(rule.keys() - known.keys())
            if odd or "name" not in rule:
                what = f"there is an unknown setting {odd[0]!r}" if odd else "it has no name"
                hint = f"Known are {', '.join(known)}"
                raise ConfigurationError(f"Policy {name!r}: {what}", hint=hint)
            made.append(Policy(**rule))
        return cls(made, since=since)

    def facts(self) -> list[dict[str, Any]]:
        """Return the rules as JSON can hold them, without what they don't say."""
        usual = Policy.__dataclass_fields__
        return [
            {name: value for name, value in asdict(rule).items() if value != usual[name].default}
            for rule in self.rules
        ]

    def to_toml(self) -> str:
        """Return the rules as a policy file, which `from_toml` reads."""
        lines = [f"tokenkeep = {FORMAT}"]
        for rule in self.facts():
            lines += ["", "[[policy]]"]
            for name, value in rule.items():
                said = said_span(value) if name in _SPANS else value
                lines.append(f"{name} = {_quoted(said) if isinstance(said, str) else _bare(said)}")
        return "\n".join([*lines, ""])

    def limits(self, token: Token) -> Limits:
        """Return what holds for a token."""
        key = token.provider, token.client_id, token.user, token.environment
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[key] = self._strictest(key)
        return known

    def ending(self, token: Token) -> End | None:
        """Return when a token that works ends. None if it does not, or does no more."""
        found = self.ends_at(token)
        return None if found is None else End(found[0], found[1].policy, found[1].action)

    def ends_at(self, token: Token) -> tuple[float, Limit] | None:
        """Return when a token that works ends, in epoch seconds, and by what; as `ending`."""
        # Each time a token is asked for: a plain tuple, and no other call, is half of the time.
        if not self.rules or token.status is not _WORKS or token.ended:
            return None
        began, limits = token.logged_in_at, self.limits(token)
        if began is None:  # a store of somebody's own has not kept it
            return None
        session, idle = limits.max_session, limits.idle
        ends = None if session is None else began + session[0]
        if idle is not None:
            used = token.last_used_at
            if used is None or used < began:
                used = began
            # It may have been used since that was noted: it is not each time, and was more
            # seldom by the policies before these.
            unnoted = USE_NOTED_EVERY if used < self._taken_up else self.notes_use_every
            idle_ends = used + idle[0] + unnoted
            if ends is None or idle_ends < ends:
                ends, session = idle_ends, idle
        return None if ends is None or session is None else (ends, session)

    def purging(self, token: Token) -> End | None:
        """Return when a token that works no more is deleted. None if it is not, or was."""
        if not self.rules or token.status is Status.OK or token.ended:
            return None
        keep, died_at = self.limits(token).keep_dead, token.updated_at or 0.0
        end = ended_by(token)
        deletes = {rule.name for rule in self.rules if rule.action == "delete"}
        if end is not None and end.policy in deletes:
            return End(died_at, end.policy, "delete")
        return None if keep is None else End(died_at + keep.seconds, keep.policy, "delete")

    def quiet_until(self, token: Token, at: float) -> float:
        """Return until when a token is not renewed ahead, in epoch seconds; *at* if it may be."""
        for _ in range(1 + len(self.limits(token).quiet)):  # one may begin as another ends
            ends = [_end_of(window, at) for window in self.limits(token).quiet]
            latest = max((end for end in ends if end is not None), default=at)
            if latest <= at:
                break
            at = latest
        return at

    def _strictest(self, key: tuple[str | None, ...]) -> Limits:
        rules = [
            rule
            for rule, pattern in zip(self.rules, self._patterns, strict=True)
            if all(
                wanted in (None, is_so) or (name == "user" and pattern.match(is_so or "\0"))
                for name, wanted, is_so in zip(_SCOPE, rule.scope, key, strict=True)
            )
        ]

        def least(name: str) -> Limit | None:
            said = (
                Limit(float(value), rule.name, rule.action)
                for rule in rules
                if (value := getattr(rule, name)) is not None
            )
            # Of two that end a token at the same time, the one that deletes it.
            return min(said, default=None, key=lambda it: (it.seconds, it.action != "delete"))

        return Limits(
            max_session=least("max_session"),
            idle=least("idle"),
            keep_dead=least("keep_dead"),
            at_most=least("at_most_per_user"),
            keep_fresh=any(rule.keep_fresh for rule in rules),
            quiet=tuple(rule._windows() for rule in rules if rule.quiet_hours),  # noqa: SLF001
        )


def expect_none_with(name: str, policies: Policies, why: str) -> None:
    """Refuse rules that a store can't hold to: *why* it can't to one that says *name*."""
    odd = next((rule.name for rule in policies.rules if getattr(rule, name) is not None), None)
    if odd is not None:
        hint = f"Leave {name} out, or use another store: docs/policies.md"
        raise ConfigurationError(f"Policy {odd!r}: {why}", hint=hint)


def ended_by(token: Token) -> End | None:
    """Return which policy has ended a token, and when. None if none has."""
    last = next((each for each in reversed(token.history) if each.what == "revoked"), None)
    begins = by_policy("")
    if token.status is not Status.REVOKED or not (last and last.by and last.by.startswith(begins)):
        return None
    return End(last.at, last.by.removeprefix(begins), "revoke")


def by_policy(name: str) -> str:
    """Return who has ended a token, in its history, if a policy did."""
    return f"policy {name}"


def seconds_of(span: object) -> float:
    """
    Return the seconds of a time span such as ``90s``, ``15min``, ``12h``, ``7d``, ``2w``.

    Raises:
        ConfigurationError: It is none.
    """
    found = _SPAN.fullmatch(span.strip()) if isinstance(span, str) else None
    if found is None:
        hint = "Write a number with its unit: 90s, 15min, 12h, 7d, 2w"
        raise ConfigurationError(f"{span!r} is no time span", hint=hint)
    return float(found[1]) * _UNITS[found[2]]


def said_span(seconds: float) -> str:
    """Return a time span as `seconds_of` takes it."""
    for unit, size in reversed(_UNITS.items()):
        if unit != "w" and seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:f}".rstrip("0").rstrip(".") + "s"


def _in_seconds(rule: object) -> dict[str, Any]:
    if not isinstance(rule, dict):
        raise ConfigurationError("A policy is no table", hint="Each rule is a table [[policy]]")
    changed = dict(rule)
    for name in _SPANS:
        if name in rule:
            try:
                changed[name] = seconds_of(rule[name])
            except ConfigurationError as exc:
                said = f"Policy {str(rule.get('name'))!r}: {name}: {exc.what}"
                raise ConfigurationError(said, hint=exc.hint) from exc
    return changed


def _refuse_fights(rules: tuple[Policy, ...]) -> None:
    said: dict[tuple[object, ...], tuple[Policy, str]] = {}
    names: set[str] = set()
    for rule in rules:
        if rule.name in names:
            raise ConfigurationError(f"Two policies are called {rule.name!r}", hint="Rename one")
        names.add(rule.name)
        for setting in _SETS:
            value = getattr(rule, setting)
            if value is None or value is False:
                continue
            what = f"{setting} {shown(setting, value)}"
            if setting in _ENDS:
                what += f", {rule.action}"
            other, was = said.setdefault((setting, *rule.scope), (rule, what))
            if was != what:
                raise ConfigurationError(
                    f"Policies {other.name!r} and {rule.name!r} fight: for the same tokens one "
                    f"says {was}, the other {what}",
                    hint="Leave one out, or say for which tokens each is",
                )
    for (name, *scope), (shorter, _) in said.items():
        longer, _ = said.get(("max_session", *scope), (shorter, ""))
        if name == "idle" and (shorter.idle or 0.0) >= (longer.max_session or LONGEST + 1):
            raise ConfigurationError(
                f"Policies {shorter.name!r} and {longer.name!r} fight: idle never takes hold, "
                "max_session is not longer",
                hint="Leave one out",
            )
    if any(rule.quiet_hours for rule in rules) and not any(rule.keep_fresh for rule in rules):
        quiet = next(rule.name for rule in rules if rule.quiet_hours)
        raise ConfigurationError(
            f"Policy {quiet!r}: quiet_hours change nothing, as no policy has keep_fresh",
            hint="They are for renewals ahead of need: add keep_fresh = true",
        )


def shown(name: str, value: Any) -> str:
    """Return what a setting says, as people read it."""
    return said_span(value) if name in _SPANS else _bare(value)


def _bare(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(text: str) -> str:
    """Return a string of TOML; what a terminal would act on is escaped."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    shown = (c if c.isprintable() else rf"\U{ord(c):08x}" for c in plain)
    return '"' + "".join(shown) + '"'


def _end_of(window: tuple[time, time, tzinfo], at: float) -> float | None:
    """Return when a window of quiet hours that a time is in ends. None if it is in none."""
    begins, ends, zone = window
    local = datetime.fromtimestamp(at, zone)
    now = local.timetz().replace(tzinfo=None)
    if begins < ends:
        is_in, days = begins <= now < ends, 0
    else:
        is_in, days = now >= begins or now < ends, int(now >= begins)
    if not is_in:
        return None
    end = datetime.combine(local.date() + timedelta(days=days), ends, zone)
    return end.replace(fold=local.fold).timestamp()  # an hour that comes twice is quiet twice


NO_POLICIES = Policies()
"""What holds where nobody has set any."""
