"""What is public is exported, and what is exported is there."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

PUBLIC = ("tokenkeep", "tokenkeep.testing", "tokenkeep.backends", "tokenkeep.providers",
          "tokenkeep.moving", "tokenkeep.login")  # fmt: skip


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


CORE = """
import sys, tokenkeep
tokenkeep.Keeper(tokenkeep.open_store('memory:', environ={}))
heavy = {'click', 'rich', 'starlette', 'uvicorn', 'pytest', 'zohocrmsdk', 'requests',
         'boto3', 'redis', 'sqlalchemy', 'pymysql', 'psycopg'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
QUIET = """
import sys
bad = []
def hook(event, args):
    if event == 'open' and ('w' in str(args[1]) or 'tokenkeep/' in str(args[0])
        and '.py' not in str(args[0])) or event in ('os.mkdir', 'socket.connect'):
        bad.append((event, args))
sys.dont_write_bytecode = True
sys.addaudithook(hook)
from tokenkeep import *
assert not bad, bad
"""


@pytest.mark.parametrize("program", [CORE, QUIET], ids=["core", "quiet"])
def test_what_an_import_does(program):
    """No optional dependency is loaded; no file is read or made, no connection opened."""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)
