"""What happens at a write of a store: somebody comes between, or the process ends."""

from __future__ import annotations

from itertools import count


class Crash(BaseException):
    """The process ends here, as far as one can end within another."""


def crash():
    raise Crash


def before_write(store, number, step, *, after=False):
    """
    Let a step happen right before a store's n-th write or deletion from now on, or after it.

    Return what tells how many have come, until the n-th. The step's own writes don't count.
    """
    turns = count(1)

    def stepping(call):
        def _stepping(*args, **given):
            if next(turns) != number:
                return call(*args, **given)
            let_be(store)
            if not after:
                step()
            done = call(*args, **given)
            if after:
                step()
            return done

        return _stepping

    for name in ("write", "delete"):
        setattr(store.backend, name, stepping(getattr(store.backend, name)))
    return lambda: next(turns) - 1


def after_write(store, number, step):
    return before_write(store, number, step, after=True)


def let_be(store):
    """Take back what was to happen at a write that has not come."""
    for name in ("write", "delete"):
        vars(store.backend).pop(name, None)
