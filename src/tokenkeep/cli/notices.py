"""Commands about whom to tell of deaths, recoveries and outages."""

from __future__ import annotations

import click

from tokenkeep.cli.session import Columns, Session, pass_session
from tokenkeep.clock import Clock
from tokenkeep.config import settings
from tokenkeep.errors import ConfigurationError
from tokenkeep.notices import facts
from tokenkeep.token import Notice, Token

_COLUMNS: Columns = {"state": 7, "name": 13, "text": 0}


@click.group()
def notices() -> None:
    """Say whom to tell that a token has died, or works again, or its provider is down."""


@notices.command("test")
@pass_session
def test_notice(session: Session) -> None:
    """
    Tell all that are configured that this is a test.

    Exits with 1 if one of them has not taken it. The store is not looked at.
    """
    configured = settings(store=session.store)
    whom = configured.notices
    if not whom:
        raise ConfigurationError(
            "Nobody is named to be told",
            hint="Name a command or a webhook in [notices] of the configuration file",
        )
    now = Clock().now()
    somebody = Token(id="tk_test", user="test", provider=configured.provider)
    link = whom.login_link(somebody)
    told = facts(Notice(what="test", at=now), provider=configured.provider, login_link=link)
    answers = whom.tell(told, now)
    rows = (
        {"state": "failed" if why else "ok", "name": name, "text": why or "has taken it"}
        for name, why in answers.items()
    )
    session.rows(_COLUMNS, rows)
    click.get_current_context().exit(1 if any(answers.values()) else 0)
