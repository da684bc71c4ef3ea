"""The order of groups in a matrix of drift: near ones beside each other, as in a dendrogram."""

from collections.abc import Sequence

import numpy as np


def leaf_order(count: int, values: Sequence[float | None], few: Sequence[bool]) -> list[int]:
    """Return the places of groups in the order of the leaves of their tree (average linkage of D).

    Args:
        count: the groups.
        values: D of every pair once, in the order (0, 1), (0, 2), (1, 2), (0, 3), ...
        few: True for a pair of too few kernels.

    Groups whose pairs are mostly of too few kernels come last: their D says nothing.
    """
    distances, is_few = np.zeros((count, count)), np.zeros((count, count), bool)
    second, first = np.tril_indices(count, -1)
    distances[first, second] = [value or 0.0 for value in values]
    is_few[first, second] = few
    is_small = 2 * (is_few | is_few.T).sum(axis=1) > count - 1
    if is_small.all():
        return list(range(count))
    sound, small = np.flatnonzero(~is_small), np.flatnonzero(is_small)
    leaves = _leaves((distances + distances.T)[np.ix_(sound, sound)])
    return [*sound[leaves].tolist(), *small.tolist()]


def _leaves(distances: np.ndarray) -> np.ndarray:
    """Return the order of leaves in which neighbors are nearest."""
    if len(distances) <= 2:
        return np.arange(len(distances))
    # Inside, as the import takes a tenth of a second.
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    return leaves_list(linkage(squareform(distances), "average", optimal_ordering=True))
