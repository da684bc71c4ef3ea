"""Which axis shifts kernels most: the drift between the groups of every axis, as in the papers' plots."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ..answers import Answer
from ..scans import Group, Scan, axes_of, group_layers
from ..shift.internal import AxisNull
from ._axis_null import axis_null
from .drift._drift import drift_between
from .drift._question import Question, QuestionOptions
from .drift._table import FEWEST, DriftTable, Pair

DEFAULTS = Question(permutations=400)


@dataclasses.dataclass(frozen=True)
class AxisRow:
    """How an axis shifts kernels: median, mean and maximum of the metric over pairs of its groups.

    Groups of fewer than `FEWEST` kernels are counted in `small` and not among the pairs.
    `furthest` is the pair of the maximum. `null_mean` is the mean of the median under the null, and `p`
    how often
    it is as large there, by the larger of two nulls: labels permuted among whole models, or among layers
    inside each model where labels differ there; and all groups drawn from one distribution, for metrics of
    histograms. None, with the `reason`, where there is no other permutation.
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
    """Compare the groups along every axis, in one row each: which axis shifts kernels most.

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
    values_only = dataclasses.replace(question, permutations=0, replicates=0, matched=())
    rows, left_out = [], {}
    for axis in axes_of(scan) if axes is None else axes:
        table = drift_between(scan, axis, values_only)
        pairs = [pair for pair in table.pairs if _is_large(pair)]
        if pairs:
            matched = tuple(name for name in question.matched if name != axis)
            of_axis = dataclasses.replace(question, matched=matched)
            null = axis_null(scan, _large_groups(scan, table), of_axis)
            rows.append(_row(table, pairs, null))
        else:
            left_out[axis] = f"no two of its {len(table.labels)} groups have {FEWEST} kernels"
    rows.sort(key=lambda row: -row.median)
    return AxisTable(question, tuple(rows), left_out)


def _large_groups(scan: Scan, table: DriftTable) -> list[Group]:
    groups = group_layers(scan, table.by).groups
    return [
        group for group, size in zip(groups, table.sizes, strict=True) if size.effective >= FEWEST
    ]


def _is_large(pair: Pair) -> bool:
    sizes = pair.first_size.effective, pair.second_size.effective
    return pair.value is not None and min(sizes) >= FEWEST


def _row(table: DriftTable, pairs: list[Pair], null: AxisNull) -> AxisRow:
    values = np.array([pair.value for pair in pairs])
    furthest = pairs[int(np.argmax(values))]
    return AxisRow(
        table.by,
        len(table.labels),
        sum(size.effective < FEWEST for size in table.sizes),
        float(np.median(values)),
        float(np.mean(values)),
        float(np.max(values)),
        (furthest.first, furthest.second),
        null.mean,
        null.p,
        null.reason,
    )
