"""Who asks for a login: a thread of a process, and whether it is known to be gone."""

from __future__ import annotations

import json
import secrets
import threading
from weakref import WeakValueDictionary

from tokenkeep import forks, holder


class _Name:
    """The name of one thread; it goes when the thread ends."""

    def __init__(self) -> None:
        self.text = secrets.token_hex(8)


class _Names:
    """
    The names of this process's threads.

    The operating system's numbers would not do: it gives them again at once.
    """

    def __init__(self) -> None:
        self.renew_locks()
        forks.renew_in_child(self)

    def renew_locks(self) -> None:
        """Give the threads of a child process names of their own."""
        self._own = threading.local()
        self._living: WeakValueDictionary[str, _Name] = WeakValueDictionary()

    def mine(self) -> str:
        name: _Name | None = getattr(self._own, "name", None)
        if name is None:
            name = self._own.name = _Name()
            self._living[name.text] = name
        return name.text

    def lives(self, name: object) -> bool:
        return name in self._living


_names = _Names()


def me() -> str:
    """Describe this thread as text: as `holder.me` does its process, with the thread's name."""
    return json.dumps({**json.loads(holder.me()), "thread": _names.mine()})


def is_me(asker: str) -> bool:
    """Tell whether this thread is meant, whatever object of it has asked."""
    return _thread(asker) == _names.mine()


def is_here(asker: str) -> bool:
    """Tell whether its process can be seen from here: as `holder.is_here`."""
    return holder.is_here(asker)


def is_gone(asker: str) -> bool:
    """
    Tell whether the thread is known to have ended.

    False if it lives, or if that can't be told from here: as `holder.is_dead`,
    and for the threads of other processes.

    Args:
        asker: As `me` described it.
    """
    if holder.is_dead(asker):
        return True
    thread = _thread(asker)
    if thread is None or _names.lives(thread):
        return False
    told = json.loads(asker)
    told.pop("thread")
    return bool(told == json.loads(holder.me()))


def _thread(asker: str) -> str | None:
    try:
        name = json.loads(asker)["thread"]
    except (ValueError, TypeError, KeyError):
        return None
    return name if isinstance(name, str) else None
