"""Policies as they are written: each setting, each refusal, and what holds for whom."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from policy_stage import ANA, BEN, DAY, HOUR, NOON

from tokenkeep import ConfigurationError, Policies, Policy, Status, StoreTooNew, Token
from tokenkeep.policy import MOST, USE_NOTED_EVERY, said_span, seconds_of
from tokenkeep.token import Happening

KNOWN = Token(user=ANA, provider="zoho", client_id="client", environment="production")


def rule(**settings):
    return Policy(**{"name": "a"} | settings)


IMPOSSIBLE = {
    "nothing": ({}, "Policy 'a': says nothing"),
    "no name": ({"name": " ", "idle": DAY}, "name has to be text on one line, not ' '"),
    "two lines": ({"name": "a\nb", "idle": DAY}, "name has to be text on one line"),
    "name": ({"name": 1, "idle": DAY}, "name has to be text on one line, not 1"),
    "user": ({"user": 7, "idle": DAY}, "user has to be text, not 7"),
    "client": ({"client_id": "", "idle": DAY}, "client_id has to be text, not ''"),
    "text": ({"max_session": "12h"}, "max_session has to be seconds, not '12h'"),
    "bool": ({"idle": True}, "idle has to be seconds, not True"),
    "short": ({"max_session": 60.0}, "max_session is not possible: 1min. It may be 5min to"),
    "negative": ({"idle": -1}, "idle is not possible: -1s"),
    "for ever": ({"max_session": 4e8}, "is not possible: 400000000s. It may be 5min to 3650d"),
    "not a number": ({"idle": float("nan")}, "idle is not possible: nans"),
    "past": ({"keep_dead": -1.0}, "keep_dead is not possible: -1s. It may be 0s to"),
    "none": ({"at_most_per_user": 0}, "at_most_per_user has to be a whole number, 1 or more"),
    "half": ({"at_most_per_user": 1.5}, "has to be a whole number, 1 or more, not 1.5"),
    "yes": ({"keep_fresh": "yes"}, "keep_fresh has to be true or false, not 'yes'"),
    "action": ({"idle": DAY, "action": "end"}, "action has to be 'revoke' or 'delete', not 'end'"),
    "hours": ({"keep_fresh": True, "quiet_hours": "night"}, "quiet_hours has to be two times of"),
    "25 h": ({"keep_fresh": True, "quiet_hours": "22:00-25:00"}, "not '22:00-25:00'"),
    "60 min": ({"keep_fresh": True, "quiet_hours": "22:60-06:00"}, "not '22:60-06:00'"),
    "zone": ({"keep_fresh": True, "quiet_hours": "22:00-06:00 Mars/X"}, "knows no time zone"),
    "all day": ({"keep_fresh": True, "quiet_hours": "06:00-06:00"}, "is quiet all day"),
    "idle": (
        {"idle": DAY, "max_session": DAY},
        "idle never takes hold: max_session is not longer",
    ),
}


@pytest.mark.parametrize(("settings", "said"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible(settings, said):
    """What can't be is refused as it is written, and the error names policy and setting."""
    with pytest.raises(ConfigurationError) as refused:
        rule(**settings)

    assert said in str(refused.value)
    assert str(refused.value).startswith("Policy ")


FIGHTS = {
    "name": (rule(idle=DAY), rule(max_session=HOUR), "Two policies are called 'a'"),
    "value": (
        rule(max_session=12 * HOUR),
        rule(name="b", max_session=8 * HOUR),
        "one says max_session 12h, revoke, the other max_session 8h, revoke",
    ),
    "action": (
        rule(idle=DAY, user="x"),
        rule(name="b", idle=DAY, user="x", action="delete"),
        "fight: for the same tokens one says idle 1d, revoke, the other idle 1d, delete",
    ),
    "idle": (
        rule(idle=DAY),
        rule(name="b", max_session=HOUR),
        "Policies 'a' and 'b' fight: idle never takes hold, max_session is not longer",
    ),
    "quiet": (
        rule(idle=DAY, quiet_hours="22:00-06:00"),
        rule(name="b", keep_dead=DAY),
        "Policy 'a': quiet_hours change nothing, as no policy has keep_fresh",
    ),
}


