"""The null of a whole axis: its labels permuted, and its kernels drawn from one distribution."""

from collections.abc import Sequence

import numpy as np

from ..shift.internal import AxisNull, relabeled_null
from .drift._by_statistics import StatisticsComparison
from .drift._drift import Comparison
from .drift._question import Question
from .drift._sides import Side, units_of

MOST_COMPARED = 200_000
"""Pairs of groups that are compared in all relabelings of an axis: some seconds."""

MOST_ADDED = 40_000_000_000
"""Numbers that are added up in all relabelings of an axis: some seconds."""

FEWEST_RELABELED = 99
"""Relabelings of an axis, for a p of 0.01; an axis with more pairs than allow them has none."""


def axis_null(comparison: Comparison, sides: Sequence[Side], question: Question) -> AxisNull:
    """Return the null of the median over all pairs of these sides, for metrics of layer statistics.

    The larger p of two nulls: labels permuted among units, and all kernels drawn from one distribution.
    Fewer relabelings than `question.permutations` where there are many pairs or layers.
    """
    permutations = question.permutations
    count = min(permutations, MOST_COMPARED * 2 // (len(sides) * (len(sides) - 1)))
    if not isinstance(comparison, StatisticsComparison):
        return _none(f"{question.metric} is taken from a sample")
    if not permutations:
        return _none("no permutations were asked for")
    if count < min(permutations, FEWEST_RELABELED):
        return _none(f"{len(sides)} groups have too many pairs")
    units = units_of(comparison.rows(sides), sides, question.balance)
    affordable = max(MOST_ADDED // (units.rows.size * len(sides)), FEWEST_RELABELED)
    count, rng = min(count, affordable), np.random.default_rng(question.seed)
    relabeled = relabeled_null(
        rng, units.rows, units.side, comparison.matrices, strata=units.strata, permutations=count
    )
    redrawn = None if relabeled.p is None else comparison.redrawn(rng, sides, count)
    if redrawn is None:
        return relabeled
    return max(relabeled, redrawn, key=lambda null: (null.p, null.mean))


def _none(reason: str) -> AxisNull:
    return AxisNull(None, None, None, reason)
