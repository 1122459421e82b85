"""What is public is exported, and what is exported is there."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import tokenkeep
from tokenkeep import errors

PUBLIC = ("tokenkeep", "tokenkeep.testing", "tokenkeep.backends", "tokenkeep.providers",
          "tokenkeep.moving", "tokenkeep.login")  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_exported_names_are_there(name):
    """Every name of ``__all__`` can be had, and is listed by ``dir``."""
    module = importlib.import_module(name)

    for each in module.__all__:
        assert getattr(module, each) is not None
    assert set(module.__all__) <= set(dir(module))
    assert len(module.__all__) == len(set(module.__all__))


def test_every_error_is_public():
    """Whoever can meet an error can catch it by its public name."""
    named = {
        name
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if each.__module__ == errors.__name__
    }

    assert named <= set(tokenkeep.__all__)


def test_every_public_thing_is_documented():
    """What is exported has a docstring."""
    for name in tokenkeep.__all__:
        assert inspect.getdoc(getattr(tokenkeep, name)), name


def test_an_unknown_name_is_an_attribute_error():
    """A mistyped name fails as in any module."""
    for name in ("tokenkeep", "tokenkeep.testing"):
        with pytest.raises(AttributeError, match="Keper"):
            _ = importlib.import_module(name).Keper


def test_star():
    """``from tokenkeep import *`` gives the public names, no more."""
    code = (
        "before = set(dir()) | {'before'}\n"
        "from tokenkeep import *\n"
        "import tokenkeep\n"
        "assert set(dir()) - before - {'tokenkeep'} == set(tokenkeep.__all__)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_optional_dependencies_are_not_loaded():
    """Using the core loads neither click nor rich, Starlette, pytest or an SDK."""
    code = (
        "import sys, tokenkeep\n"
        "tokenkeep.Keeper(tokenkeep.open_store('memory:', environ={}))\n"
        "heavy = {'click', 'rich', 'starlette', 'uvicorn', 'pytest', 'zohocrmsdk', 'requests'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
