"""A map of sets from the drifts between them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .._traced import on_host

MOST_VECTORS = 1_000
"""Sets of which all eigenvectors are computed; of 3,000 they take 20 s, the two that are shown 1 s."""


class Embedding(NamedTuple):
    """Positions of m sets in the plane, and the share of their whole spread that it shows."""

    positions: Float[np.ndarray, "m 2"]
    share: float


@on_host("map drifts outside of the program")
def classical_mds(drifts: Float[np.ndarray, "m m"]) -> Embedding:
    """Return positions in the plane whose squared distances follow the drifts as well as a plane can.

    Classical multidimensional scaling. D grows with the square of a small difference, so that its root
    is taken for a distance. The sign of an axis is that of its largest entry; `share` is that of
    the positive eigenvalues, 1 for less than four sets that fit. Runs on the host.

    Source: Torgerson, "Multidimensional scaling: I. Theory and method", 1952.
    """
    m = len(drifts)
    rows, columns = drifts.mean(axis=1, keepdims=True), drifts.mean(axis=0, keepdims=True)
    values, vectors = _eigen(-0.5 * (drifts - rows - columns + drifts.mean()))
    positive = np.maximum(values[::-1], 0)
    axes = np.zeros((m, 2))
    axes[:, : min(m, 2)] = vectors[:, ::-1][:, :2] * np.sqrt(positive[:2])
    largest = axes[np.abs(axes).argmax(axis=0), [0, 1]]
    total = positive.sum()
    share = float(positive[:2].sum() / total) if total > 0 else 1.0
    return Embedding(axes * np.where(largest < 0, -1, 1), share)


def _eigen(
    products: Float[np.ndarray, "m m"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m k"]]:
    """Return all eigenvalues of a symmetric matrix, ascending, and the last two or all eigenvectors."""
    if len(products) <= MOST_VECTORS:
        return np.linalg.eigh(products)
    from scipy.sparse.linalg import eigsh

    start = np.ones(len(products))  # a fixed start, so that the same drifts give the same map
    start[::2] = -0.5
    _, vectors = eigsh(products, k=2, which="LA", v0=start)
    return np.linalg.eigvalsh(products), vectors
