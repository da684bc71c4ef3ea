"""Medians of runs taken in turn, so that a slow moment of the machine strikes both sides."""

import dataclasses
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: seconds of ours and of theirs (medians), and the median ratio."""

    work: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    target: str = ""
    note: str = ""


def side_by_side(
    work: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    runs: int,
    target: str,
    note: str = "",
) -> Row:
    """Warm both up once, then time them in turn; the ratio is the median of the pairs' ratios."""
    ours(), theirs()
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(runs)]
    return Row(
        work,
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
        target,
        note,
    )


def alone(work: str, ours: Callable[[], object], *, runs: int, target: str) -> Row:
    """The median of a few runs, without a warm-up."""
    return Row(work, statistics.median(_seconds(ours) for _ in range(runs)), target=target)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