@pytest.mark.parametrize(("one", "other", "said"), FIGHTS.values(), ids=FIGHTS)
def test_two_that_fight(one, other, said):
    """Two that say different things of the same tokens are named; of other tokens they may."""
    with pytest.raises(ConfigurationError) as refused:
        Policies([one, other])

    assert said in str(refused.value)
    assert Policies([rule(max_session=DAY), rule(name="b", max_session=HOUR, user="x")])


def test_so_many():
    """There is an end to how many there may be: each process reads them once a minute."""
    many = [rule(name=f"{n}", user=f"{n}", idle=DAY) for n in range(MOST + 1)]

    assert Policies(many[1:])
    with pytest.raises(ConfigurationError, match="These are 201 policies; 200 may be"):
        Policies(many)


HEAD = 'tokenkeep = 1\n[[policy]]\nname = "a"\n'
WRONG_FILES = {
    "empty": ("", "f is no policy file. It begins with the line: tokenkeep = 1"),
    "head": ("tokenkeep = true", "f is no policy file"),
    "cut": (HEAD + 'idle = "30', "f is not TOML: "),
    "cut key": (HEAD + "idle", "Is it written to its end? Nothing was changed"),
    "cut rule": (HEAD, "f: Policy 'a': says nothing"),
    "mistyped": (HEAD + 'idel = "1d"', "f: Policy 'a': there is an unknown setting 'idel'. Known"),
    "mistyped table": ('tokenkeep = 1\n[[polices]]\nname = "a"', "an unknown entry 'polices'"),
    "one table": ('tokenkeep = 1\n[policy]\nname = "a"', "there is an unknown entry 'policy'"),
    "list": ("tokenkeep = 1\npolicy = [1]", "f: A policy is no table"),
    "no name": ('tokenkeep = 1\n[[policy]]\nidle = "1d"', "Policy 'number 1': it has no name"),
    "bare": (HEAD + "idle = 3600", "f: Policy 'a': idle: 3600 is no time span. Write a number"),
    "unit": (HEAD + 'idle = "30 days"', "'30 days' is no time span"),
    "month": (HEAD + 'idle = "1m"', "'1m' is no time span. Write a number with its unit: 90s"),
}


@pytest.mark.parametrize(("text", "said"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_wrong_files(text, said):
    """A file that is half written, mistyped or no policy file is refused, and says where."""
    with pytest.raises(ConfigurationError) as refused:
        Policies.from_toml(text, "f")

    assert said in str(refused.value)


def test_newer_file():
    """A file for a newer tokenkeep is refused as that, whatever else is in it."""
    with pytest.raises(StoreTooNew, match=r"f is written for a newer tokenkeep \(tokenkeep = 2\)"):
        Policies.from_toml("tokenkeep = 2\nnew = 1", "f")


EVERY = rule(
    name='night "\\ shift\U0001f319',
    provider="zoho",
    client_id="c",
    user="*@example.com:*",
    environment="production",
    max_session=1_234_567.5,
    idle=12 * HOUR,
    keep_dead=0,
    at_most_per_user=3,
    keep_fresh=True,
    quiet_hours="22:00-06:00 Europe/Paris",
    action="delete",
)


def test_as_toml():
    """What is shown can be set again, and is the same then; numbers as they are meant, too."""
    policies = Policies([EVERY, rule(idle=300)])

    again = Policies.from_toml(policies.to_toml(), "shown")

    assert again == policies
    assert again.version == policies.version != Policies([EVERY]).version
    assert Policies.of_facts(policies.facts()).version == policies.version
    assert Policies.from_toml("tokenkeep = 1", "f") == Policies()
    assert Policies().version == "none"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("90s", 90), ("15min", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600),
     ("1.5 h", 5400), ("0s", 0), ("1234567.5s", 1_234_567.5)],
)  # fmt: skip
def test_spans(said, seconds):
    """A time span is a number and its unit; what is said of one can be written again."""
    assert seconds_of(said) == seconds
    assert seconds_of(said_span(seconds)) == seconds


