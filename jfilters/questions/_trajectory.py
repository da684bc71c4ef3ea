"""Drift of kernels while a network is trained: runs of checkpoints along their steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from ..answers import Answer
from ..scans import Scan
from ..scans.internal import model_counts, model_probabilities, run_and_step
from ..shift import drift_matrix, sampling_null

SETTLED = 0.05
"""Of the drift from the first step to the last: what may be left when a run is said to be settled."""

SEED = 0


@dataclass(frozen=True)
class Point:
    """Model at one step of a run.

    - `step`, `model`: the number of the step, and the model's name.
    - `sparsity`, `variance_entropy_ratio`, `orthogonality`, `n_degenerate`: its quality, as in
      models.parquet.
    - `previous`, `first`, `last`: drift in nats from the step before, the first and the last one.
    - `null_95`: the 95 % quantile of the drift from the last step that sampling alone makes.
    """

    step: int
    model: str
    sparsity: float | None
    variance_entropy_ratio: float | None
    orthogonality: float | None
    n_degenerate: int
    previous: float | None
    first: float
    last: float
    null_95: float


@dataclass(frozen=True)
class Trajectory:
    """Steps of one run of training.

    - `run`: the name of the models, with a star for the step.
    - `points`: one `Point` a step, by rising step.
    - `settled`: the step from which on all are as close to the last as `SETTLED` or the null allow; None
      if the run never moved beyond the null.
    """

    run: str
    points: list[Point]
    settled: int | None


class Trajectories(tuple[Trajectory, ...], Answer):
    """Runs of a scan, by name; a tuple of `Trajectory`.

    A run is a set of models whose names differ in their step alone. `rows()` gives one row a step of a run,
    `record()` one record a run with its points; drifts are in nats.
    """

    def record(self) -> list[dict[str, Any]]:
        """Return one record a run, with its points."""
        return [
            {
                "run": run.run,
                "settled": run.settled,
                "points": [vars(point) for point in run.points],
            }
            for run in self
        ]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a step of a run."""
        for run in self:
            for point in run.points:
                yield {"run": run.run, "settled": run.settled, **vars(point)}


def trajectories(scan: Scan) -> Trajectories:
    """Return the runs of a scan: models whose names differ in their step alone, two or more of them.

    The step is that of a checkpoint manager, or the number in the name. Runs on the host and needs no JAX.

    Args:
        scan: in memory or opened.

    Returns:
        One trajectory a run, with the drift between its steps in nats.

    Raises:
        ValueError: if there is no run.
    """
    runs = _runs(scan)
    if not runs:
        raise ValueError(
            f"{scan.name} holds no run: expected the steps of a checkpoint manager, or names such as "
            "step_100.safetensors and step_200.safetensors"
        )
    return Trajectories(_trajectory(scan, run, steps) for run, steps in sorted(runs.items()))


def _runs(scan: Scan) -> dict[str, dict[int, int]]:
    """Return for every run the places of its models by step."""
    steps_of_models = dict(
        zip(
            scan.model_table["model"].to_pylist(), scan.model_table["step"].to_pylist(), strict=True
        )
    )
    runs: dict[str, dict[int, int]] = {}
    for place, model in enumerate(scan.model_names):
        run, step = run_and_step(model, steps_of_models[model])
        if step is not None:
            runs.setdefault(run, {}).setdefault(step, place)
    return {run: dict(sorted(steps.items())) for run, steps in runs.items() if len(steps) > 1}


def _trajectory(scan: Scan, run: str, steps: dict[int, int]) -> Trajectory:
    places = list(steps.values())
    drifts = drift_matrix(model_probabilities(scan)[places], scan.component_weights)
    null_95 = _nulls_95(scan, places)
    rows = {row["model"]: row for row in scan.model_table.to_pylist()}
    points = []
    for i, (step, place) in enumerate(steps.items()):
        row = rows[scan.model_names[place]]
        points.append(
            Point(
                step,
                row["model"],
                *(row[name] for name in _QUALITY),
                previous=float(drifts[i, i - 1]) if i else None,
                first=float(drifts[i, 0]),
                last=float(drifts[i, -1]),
                null_95=null_95[i],
            )
        )
    return Trajectory(run, points, _settled(points))


_QUALITY = ("sparsity", "variance_entropy_ratio", "orthogonality", "n_degenerate")


def _settled(points: list[Point]) -> int | None:
    """Return the first step from which all are as close to the last as `SETTLED` or the null allow."""
    if points[0].last <= points[0].null_95:
        return None
    most = SETTLED * points[0].last
    far = [i for i, point in enumerate(points) if point.last > max(most, point.null_95)]
    return points[far[-1] + 1].step


def _nulls_95(scan: Scan, places: list[int]) -> list[float]:
    counts = model_counts(scan)[places]
    last = counts[-1]
    rng = np.random.default_rng(SEED)
    return [_null_95(rng, scan, first, last) for first in counts]


def _null_95(
    rng: np.random.Generator,
    scan: Scan,
    first: Int64[np.ndarray, "d bins"],
    last: Int64[np.ndarray, "d bins"],
) -> float:
    sizes = float(first[0].sum()), float(last[0].sum())
    if not all(sizes):
        return math.inf
    pooled = (first + last).astype(np.float64)
    null = sampling_null(rng, "drift", pooled, sizes, scan.component_weights, scan.edges)
    return null.quantile95
