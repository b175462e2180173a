"""When to ask: the paper's query steps, for any number of steps.

VL-DNP (arXiv 2510.26052, section 4) asks at 45, 44, 43, 41, 38, 34, 29, 23, 16, 8 of 50 steps. The numbers fall, so they count the steps that remain:
the first question comes after five steps, when there is something to see, and the pauses grow.
"""

from __future__ import annotations

import re

PAPER = "45, 44, 43, 41, 38, 34, 29, 23, 16, 8 of 50"
_SCHEDULE = re.compile(r"(?P<steps>\d{1,6}(?:[\s,;]+\d{1,6})*)(?:\s*(?:of|/)\s*(?P<of>\d{1,6}))?")
_EVERY = re.compile(r"every(?:\s+(?P<pause>\d{1,6}))?(?:\s+steps?)?")


def query_steps(written: str, steps: int) -> tuple[int, ...]:
    """Give the steps of a run of `steps` at which to ask, counted from 0: the step with r steps of n remaining is steps - round(r steps / n).

    written: "45, 44, 8 of 50" (steps that remain, of a run of 50, rescaled to this one), "6, 4" (of this run, as they are), "every" or "every 3"
    (from the second step on, when there is something to see). Raises ValueError with what to write instead.
    """
    text = written.strip(" \t\n,;").lower()
    if every := _EVERY.fullmatch(text):
        pause = int(every["pause"] or 1)
        if pause == 0:
            raise ValueError(_hint(written, "cannot ask every 0 steps"))
        return tuple(range(1, steps, pause))
    found = _SCHEDULE.fullmatch(text)
    if found is None:
        raise ValueError(_hint(written, "cannot be read"))
    remaining = [int(one) for one in re.split(r"[\s,;]+", found["steps"])]
    whole = int(found["of"] or steps)
    if found["of"] and (whole == 0 or max(remaining) > whole):
        raise ValueError(_hint(written, f"asks for more steps than there are ({whole})"))
    # Halves up, as people round; what lies before this run's first step is not asked at all.
    asked = {steps - (2 * r * steps + whole) // (2 * whole) for r in remaining}
    return tuple(sorted(step for step in asked if 0 <= step < steps))


def check_query_steps(written: str) -> None:
    """Raise ValueError when it cannot be read."""
    query_steps(written, 50)


def _hint(written: str, wrong: str) -> str:
    return f'`query_steps` {wrong}: "{written[:80]}". Write the steps that remain when it is to ask, such as "{PAPER}", or "every 2".'
