"""Errors without the frames they came through: crash reports show the locals of each frame."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def without_frames(opens: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """
    Let the errors of what is given a password, or a URL with one, forget where they were.

    Whoever's they are: a driver's, and what a signal handler raises, come through the same frames.
    """

    @wraps(opens)
    def opening(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            return opens(*args, **kwargs)
        except BaseException as exc:
            del args, kwargs
            _bare(exc)
            raise

    return opening


def _bare(exc: BaseException | None) -> None:
    if exc is not None and exc.__traceback__ is not None:
        exc.__traceback__ = None
        _bare(exc.__cause__)
        _bare(exc.__context__)
