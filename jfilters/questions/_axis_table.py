"""The axes by how much they shift kernels: the drift between the groups of each, as papers plot it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float

from ..answers import Answer
from ..scans import Groups, Scan, axes_of
from ..scans.internal import Units, units_of
from ..shift import PopulationNull, SamplingNull
from ._axis_null import axis_null
from .drift._drift import (
    comparison_of,
    distinct,
    groups_of,
    replicates_of,
    sampling_of,
    value_matrix,
)
from .drift._pair import FEWEST, has_few_kernels
from .drift._question import Question, QuestionOptions
from .drift._sides import Side, sides_of
from .drift._unit_words import warnings_of

DEFAULTS = Question(permutations=400)

FOLLOWS = {
    "verdict": "it follows from the kernels that are compared",
    "axes": "it follows from how the weights are stored",
    "depth_source": "it follows from how the weights are stored",
    "format": "it follows from how the weights are stored",
}
"""Axes that follow from the statistic or the file; they are compared where they are named."""


@dataclasses.dataclass(frozen=True)
class AxisRow:
    """The shift along one axis: median, mean and maximum of the metric over pairs of its groups.

    Groups of fewer than `FEWEST` kernels are counted in `small` and not among the pairs; neither are pairs
    of which sampling may make most, and `few` counts those. `furthest` is the pair of the maximum.
    `debiased` is the median of the value less the mean of its sampling null. `p` is that of the population
    null of all groups together, `units` of `models` are exchanged, and `smallest_p` is the least p that
    they allow. `p` is None, with the `reason`, where they cannot be split in another way.
    """

    axis: str
    groups: int
    small: int
    few: int
    median: float
    debiased: float | None
    mean: float
    maximum: float
    furthest: tuple[str, str]
    models: int
    units: int
    p: float | None
    smallest_p: float
    reason: str | None
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class AxisTable(Answer):
    """Every axis by its debiased median, the largest first, and the axes left out with their reasons.

    `unit` is the kind of unit that the tests exchange, and `units` and `models` count those of the scan.
    """

    question: Question
    unit: str
    units: int
    models: int
    axes: tuple[AxisRow, ...]
    left_out: dict[str, str]

    def record(self) -> dict[str, Any]:
        """Return the options of the question, one record an axis, and the axes left out."""
        names = ("metric", "clean", "balance", "matched", "permutations", "seed")
        return {
            **{name: getattr(self.question, name) for name in names},
            "unit": self.unit,
            "units": self.units,
            "models": self.models,
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
        axes: the axes; without them all of `axes_of`, but for those in `FOLLOWS` and that of the units.
        question: metric, balance, unit and the like; `permutations` are labelings of an axis, 0 for no p,
            and `matched` does not count for the axis that is tested.
        options: fields of `Question`, which replace those of `question`.

    Raises:
        ValueError: what `drift_between` raises, for axes that were named.
    """
    question = dataclasses.replace(question, **options)
    units = units_of(scan, question.unit)
    rows, left_out = [], {}
    for axis in axes_of(scan) if axes is None else axes:
        why = FOLLOWS.get(axis, _of_units(axis, units)) if axes is None else None
        if why is not None:
            left_out[axis] = f"{why}; --axis {axis} compares it"
            continue
        row = _axis(scan, groups_of(scan, axis, question), question, units)
        if isinstance(row, str):
            left_out[axis] = row
        else:
            rows.append(row)
    rows.sort(key=lambda row: -(row.median if row.debiased is None else row.debiased))
    number, models = len(np.unique(units.of_model)), len(scan.model_names)
    return AxisTable(question, units.kind, number, models, tuple(rows), left_out)


def _of_units(axis: str, units: Units) -> str | None:
    """Return why an axis of runs or families has no row, where these are the units."""
    is_unit = axis != "model" and axis in units.kind.split(" or ")
    return "its groups are the units, which nothing can exchange" if is_unit else None


def _axis(scan: Scan, groups: Groups, question: Question, units: Units) -> AxisRow | str:
    """Return the row of an axis, or the reason why there is none."""
    matched = tuple(name for name in question.matched if name != groups.by)
    sides = sides_of(scan, groups.groups, dataclasses.replace(question, matched=matched), units)
    comparison = comparison_of(scan, sides, question)
    values = value_matrix(comparison, groups)
    large = [place for place, side in enumerate(sides) if side.size >= FEWEST]
    pairs = [(i, j) for j in large for i in large if i < j and not np.isnan(values[i, j])]
    if not pairs:
        return f"no two of its {len(sides)} groups have {FEWEST} kernels"
    replicates = replicates_of(question, len(pairs))
    nulls = {pair: sampling_of(comparison, pair, question.seed, replicates) for pair in pairs}
    readable = [
        not has_few_kernels(float(values[pair]), nulls[pair], min(sides[x].size for x in pair))
        for pair in pairs
    ]
    null = axis_null(comparison, sides, large, question, units.kind)
    warnings = warnings_of(scan, groups.by, [sides[place] for place in large], units)
    return _row(groups, values, nulls, (pairs, readable), sides, null, warnings)


def _row(
    groups: Groups,
    matrix: Float[np.ndarray, "m m"],
    nulls: dict[tuple[int, int], SamplingNull | None],
    compared: tuple[list[tuple[int, int]], list[bool]],
    sides: Sequence[Side],
    null: PopulationNull,
    warnings: tuple[str, ...],
) -> AxisRow:
    pairs, readable = compared
    # Where every pair is of few kernels their numbers are all there is; `few` says so.
    is_shown = readable if any(readable) else [True] * len(pairs)
    shown = [pair for pair, is_in in zip(pairs, is_shown, strict=True) if is_in]
    values = np.array([matrix[pair] for pair in shown])
    means = [None if (x := nulls[pair]) is None else x.mean for pair in shown]
    known = [
        value - mean for value, mean in zip(values.tolist(), means, strict=True) if mean is not None
    ]
    first, second = (groups.groups[place].label for place in shown[int(np.argmax(values))])
    return AxisRow(
        axis=groups.by,
        groups=len(groups.groups),
        small=sum(side.size < FEWEST for side in sides),
        few=readable.count(False),
        median=float(np.median(values)),
        debiased=float(np.median(known)) if known else None,
        mean=float(np.mean(values)),
        maximum=float(np.max(values)),
        furthest=(first, second),
        models=distinct([side.model for side in sides]),
        units=distinct([side.unit for side in sides]),
        p=null.p,
        smallest_p=null.smallest,
        reason=null.reason,
        warnings=warnings,
    )
