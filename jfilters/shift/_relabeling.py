"""Whether an axis shifts anything at all: what its median comparison is when labels are dealt at random.

One test an axis, however many groups it has; `population_null` asks of one pair of groups.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from ._significance import AS_LARGE, ONE_SPLIT

Matrix = Callable[[np.ndarray], np.ndarray]
"""From the summed rows (m, features) of m groups, the m x m comparisons of all pairs."""


@dataclass(frozen=True)
class RelabeledNull:
    """What the median over all pairs of groups is when labels are dealt anew.

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
) -> RelabeledNull:
    """p = (1 + #{relabeled >= observed}) / (1 + permutations) for the median over all pairs of groups.

    Units, each a row that adds up within its group, keep their stratum and change their labels
    `side` (0, 1, ...) for others of it. Exact if the units of a stratum are exchangeable.
    """
    if _fixed(side, strata):
        return RelabeledNull(None, None, None, ONE_SPLIT)
    observed = _median(rows, side, matrix)
    dealt = _dealt(rng, side, strata, permutations)
    values = np.array([_median(rows, labels, matrix) for labels in dealt])
    extreme = np.sum(values >= observed * AS_LARGE)
    p = float((1 + extreme) / (1 + permutations))
    return RelabeledNull(float(np.mean(values)), float(np.quantile(values, 0.95)), p)


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


def _median(
    rows: Float[np.ndarray, "units features"], side: Integer[np.ndarray, " units"], matrix: Matrix
) -> float:
    """Over all pairs of groups, in both orders: a metric need not be symmetric."""
    member = side[None] == np.arange(side.max() + 1)[:, None]
    found = matrix(member.astype(np.float64) @ rows)
    return float(np.median(found[~np.eye(len(found), dtype=bool)]))
