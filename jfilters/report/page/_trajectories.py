"""The runs of a scan, if it has some: how far kernels are from their first and last state, step by step."""

from typing import Any

from ...questions import Trajectory, trajectories
from ...questions.internal import SETTLED
from ._pack import rounded
from ._view import View

MOST_RUNS = 60
"""Runs that are shown: those with the most steps."""

_NUMBERS = ("previous", "first", "last", "null_95")
_QUALITY = ("sparsity", "variance_entropy_ratio", "orthogonality")


def trajectories_section(view: View) -> dict[str, Any] | None:
    """The points of every run; None if the scan has no steps."""
    try:
        runs = trajectories(view.scan)
    except ValueError:
        return None
    longest = sorted(runs, key=lambda run: -len(run.points))[:MOST_RUNS]
    return {
        "runs": [_run(run) for run in longest],
        "total": len(runs),
        "settled_share": SETTLED,
    }


def _run(run: Trajectory) -> dict[str, Any]:
    return {
        "run": run.run,
        "settled": run.settled,
        "points": [
            {"step": point.step, "model": point.model}
            | {name: rounded(getattr(point, name)) for name in (*_NUMBERS, *_QUALITY)}
            for point in run.points
        ],
    }
