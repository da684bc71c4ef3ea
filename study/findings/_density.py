"""Learned densities beside drift: the same groups, by their joint shape."""

import numpy as np
import scipy.stats

from jfilters.density import FitOptions
from jfilters.questions import density_divergence, drift_between
from jfilters.scans import Scan

from ._axes import SEED, Rows, with_holm
from ._parts import DESIGN, Parts

KERNELS = 4_000
"""Kernels of each group; a density is learned from each fold of them."""


def divergences(parts: Parts, kernels: int = KERNELS, options: FitOptions | None = None) -> Rows:
    """Return Jeffreys divergence, drift and a classifier's accuracy for every pair of groups.

    Errors and p are those of single kernels, and kernels of one network are not independent. Groups of
    other seeds, which should not differ, show how much that matters.
    """
    axes = [*((axis, parts.trained) for axis in (*DESIGN, "seed")), ("stage", parts.ends)]
    axes.append(("series", parts.beside_zoo))
    rows = [row for axis, scan in axes for row in _rows(axis, scan, kernels, options)]
    return with_holm(rows, "classifier_p")


def agreement(rows: Rows) -> Rows:
    """Return Spearman's rank correlation of both over all pairs; they share groups, so it has no p."""
    jeffreys, drift = ([row[name] for row in rows] for name in ("jeffreys", "drift"))
    correlation = np.asarray(scipy.stats.spearmanr(jeffreys, drift))[0]
    return [{"pairs": len(rows), "spearman": float(correlation)}]


def _rows(axis: str, scan: Scan, kernels: int, options: FitOptions | None) -> Rows:
    drifts = drift_between(scan, axis, balance="models", permutations=0, replicates=0)
    drift = {(pair.first, pair.second): pair.value for pair in drifts.pairs}
    table = density_divergence(scan, axis, kernels=kernels, seed=SEED, options=options)
    record = table.record()
    return [
        {
            "axis": axis,
            "first": pair["first"],
            "second": pair["second"],
            "kernels": record["kernels"],
            "drift": drift[pair["first"], pair["second"]],
            "jeffreys": pair["jeffreys"],
            "jeffreys_error": pair["jeffreys_error"],
            "distinguishable": pair["distinguishable"],
            "classifier_accuracy": pair["accuracy"],
            "classifier_p": pair["accuracy_p"],
        }
        for pair in record["pairs"]
    ]
