"""What is told of deaths, recoveries and outages, and when next: pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tokenkeep import Notice, Renewal, Status, Token, notices

NOW = 1_800_000_000.0
DAY = 86_400.0
MINUTE = 60.0


def at(seconds):
    return NOW + seconds


DEAD = notices.died(None, NOW, "invalid_grant")
TRIED = notices.claimed(DEAD, NOW)
TOLD = notices.told(TRIED, ["command"], is_done=True)


def row(notice, status=Status.LOGIN_NEEDED, **more):
    return Token(id="tk_1", status=status, renewal=Renewal(notice=notice), **more)


def test_a_death_is_due_at_once():
    """It is told from the moment on in which it is written, and no more once it is told."""
    assert NOW == notices.next_tell(row(DEAD))
    assert NOW + MINUTE == notices.next_tell(row(TRIED))
    assert notices.next_tell(row(TOLD)) is None
    assert notices.next_tell(row(None)) is None


@pytest.mark.parametrize(
    ("notice", "status", "more"),
    [
        (DEAD, Status.OK, {}),  # somebody insists on one renewal more
        (DEAD, Status.REVOKED, {}),
        (DEAD, Status.LOGIN_NEEDED, {"ended": True}),
        (Notice(what="recovered", at=NOW, next_at=NOW), Status.LOGIN_NEEDED, {}),
    ],
)
def test_only_what_is_so_is_due(notice, status, more):
    """What is no longer so, or not now, is not told."""
    assert notices.next_tell(row(notice, status, **more)) is None


@pytest.mark.parametrize(
    ("before", "due"),
    [
        (None, None),
        (DEAD, "nobody"),
        (TRIED, at(100) + notices.TELLING),
        (TOLD, at(100)),
    ],
    ids=["alive", "untold", "on its way", "told"],
)
def test_recovery(before, due):
    """It is told if somebody may know of the death, behind that; else nobody hears of either."""
    found = notices.recovered(before, at(100))

    if due == "nobody":
        assert (found.what, found.next_at) == ("recovered", None)
        assert notices.recovered(found, at(200)) is None
    else:
        assert due == (found and found.next_at)
        assert notices.recovered(found, at(200)) == found


def test_dead_again():
    """A second death is a new one; another rejection of a dead one is none."""
    assert DEAD is notices.died(DEAD, at(5), "again")
    assert TOLD is notices.died(TOLD, at(5), "again")
    owed = notices.recovered(TOLD, at(10))

    again = notices.died(owed, at(20), "again")

    assert ("login_needed", at(20)) == (again.what, again.at)
    assert again.next_at >= at(20) + notices.TELLING
    # Whoever was told of the first one has to hear that it works.
    assert "recovered" == notices.recovered(again, at(30)).what
    assert notices.recovered(again, at(30)).next_at is not None
    # All is told: as if nothing had been.
    done = notices.told(owed, ["command"], is_done=True)
    assert 0 == notices.died(done, at(20), "again").tries


def test_tries():
    """Thirty tries take longer than a day, an hour apart at most; then it is given up."""
    notice, when, pauses = DEAD, NOW, []
    while notice.next_at is not None:
        notice = notices.claimed(notice, when)
        pauses.append(notice.next_at - when)
        when = notice.next_at
        notice = notices.told(notice, [], is_done=False)

    assert pauses[:4] == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE]
    assert (max(pauses), len(pauses)) == (3600.0, 30)
    assert when - NOW > DAY


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_clock_that_jumps(jump):
    """Invariant 12: a clock that is a day off costs one try at most, and ends none early."""
    wrong = notices.claimed(DEAD, at(jump))

    assert notices.told(wrong, [], is_done=False).next_at is not None
    assert 1 == wrong.tries


def test_each_of_several_is_told_once():
    """What one has taken is remembered until all have."""
    left = notices.told(TRIED, ["command"], is_done=False)
    left = notices.told(notices.claimed(left, at(60)), [], is_done=False)

    assert left.told == ("command",)
    assert left.next_at is not None
    assert notices.told(left, ["webhook"], is_done=True).told == ("command", "webhook")


def test_id():
    """The same each time something is told, another one for all else; without what is secret."""

    def ids(*told, **about):
        return {notices.facts(each, **about)["id"] for each in told}

    assert 1 == len(ids(DEAD, TRIED, TOLD, token_id="tk_1"))
    assert ids(DEAD, token_id="tk_1") != ids(DEAD, token_id="tk_2")
    assert ids(DEAD, token_id="tk_1") != ids(notices.died(None, at(1), "x"), token_id="tk_1")


def test_copied():
    """The store that a row comes from tells; the copy knows what was told."""
    assert notices.next_tell(row(notices.moved(DEAD))) is None
    assert notices.recovered(notices.moved(TRIED), at(9)).next_at == at(9)
    assert notices.moved(None) is None


# Outages


def down(before=None, seconds=0.0, token_id="tk_1"):
    return notices.down(
        before, provider="zoho", token_id=token_id, error="no answer", now=at(seconds)
    )


def told(outage):
    tried = notices.claimed(outage.notice, outage.notice.next_at)
    return replace(outage, is_told=True, notice=notices.told(tried, ["c"], is_done=True))


def test_short_outage():
    """One that is over before anybody tells it is told to nobody."""
    began = down()

    assert at(notices.OUTAGE_LASTS) == began.notice.next_at
    assert notices.up(began, at(30)) is None
    assert notices.up(None, at(30)) is None


def test_outage_of_days():
    """It is told once, however often it is met; and its end, with how long it was."""
    outage = told(down())
    for hour in range(1, 72):
        outage = down(outage, hour * 3600)
        assert outage.notice.next_at is None

    over = notices.up(outage, at(3 * DAY))

    assert "outage_over" == over.notice.what
    assert at(3 * DAY) + notices.OVER_LASTS == over.notice.next_at
    assert 3 * DAY == notices.facts(over.notice, issuer="i")["lasted"]
    assert over is notices.up(over, at(3 * DAY + 1))


def test_flapping():
    """One that comes back while its end is not told goes on: nobody hears of the pause."""
    outage = told(down())
    for turn in range(5):
        outage = down(notices.up(outage, at(turn * 200 + 100)), turn * 200 + 200)

    assert ("outage", NOW) == (outage.notice.what, outage.notice.at)
    assert outage.notice.next_at is None

    never = notices.claimed(down().notice, at(60))  # nobody has taken it
    back = down(notices.up(replace(down(), notice=never), at(70)), 80)
    assert back.notice.next_at is not None


def test_seen():
    """That it goes on is written every few minutes only, that others meet it at once."""
    outage = down()

    assert outage == down(outage, 200)
    assert at(400) == down(outage, 400).seen_at
    assert down(outage, 1, "tk_2").is_wide


def test_packed():
    """A note brings outages back as they were, whatever a later version has put there besides."""
    outages = {"https://a/": told(down()), "https://b/": down()}
    facts = notices.packed(outages)

    assert outages == notices.unpacked(facts)
    later = {
        issuer: text.replace('"told":', '"later": 1, "told":') for issuer, text in facts.items()
    }
    assert outages == notices.unpacked(later)
    assert outages == notices.unpacked(facts | {"https://c/": "{}", "https://d/": "[", "e": "1"})