SCOPES = {
    "any": ({}, True),
    "all of it": ({"provider": "zoho", "client_id": "client", "environment": "production"}, True),
    "pattern": ({"user": "*@example.com:*"}, True),
    "end": ({"user": "*:1"}, True),
    "in between": ({"user": "example"}, False),
    "other case": ({"user": "Ana*"}, False),
    "other user": ({"user": BEN}, False),
    "dot": ({"user": "ana@example-com:*"}, False),
    "other client": ({"client_id": "clien"}, False),
    "other environment": ({"environment": "sandbox"}, False),
}


@pytest.mark.parametrize(("scope", "is_meant"), SCOPES.values(), ids=SCOPES)
def test_whom(scope, is_meant):
    """A policy is for the tokens that have all it names; of users, * stands for anything."""
    limits = Policies([rule(max_session=HOUR, **scope)]).limits(KNOWN)

    assert (limits.max_session is not None) == is_meant
    nameless = Policies([rule(max_session=HOUR, **scope)]).limits(KNOWN.but(user=None))
    assert (nameless.max_session is not None) == ("user" not in scope and is_meant)


def test_strictest():
    """Of several for one token the strictest of each setting holds, whatever their order."""
    rules = [
        rule(max_session=DAY, keep_dead=7 * DAY, at_most_per_user=2),
        rule(name="b", user="ana*", max_session=12 * HOUR, at_most_per_user=5),
        rule(name="c", client_id="client", max_session=12 * HOUR, action="delete", idle=HOUR),
        rule(name="d", user="ben*", max_session=HOUR),
    ]
    for order in (rules, rules[::-1]):
        limits = Policies(order).limits(KNOWN)
        assert limits.max_session == (12 * HOUR, "c", "delete")
        assert limits.idle == (HOUR, "c", "delete")
        assert limits.keep_dead == (7 * DAY, "a", "revoke")
        assert limits.at_most == (2, "a", "revoke")


def token(**fields):
    return KNOWN.but(**{"logged_in_at": NOON, "last_used_at": NOON, "updated_at": NOON} | fields)


ENDS = {
    "session": ({"max_session": DAY}, {}, DAY),
    "used": ({"max_session": DAY}, {"last_used_at": NOON + HOUR}, DAY),
    "idle": ({"idle": DAY}, {}, DAY + HOUR),
    "used since": ({"idle": DAY}, {"last_used_at": NOON + HOUR}, DAY + 2 * HOUR),
    "never used": ({"idle": DAY}, {"last_used_at": None}, DAY + HOUR),
    "before the login": ({"idle": DAY}, {"last_used_at": NOON - DAY}, DAY + HOUR),
    "short idle": ({"idle": HOUR}, {}, 1.25 * HOUR),
    "the earlier": ({"idle": 3 * HOUR, "max_session": DAY}, {}, 3.75 * HOUR),
    "the earlier one": ({"idle": 23.5 * HOUR, "max_session": DAY}, {}, DAY),
    "no login known": ({"idle": HOUR, "max_session": DAY}, {"logged_in_at": None}, None),
    "dead": ({"max_session": DAY}, {"status": Status.LOGIN_NEEDED}, None),
    "deleted": ({"max_session": DAY}, {"ended": True}, None),
    "another's": ({"max_session": DAY, "user": BEN}, {}, None),
}


@pytest.mark.parametrize(("settings", "fields", "after"), ENDS.values(), ids=ENDS)
def test_when(settings, fields, after):
    """When a token ends is known from what is stored of it."""
    end = Policies([rule(**settings)]).ending(token(**fields))

    assert (end and end.at - NOON) == after


def test_use_before_it_was_set():
    """How seldom use was noted until everybody had taken the policy up is allowed for."""
    policies = Policies([rule(idle=HOUR)], since=NOON)

    used_before, used_since = token(last_used_at=NOON), token(last_used_at=NOON + 120)
    assert policies.ending(used_before).at == NOON + HOUR + USE_NOTED_EVERY
    assert policies.ending(used_since).at == NOON + 120 + HOUR + HOUR / 4


