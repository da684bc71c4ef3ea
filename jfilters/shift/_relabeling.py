"""Whether an axis shifts anything at all: two nulls of the median over all pairs of its groups.

One test an axis, however many groups it has; `population_null` and `sampling_null` ask of one pair. Labels
dealt anew say what groups of other units make. They cannot say what few kernels make where a group's
units are the small ones, as first layers are: that the draws from one distribution say.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from ._divergence import probability
from ._metrics import metric_matrix
from ._significance import AS_LARGE, ONE_SPLIT, drawn

Matrix = Callable[[np.ndarray], np.ndarray]
"""From the summed rows (m, features) of m groups, the m x m comparisons of all pairs."""


@dataclass(frozen=True)
class AxisNull:
    """What the median over all pairs of groups is by chance, and how often it is as large as observed.

    `p` is None, with the `reason`, where labels cannot be dealt in another way.
    """

    mean: float | None
    quantile95: float | None
    p: float | None
    reason: str | None = None


def relabeled_null(
    rng: np.random.Generator,
    rows: Float[np.ndarray, "units features"],
    side: Integer[np.ndarray, " units"],
    matrix: Matrix,
    *,
    strata: Integer[np.ndarray, " units"],
    permutations: int = 400,
) -> AxisNull:
    """p = (1 + #{relabeled >= observed}) / (1 + permutations) for the median over all pairs of groups.

    Units, each a row that adds up within its group, keep their stratum and change their labels
    `side` (0, 1, ...) for others of it. Exact if the units of a stratum are exchangeable.
    """
    if _fixed(side, strata):
        return AxisNull(None, None, None, ONE_SPLIT)
    dealt = _dealt(rng, side, strata, permutations)
    values = np.array([_median_of(rows, labels, matrix) for labels in dealt])
    return _null(_median_of(rows, side, matrix), values)


def redrawn_null(
    rng: np.random.Generator,
    name: str,
    sums: Float[np.ndarray, "m d bins"],
    sizes: Float[np.ndarray, " m"],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
    *,
    replicates: int = 400,
) -> AxisNull:
    """The same where all groups are drawn from their `sums` together, each with its `sizes` of kernels.

    A parametric bootstrap of histograms, component by component, as `sampling_null` is.
    """
    pooled = np.sum(sums, axis=0)
    shares = pooled / np.maximum(np.sum(pooled, axis=-1, keepdims=True), 1e-300)
    groups = np.stack([drawn(rng, shares, size, replicates) for size in sizes], axis=1)

    def median(histograms: np.ndarray) -> float:
        p = np.asarray(probability(histograms, edges))
        return _median(metric_matrix(name, p, variance_ratio, edges))

    return _null(median(sums), np.array([median(histograms) for histograms in groups]))


def _null(observed: float, values: Float[np.ndarray, " count"]) -> AxisNull:
    p = float((1 + np.sum(values >= observed * AS_LARGE)) / (1 + len(values)))
    return AxisNull(float(np.mean(values)), float(np.quantile(values, 0.95)), p)


def _fixed(side: Integer[np.ndarray, " units"], strata: Integer[np.ndarray, " units"]) -> bool:
    """Whether all relabelings are the same but for the names of groups, as far as one can tell."""
    if len(side) == len(np.unique(side)):
        return True
    return len(np.unique(np.stack([strata, side]), axis=1).T) == len(np.unique(strata))


def _dealt(
    rng: np.random.Generator,
    side: Integer[np.ndarray, " units"],
    strata: Integer[np.ndarray, " units"],
    count: int,
) -> Integer[np.ndarray, "count units"]:
    """The labels of each stratum, given to its units in random orders."""
    _, index = np.unique(strata, return_inverse=True)
    order = np.argsort(index[None] + rng.random((count, len(side))), axis=1)
    labels = np.empty(order.shape, side.dtype)
    np.put_along_axis(labels, order, side[np.argsort(index, kind="stable")][None], axis=1)
    return labels


def _median_of(
    rows: Float[np.ndarray, "units features"], side: Integer[np.ndarray, " units"], matrix: Matrix
) -> float:
    member = side[None] == np.arange(side.max() + 1)[:, None]
    return _median(matrix(member.astype(np.float64) @ rows))


def _median(matrix: Float[np.ndarray, "m m"]) -> float:
    """Over all pairs of groups, in both orders: a metric need not be symmetric."""
    return float(np.median(matrix[~np.eye(len(matrix), dtype=bool)]))
