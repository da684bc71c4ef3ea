"""Drift: the variance-ratio-weighted symmetric divergence of coefficient histograms.

Written to the array API: NumPy histograms give float64, and JAX arrays work under jit, vmap and
grad.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Num

from .._traced import on_host
from ..statistics.internal import RealArray

EMPTY_DENSITY = float(np.finfo(np.float32).eps)
"""Density of an empty bin, so that its logarithm exists. Source: arXiv:2203.15331."""


def probability(
    counts: Num[RealArray, "*sets bins"], edges: Float[RealArray, " edges"]
) -> Float[RealArray, "*sets bins"]:
    """Return probabilities, all positive, of histograms over bins between the `bins` + 1 `edges`.

    The density of every bin, with float32 eps in place of 0, divided by its sum. No counts at all
    give equal probabilities. Leading axes stack. NumPy arrays are computed on the host in float64; JAX
    arrays work under jit, vmap and grad. Raises ValueError for another number of edges.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    bins = counts.shape[-1]
    if edges.shape[0] != bins + 1:
        raise ValueError(f"expected {bins + 1} edges for {bins} bins, got {edges.shape[0]}")
    xp = counts.__array_namespace__()
    real = xp.asarray(0.0).dtype  # float64 in NumPy, float32 in JAX
    counts, widths = counts.astype(real), xp.diff(xp.asarray(edges, dtype=real))
    n = xp.sum(counts, axis=-1, keepdims=True)
    density = counts / (xp.maximum(n, 1) * _like(widths, counts))
    density = xp.where(counts > 0, density, EMPTY_DENSITY)
    return density / xp.sum(density, axis=-1, keepdims=True)


def drift_components(
    p: Float[RealArray, "*#sets d bins"],
    q: Float[RealArray, "*#sets d bins"],
    variance_ratio: Float[RealArray, " d"],
) -> Float[RealArray, "*sets d"]:
    """Return the share of each component in `drift`, in nats; none is negative.

    The symmetric KL divergence of each component's histogram times its variance ratio. Leading axes
    stack. NumPy arrays are computed on the host in float64; JAX arrays work under jit, vmap and grad.
    """
    xp = p.__array_namespace__()
    divergence = xp.sum((p - q) * (xp.log(p) - xp.log(q)), axis=-1)
    return _like(xp.asarray(variance_ratio, dtype=p.dtype), divergence) * divergence


@on_host("use jf.drift inside, whose histograms stack along leading axes")
def drift_matrix(
    probabilities: Float[np.ndarray, "m d bins"], variance_ratio: Float[RealArray, " d"]
) -> Float[np.ndarray, "m m"]:
    """Return `drift` between all pairs of `m` sets, in nats, through one matrix product in float64.

    Symmetric, nowhere negative, exactly 0 on the diagonal. Memory grows as m x m and m x d x bins, not
    as their product. Runs on the host.

    **Arguments:**

    - `probabilities`: of every set, all positive, as `probability` gives them.
    """
    p = np.asarray(probabilities, np.float64)
    m, d, bins = p.shape
    logs = np.log(p).reshape(m, d * bins)
    weighted = (np.asarray(variance_ratio, np.float64)[:, None] * p).reshape(m, d * bins)
    # D_ij = self_i + self_j - cross_ij - cross_ji.
    cross = weighted @ logs.T
    diagonal = np.diagonal(cross)
    matrix = np.maximum(diagonal[:, None] + diagonal[None, :] - (cross + cross.T), 0)
    np.fill_diagonal(matrix, 0)
    return matrix


def _like(vector: Any, array: Any) -> Any:
    """`vector` with leading axes of 1, up to the rank of `array`."""
    return vector.reshape((1,) * (array.ndim - 1) + vector.shape)