def by(name):
    return (Happening(what="revoked", at=NOON - 1, by=f"policy {name}"),)


DEAD, GONE = {"status": Status.LOGIN_NEEDED}, {"status": Status.REVOKED}
PURGES = {
    "kept": ({"keep_dead": DAY}, DEAD, DAY),
    "revoked": ({"keep_dead": DAY}, GONE, DAY),
    "at once": ({"keep_dead": 0.0}, GONE, 0),
    "works": ({"keep_dead": DAY}, {}, None),
    "deleted": ({"keep_dead": DAY}, {**GONE, "ended": True}, None),
    "by this one": ({"idle": DAY, "action": "delete"}, {**GONE, "history": by("a")}, 0),
    "by a former one": ({"idle": DAY, "action": "delete"}, {**GONE, "history": by("b")}, None),
    "by somebody": ({"idle": DAY, "action": "delete"}, GONE, None),
    "ever": ({"idle": DAY}, {**GONE, "history": by("a")}, None),
}


@pytest.mark.parametrize(("settings", "fields", "after"), PURGES.values(), ids=PURGES)
def test_dead_ones(settings, fields, after):
    """When what works no more is deleted; what a policy's own action deletes, at once."""
    end = Policies([rule(**settings)]).purging(token(**fields))

    assert (end and (end.at - NOON, end.policy, end.action)) == (
        None if after is None else (after, "a", "delete")
    )


def at(*when, zone="Europe/Berlin", fold=0):
    return datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).timestamp()


NIGHT = "22:00-06:00 Europe/Berlin"
QUIET = {
    "day": ([NIGHT], at(2026, 6, 1, 12), None),
    "evening": ([NIGHT], at(2026, 6, 1, 22), at(2026, 6, 2, 6)),
    "morning": ([NIGHT], at(2026, 6, 2, 5, 59), at(2026, 6, 2, 6)),
    "its end": ([NIGHT], at(2026, 6, 2, 6), None),
    "by day": (["13:00-14:00 Europe/Berlin"], at(2026, 6, 1, 13, 30), at(2026, 6, 1, 14)),
    "two": ([NIGHT, "05:00-07:00 Europe/Berlin"], at(2026, 6, 1, 23), at(2026, 6, 2, 7)),
    # At the end of March the hour from 2 to 3 is not there, in October it comes twice.
    "short night": ([NIGHT], at(2026, 3, 28, 23), at(2026, 3, 29, 6)),
    "long night": ([NIGHT], at(2026, 10, 24, 23), at(2026, 10, 25, 6)),
    "the hour that is not there": (
        ["02:15-02:45 Europe/Berlin"], at(2026, 3, 29, 3, 0), None,
    ),
    "ends in it": (
        ["01:00-02:30 Europe/Berlin"], at(2026, 3, 29, 1, 30), at(2026, 3, 29, 3, 30),
    ),
    "twice, first": (
        ["02:15-02:45 Europe/Berlin"], at(2026, 10, 25, 2, 30), at(2026, 10, 25, 2, 45),
    ),
    "twice, second": (
        ["02:15-02:45 Europe/Berlin"],
        at(2026, 10, 25, 2, 30, fold=1), at(2026, 10, 25, 2, 45, fold=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("hours", "now", "ends"), QUIET.values(), ids=QUIET)
def test_quiet_hours(hours, now, ends):
    """Quiet hours end when clocks there show it, also in the nights when they are changed."""
    rules = [rule(name=each, keep_fresh=True, quiet_hours=each, user=None, client_id=c)
             for each, c in zip(hours, (None, "client"), strict=False)]  # fmt: skip

    assert Policies(rules).quiet_until(KNOWN, now) == (ends or now)


def test_quiet_without_a_zone():
    """Hours without a time zone are UTC's."""
    policies = Policies([rule(keep_fresh=True, quiet_hours="22:00-06:00")])
    night = datetime(2026, 6, 1, 23, tzinfo=UTC).timestamp()

    assert policies.quiet_until(KNOWN, night) == night + 7 * HOUR
