"""Drift of kernels while a network is trained: runs of checkpoints along their steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from ..answers import Answer
from ..scans import Scan
from ..scans.internal import (
    LAYER_IDENTITY,
    architectures_of,
    find_runs,
    model_counts,
    model_probabilities,
)
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

    A run is a set of models whose names differ in a step alone, of equal layers. `rows()` gives one row a
    step of a run,
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


def trajectories(scan: Scan, *, run: str | None = None) -> Trajectories:
    """Return the runs of a scan: models of equal layers whose names differ in a step alone, two or more.

    The step is that of a checkpoint manager, the number of a counted word (step, epoch, iter, ckpt), or a
    number of its own that rises; seeds, folds, versions and sizes are no steps. Runs on the host and needs
    no JAX.

    Args:
        scan: in memory or opened.
        run: a pattern that tells runs and steps in place of these rules: a glob whose last star is the step
            (`net_s*_e*.pt`), or a regular expression with a group `run`, or its first one, and a group
            `step`, or the last number outside the run. That of the scan, if it had one, by default.

    Returns:
        One trajectory a run, with the drift between its steps in nats.

    Raises:
        ValueError: if there is no run, or the pattern is none.
    """
    runs = _runs(scan, run or scan.record.get("config", {}).get("run"))
    if not runs:
        raise ValueError(
            f"{scan.name} holds no run: expected the steps of a checkpoint manager, or names such as "
            "step_100.safetensors and step_200.safetensors; --run PATTERN tells other steps"
        )
    return Trajectories(_trajectory(scan, run, steps) for run, steps in sorted(runs.items()))


def _runs(scan: Scan, pattern: str | None) -> dict[str, dict[int, int]]:
    """Return for every run the places of its models by step."""
    rows = {row["model"]: row for row in scan.model_table.to_pylist()}
    names = scan.model_names
    layers = architectures_of(scan.layer_table.select(LAYER_IDENTITY).to_pydict())
    families = [rows[name]["family"] for name in names]
    numbers = {family: number for number, family in enumerate(families)}
    runs = find_runs(
        names,
        [rows[name]["step"] for name in names],
        None if None in families else [numbers[family] for family in families],
        [layers[name] for name in names],
        pattern,
    )
    return {run.name: run.places for run in runs}


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
