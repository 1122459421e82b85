"""What happened, in the log."""

from __future__ import annotations

import logging

from tokenkeep import events
from tokenkeep.events import Event


def test_a_name_makes_no_line_of_its_own(caplog):
    """Nobody's name, and no provider's answer, forges a line of the log; other alphabets stay."""
    forged = "Zoë 😀\nCRITICAL tokenkeep: all is lost\r\x1b[2J"
    event = Event(name="renewed", token_id=forged, user=forged, at=0.0, details={forged: forged})

    with caplog.at_level(logging.INFO, "tokenkeep"):
        events.log(event)

    (message,) = caplog.messages
    assert message.isprintable()
    assert message.count(r"Zoë 😀\nCRITICAL") == 4
