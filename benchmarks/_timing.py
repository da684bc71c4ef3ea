"""Medians of runs taken in turn, so that a slow moment of the machine strikes both sides.

The machine rests before each: threads of BLAS and OpenMP go on spinning for up to 40 ms after a call, and
would take a core from the other side.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable

REST = 0.1
"""Seconds."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: median seconds of ours and of the peer, and the median of their ratios.

    The target is a ratio to reach, or for work without a peer the seconds to stay below.
    """

    work: str
    ours: float
    runs: int
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    least_ratio: float | None = None
    most_seconds: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.least_ratio is not None and self.ratio is not None:
            return self.ratio >= self.least_ratio
        return None if self.most_seconds is None else self.ours <= self.most_seconds


def side_by_side(
    work: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    peer: str,
    runs: int,
    least_ratio: float | None = None,
    share: float = 1.0,
    note: str = "",
) -> Row:
    """Warm both up once, then time them in turn; the ratio is the median of the pairs' ratios.

    `theirs` does only a `share` of the work where all of it would take too long; its seconds are scaled.
    """
    ours()
    theirs()
    pairs = [(rested_seconds(ours), rested_seconds(theirs) / share) for _ in range(runs)]
    return Row(
        work=work,
        ours=statistics.median(a for a, _ in pairs),
        runs=runs,
        peer=peer,
        theirs=statistics.median(b for _, b in pairs),
        ratio=statistics.median(b / a for a, b in pairs),
        least_ratio=least_ratio,
        note=note,
    )


def alone(work: str, ours: Callable[[], object], *, runs: int, most_seconds: float) -> Row:
    """The median of a few runs, without a warm-up."""
    median = statistics.median(seconds(ours) for _ in range(runs))
    return Row(work=work, ours=median, runs=runs, most_seconds=most_seconds)


def rested_seconds(function: Callable[[], object]) -> float:
    """Wall seconds of one call on a machine at rest."""
    time.sleep(REST)
    return seconds(function)


def seconds(function: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
