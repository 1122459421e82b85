"""What is public is exported, and what is exported is there."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import tokenkeep
from tokenkeep import errors

PUBLIC = ("tokenkeep", "tokenkeep.testing", "tokenkeep.backends", "tokenkeep.providers",
          "tokenkeep.importing", "tokenkeep.login")  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_exported_names_are_there(name):
    """Every name of ``__all__`` can be had, and is listed by ``dir``; a mistyped one can't."""
    module = import_module(name)

    for each in module.__all__:
        assert getattr(module, each) is not None
    assert set(module.__all__) <= set(dir(module))
    assert len(module.__all__) == len(set(module.__all__))
    with pytest.raises(AttributeError, match="Keper"):
        _ = module.Keper


def test_every_error_is_public():
    """Whoever can meet an error can catch it by its public name."""
    classes = inspect.getmembers(errors, inspect.isclass)

    named = {name for name, each in classes if each.__module__ == errors.__name__}
    assert named <= set(tokenkeep.__all__)


def test_every_public_thing_is_documented():
    """What is exported has a docstring."""
    for name in tokenkeep.__all__:
        assert inspect.getdoc(getattr(tokenkeep, name)), name


STAR = """
before = set(dir()) | {'before'}
from tokenkeep import *
import sys, tokenkeep
assert set(dir()) - before - {'sys', 'tokenkeep'} == set(tokenkeep.__all__)
"""
CORE = """
import sys, tokenkeep
tokenkeep.Keeper(tokenkeep.open_store('memory:', environ={}))
heavy = {'click', 'rich', 'starlette', 'uvicorn', 'pytest', 'zohocrmsdk', 'requests'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


@pytest.mark.parametrize("program", [STAR, CORE], ids=["star", "core"])
def test_no_more_than_that(program):
    """``import *`` gives the public names alone; the core loads no optional dependency."""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)
