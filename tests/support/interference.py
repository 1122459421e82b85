"""What happens at a write of a store: somebody comes between, or the process ends."""

from __future__ import annotations

from itertools import count


class Crash(BaseException):
    """The process ends here, as far as one can end within another."""


def crash():
    raise Crash


def before(number, step, *calls, after=False):
    """
    Let a step happen right before the n-th of some calls from now on, or after it.

    A call is an object and the name of its method; those of the step itself don't count.
    Return what tells how many have come, until the n-th.
    """
    turns = count(1)

    def stepping(call):
        def _stepping(*args, **given):
            if next(turns) != number:
                return call(*args, **given)
            _let_be(calls)
            if not after:
                step()
            done = call(*args, **given)
            if after:
                step()
            return done

        return _stepping

    for thing, name in calls:
        setattr(thing, name, stepping(getattr(thing, name)))
    return lambda: next(turns) - 1


def before_write(store, number, step):
    """The same of a store's writes and deletions."""
    return before(number, step, *_writes(store))


def after_write(store, number, step):
    return before(number, step, *_writes(store), after=True)


def let_be(store):
    """Take back what was to happen at a write that has not come."""
    _let_be(_writes(store))


def _writes(store):
    return (store.backend, "write"), (store.backend, "delete")


def _let_be(calls):
    for thing, name in calls:
        vars(thing).pop(name, None)
