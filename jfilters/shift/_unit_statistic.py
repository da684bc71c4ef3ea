"""The statistic U between groups of units: squared drift that neither sampling nor sizes raise.

U = mean <x_u, x_v> over u != v in A + the same in B - 2 mean <x_u, x_v> over u in A, v in B, u != v. A part
never meets a part of its own unit, so that the expected value of U is the squared distance of the means
of both populations of units, whatever the numbers of kernels.
"""

import itertools

import numpy as np
from jaxtyping import Float, Int64

_BATCH = 1_000_000  # numbers of one-hot labels at once, in float64


def summed_statistic(
    rows: Float[np.ndarray, "parts features"],
    labels: Int64[np.ndarray, "count parts"],
    unit: Int64[np.ndarray, " parts"],
) -> Float[np.ndarray, " count"]:
    """Return the sum of U over all pairs of groups for each labeling of parts.

    A group of a single part stands for its missing mean by its own square: permutations stay exact.
    """
    batch = max(_BATCH // labels.shape[1], 1)
    starts = range(0, len(labels), batch)
    return np.concatenate([_statistic(rows, labels[i : i + batch], unit) for i in starts])


def _statistic(
    rows: Float[np.ndarray, "parts features"],
    labels: Int64[np.ndarray, "count parts"],
    unit: Int64[np.ndarray, " parts"],
) -> Float[np.ndarray, " count"]:
    sizes = np.bincount(labels[0])
    is_member = [(labels == group).astype(np.float64) for group in range(len(sizes))]
    sums = [members @ rows for members in is_member]
    squares = np.sum(np.square(rows), axis=1)
    own = [_inside(sums[g], is_member[g] @ squares, int(sizes[g])) for g in range(len(sizes))]
    met, shared = _same_unit(rows, labels, unit, len(sizes))
    total = np.zeros(len(labels))
    for g, h in itertools.combinations(range(len(sizes)), 2):
        products = np.einsum("rf,rf->r", sums[g], sums[h]) - met[:, g, h]
        pairs = max(int(sizes[g] * sizes[h]) - int(shared[g, h]), 1)
        total += own[g] + own[h] - 2 * products / pairs
    return total


def _inside(
    sums: Float[np.ndarray, "count features"], squares: Float[np.ndarray, " count"], size: int
) -> Float[np.ndarray, " count"]:
    """Return the mean product of two parts of one group."""
    if size < 2:
        return squares
    return (np.einsum("rf,rf->r", sums, sums) - squares) / (size * (size - 1))


def _same_unit(
    rows: Float[np.ndarray, "parts features"],
    labels: Int64[np.ndarray, "count parts"],
    unit: Int64[np.ndarray, " parts"],
    groups: int,
) -> tuple[Float[np.ndarray, "count g g"], Int64[np.ndarray, "g g"]]:
    """Return the sum of products of parts of one unit in two groups, and the number of such units."""
    met = np.zeros((len(labels), groups, groups))
    shared = np.zeros((groups, groups), np.int64)
    each = np.arange(len(labels))
    for i, j in pairs_within(unit):
        low, high = np.minimum(labels[:, i], labels[:, j]), np.maximum(labels[:, i], labels[:, j])
        met[each, low, high] += rows[i] @ rows[j]
        shared[low[0], high[0]] += 1
    return met, shared


def pairs_within(unit: Int64[np.ndarray, " parts"]) -> list[tuple[int, int]]:
    """Return the places of all pairs of parts of one unit."""
    order = np.argsort(unit, kind="stable")
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
    members = np.split(order, starts[1:])
    return [pair for places in members for pair in itertools.combinations(places.tolist(), 2)]


def flip_products(
    rows: Float[np.ndarray, "parts features"],
    unit: Int64[np.ndarray, " parts"],
    group: Int64[np.ndarray, " parts"],
) -> Float[np.ndarray, "units units"]:
    """Return K, with which the sum of U over pairs of groups is s' K s for the signs s of units.

    For units in several groups alone. A sign turns all differences between the parts of a unit round, which
    keeps their variances whatever the sizes of parts. The diagonal is zero.
    """
    units = np.unique(unit)
    place = np.full((len(units), 1 + group.max()), -1)
    place[np.searchsorted(units, unit), group] = np.arange(len(unit))
    products = np.zeros((len(units), len(units)))
    for g, h in itertools.combinations(range(place.shape[1]), 2):
        both = np.flatnonzero((place[:, g] >= 0) & (place[:, h] >= 0))
        if len(both) > 1:
            apart = rows[place[both, g]] - rows[place[both, h]]
            products[np.ix_(both, both)] += apart @ apart.T / (len(both) * (len(both) - 1))
    np.fill_diagonal(products, 0)
    return products
