"""Whether an axis shifts kernels at all: by dealing its labels anew, and by drawing its kernels anew."""

from collections.abc import Sequence

import numpy as np

from ..shift import METRICS, AxisNull, redrawn_null, relabeled_null
from ._cards import CardComparison
from ._evidence import Balance
from ._groups import Group, matched_layers
from ._saved import SavedScan
from ._sides import sides_of, units_of

MOST_COMPARED = 200_000
"""Pairs of groups that are compared in all relabelings of an axis: some seconds."""

MOST_ADDED = 40_000_000_000
"""Numbers that are added up in all relabelings of an axis: some seconds."""

FEWEST_RELABELED = 99
"""Relabelings of an axis, for a p of 0.01; an axis with more pairs than allow them has none."""


def axis_null(
    scan: SavedScan,
    groups: Sequence[Group],
    *,
    metric: str,
    clean: bool,
    balance: Balance,
    matched: Sequence[str],
    permutations: int,
    seed: int,
) -> AxisNull:
    """The null of the median over all pairs of these groups, for metrics that cards answer.

    Both nulls have to be passed: that of the larger p is the one of the axis.

    Fewer relabelings than `permutations` where there are many pairs or layers. Arguments as of
    `drift_between`.
    """
    count = min(permutations, MOST_COMPARED * 2 // (len(groups) * (len(groups) - 1)))
    if METRICS[metric].reads == "sample":
        return _none(f"{metric} is taken from a sample")
    if count < min(permutations, FEWEST_RELABELED) or not permutations:
        return _none(
            f"{len(groups)} groups have too many pairs" if permutations else "not asked for"
        )
    sides = sides_of(scan, groups, clean, balance, matched_layers(scan, matched))
    comparison = CardComparison(scan, sides, metric, clean, balance)
    units = units_of(comparison.rows, sides, balance)
    affordable = max(MOST_ADDED // (units.rows.size * len(groups)), FEWEST_RELABELED)
    count, rng = min(count, affordable), np.random.default_rng(seed)
    dealt = relabeled_null(
        rng, units.rows, units.side, comparison.matrix, strata=units.strata, permutations=count
    )
    if dealt.p is None or METRICS[metric].reads != "histogram":
        return dealt
    sums = comparison.sums.reshape(len(sides), scan.d, -1)
    sizes = np.array([side.size for side in sides])
    weights, edges = scan.component_weights, scan.edges
    redrawn = redrawn_null(rng, metric, sums, sizes, weights, edges, replicates=count)
    return max(dealt, redrawn, key=lambda null: (null.p, null.mean))


def _none(reason: str) -> AxisNull:
    return AxisNull(None, None, None, reason)
