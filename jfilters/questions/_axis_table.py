"""The axes by how much they shift kernels: the drift between the groups of each, as papers plot it."""

import dataclasses
from collections.abc import Sequence
from itertools import compress
from typing import Any, Unpack

import numpy as np
from jaxtyping import Bool, Float

from ..answers import Answer
from ..scans import Groups, Scan, axes_of
from ..shift.internal import AxisNull
from ._axis_null import axis_null
from .drift._drift import comparison_of, groups_of, value_matrix
from .drift._question import Question, QuestionOptions
from .drift._sides import sides_of
from .drift._table import FEWEST

DEFAULTS = Question(permutations=400)


@dataclasses.dataclass(frozen=True)
class AxisRow:
    """The shift along one axis: median, mean and maximum of the metric over pairs of its groups.

    Groups of fewer than `FEWEST` kernels are counted in `small` and not among the pairs.
    `furthest` is the pair of the maximum. `null_mean` is the mean of the median under the null, and `p` the
    share of nulls that are as large, for the null of the larger p of two: labels permuted among whole
    models, or among layers inside each model where labels differ there; and all groups drawn from one
    distribution, for metrics of histograms. None, with the `reason`, where there is no other permutation.
    """

    axis: str
    groups: int
    small: int
    median: float
    mean: float
    maximum: float
    furthest: tuple[str, str]
    null_mean: float | None
    p: float | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class AxisTable(Answer):
    """Every axis by its median, the largest first, and the axes left out with their reasons."""

    question: Question
    axes: tuple[AxisRow, ...]
    left_out: dict[str, str]

    def record(self) -> dict[str, Any]:
        """Return the options of the question, one record an axis, and the axes left out."""
        names = ("metric", "clean", "balance", "matched", "permutations", "seed")
        return {
            **{name: getattr(self.question, name) for name in names},
            "axes": self.rows(),
            "left_out": self.left_out,
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row an axis."""
        return [dataclasses.asdict(axis) for axis in self.axes]


def axes_table(
    scan: Scan,
    axes: Sequence[str] | None = None,
    question: Question = DEFAULTS,
    **options: Unpack[QuestionOptions],
) -> AxisTable:
    """Compare the groups along every axis, in one row each, the axis that shifts kernels most first.

    Args:
        scan: in memory or opened.
        axes: the axes; all of `axes_of` if not given, of which some may be left out.
        question: metric, balance and the like; `permutations` are relabelings of an axis, 0 for no p, and
            `matched` does not count for the axis that is tested.
        options: fields of `Question`, which replace those of `question`.

    Raises:
        ValueError: what `drift_between` raises, for axes that were named.
    """
    question = dataclasses.replace(question, **options)
    rows, left_out = [], {}
    for axis in axes_of(scan) if axes is None else axes:
        groups = groups_of(scan, axis, question)
        matched = tuple(name for name in question.matched if name != axis)
        sides = sides_of(scan, groups.groups, dataclasses.replace(question, matched=matched))
        comparison = comparison_of(scan, sides, question)
        values = value_matrix(comparison, groups)
        large = np.array([side.size >= FEWEST for side in sides])
        if not np.isnan(_values(values, large)).all():
            null = axis_null(comparison, list(compress(sides, large)), question)
            rows.append(_row(groups, values, large, null))
        else:
            left_out[axis] = f"no two of its {len(sides)} groups have {FEWEST} kernels"
    rows.sort(key=lambda row: -row.median)
    return AxisTable(question, tuple(rows), left_out)


def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of both groups of every pair, in the order of `Groups.pairs`."""
    second, first = np.tril_indices(count, -1)
    return first, second


def _values(
    matrix: Float[np.ndarray, "m m"], large: Bool[np.ndarray, " m"]
) -> Float[np.ndarray, " pairs"]:
    """Return the value of every pair; NaN where a group is small, or no value is known."""
    first, second = _pairs(len(matrix))
    return np.where(large[first] & large[second], matrix[first, second], np.nan)


def _row(
    groups: Groups,
    matrix: Float[np.ndarray, "m m"],
    large: Bool[np.ndarray, " m"],
    null: AxisNull,
) -> AxisRow:
    values = _values(matrix, large)
    furthest = int(np.nanargmax(values))
    values = values[~np.isnan(values)]
    first, second = (groups.groups[places[furthest]].label for places in _pairs(len(matrix)))
    return AxisRow(
        groups.by,
        len(groups.groups),
        int(np.sum(~large)),
        float(np.median(values)),
        float(np.mean(values)),
        float(np.max(values)),
        (first, second),
        null.mean,
        null.p,
        null.reason,
    )
