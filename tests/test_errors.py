"""The error tree: as drawn, as printed, and safe to pass on."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from tokenkeep import errors

ALL = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if each.__module__ == errors.__name__
]


def drawn():
    """Return the tree in the docstring, as child -> parent."""
    above, found = [], {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ((?:[│ ]   )*)(?:[├└]── )?(\w+)(?:  |$)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4 + ("── " in line)
        above[depth:] = [match[2]]
        found[match[2]] = above[depth - 1] if depth else "Exception"
    return found


def test_the_drawn_tree_is_the_real_one():
    """Each class stands in the drawing, under its real parent, and nothing else does."""
    assert {each.__name__: each.__base__.__name__ for each in ALL} == drawn()


def test_each_branch_says_what_to_do():
    """Each leaf of the drawing has a remark."""
    parents = set(drawn().values())
    for line in errors.__doc__.splitlines():
        match = re.search(r"── (\w+)(.*)", line)
        if match and match[1] not in parents:
            assert match[2].strip(), match[1]


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "It broke"),
        ({"hint": "Mend it"}, "It broke. Mend it"),
        ({"token_id": "7f"}, "It broke (token 7f)"),
        ({"token_id": "7f", "user": "ana"}, "It broke (token 7f, user ana)"),
        ({"user": "ana", "hint": "Mend it"}, "It broke (user ana). Mend it"),
    ],
)
@pytest.mark.parametrize("kind", ALL)
def test_text(kind, facts, text):
    """What happened, to which token, and what to do next, in this order."""
    assert text == str(kind("It broke", **facts))


@pytest.mark.parametrize("kind", ALL)
def test_facts_are_attributes(kind):
    """What the text says can be had without parsing it."""
    error = kind("It broke", token_id="7f", user="ana", hint="Mend it")

    assert ("It broke", "7f", "ana", "Mend it") == (
        error.what,
        error.token_id,
        error.user,
        error.hint,
    )


@pytest.mark.parametrize("kind", ALL)
def test_errors_cross_processes(kind):
    """A pickled error has the same text and facts: multiprocessing sends them so."""
    error = kind("It broke", token_id="7f", user="ana", hint="Mend it")
    for name in ("error", "until"):
        if hasattr(error, name):
            setattr(error, name, "invalid_code" if name == "error" else 12.5)

    copy = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error), vars(error)) == (type(copy), str(copy), vars(copy))


def test_a_caller_can_cut_by_what_to_do():
    """The groups of the drawing can be caught as such."""
    assert issubclass(errors.TokenRevoked, errors.LoginNeeded)
    assert issubclass(errors.GrantRejected, errors.RenewalError)
    assert not issubclass(errors.LoginNeeded, errors.RenewalError)


def test_a_name_makes_no_line_of_its_own():
    """Line breaks and control characters of names are shown, in any part of the text."""
    forged = "ana\nCRITICAL all is lost\x1b[2J\u2028"

    text = str(errors.StoreError(forged, token_id=forged, user=forged, hint=forged))

    assert text.isprintable()
    assert text.count(r"ana\nCRITICAL all is lost\x1b[2J\u2028") == 4
