"""Whether an axis shifts kernels at all, by dealing its labels anew to whole models."""

from collections.abc import Sequence

import numpy as np

from ..shift import METRICS, RelabeledNull, relabeled_null
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
) -> RelabeledNull:
    """The null of the median over all pairs of these groups, for metrics that cards answer.

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
    return relabeled_null(
        np.random.default_rng(seed),
        units.rows,
        units.side,
        comparison.matrix,
        strata=units.strata,
        permutations=min(count, affordable),
    )


def _none(reason: str) -> RelabeledNull:
    return RelabeledNull(None, None, None, reason)
