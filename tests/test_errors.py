"""The error tree: as drawn, as printed, and safe to pass on; and the log."""

from __future__ import annotations

import inspect
import logging
import pickle
import re

import pytest

import tokenkeep
from tokenkeep import errors, events
from tokenkeep.events import Event

ALL = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if each.__module__ == errors.__name__
]


def test_the_drawn_tree_is_the_real_one():
    """Each class stands in the drawing, under its real parent; and each can be caught by name."""
    above, drawn = ["Exception"], {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ((?:[│ ]   )*)(?:[├└]── )?(\w+)(?:  |$)", line)
        if match:
            depth = len(match[1]) // 4 + ("── " in line)
            drawn[match[2]] = above[depth]
            above[depth + 1 :] = [match[2]]

    assert {each.__name__: each.__base__.__name__ for each in ALL} == drawn
    assert drawn.keys() <= set(tokenkeep.__all__)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "It broke"),
        ({"token_id": "7f", "user": "ana"}, "It broke (token 7f, user ana)"),
        ({"user": "ana", "hint": "Mend it"}, "It broke (user ana). Mend it"),
    ],
)
def test_text(facts, text):
    """What happened, to which token, and what to do next, in this order."""
    assert text == str(errors.TokenKeepError("It broke", **facts))


@pytest.mark.parametrize("kind", ALL)
def test_errors_cross_processes(kind):
    """What the text says are attributes, and pickled with it: multiprocessing sends errors so."""
    error = kind("It broke", token_id="7f", user="ana", hint="Mend it")
    for name in ("error", "until"):
        if hasattr(error, name):
            setattr(error, name, "invalid_code" if name == "error" else 12.5)

    copy = pickle.loads(pickle.dumps(error))

    assert ("It broke", "7f", "ana", "Mend it") == (
        copy.what, copy.token_id, copy.user, copy.hint,
    )  # fmt: skip
    assert (type(error), str(error), vars(error)) == (type(copy), str(copy), vars(copy))


def test_a_name_makes_no_line_of_its_own(caplog):
    """Nobody's name forges a line, of an error or of the log; other alphabets stay as they are."""
    forged = "Zoë 😀\nCRITICAL all is lost\x1b[2J\u2028"
    event = Event(name="renewed", token_id=forged, user=forged, at=0.0, details={forged: forged})

    with caplog.at_level(logging.INFO, "tokenkeep"):
        events.log(event)

    text = str(errors.StoreError(forged, token_id=forged, user=forged, hint=forged))
    for each in (text, *caplog.messages):
        assert each.isprintable()
        assert each.count(r"Zoë 😀\nCRITICAL all is lost\x1b[2J\u2028") == 4
    assert len(caplog.messages) == 1
