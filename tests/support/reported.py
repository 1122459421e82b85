"""What a crash report shows of an error: texts, and the locals of each frame."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]


def reported(error):
    """Return the text of such a report, without the frames of the tests themselves."""
    found = []
    while error is not None:
        found.append(f"{error} {error!r} {error.args!r} {vars(error)!r}")
        frame = error.__traceback__
        while frame is not None:
            if not Path(frame.tb_frame.f_code.co_filename).is_relative_to(TESTS):
                found += [
                    f"{frame.tb_frame.f_code.co_qualname}: {name} = {value!r}"
                    for name, value in frame.tb_frame.f_locals.items()
                ]
            frame = frame.tb_next
        error = error.__cause__ or error.__context__
    return "\n".join(found)
