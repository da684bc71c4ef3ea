"""Sinkhorn divergence between kernel samples, solved by ott-jax."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from .._traced import on_host
from ..errors import MissingExtraError
from ..statistics.internal import KernelsLike, WhereLike
from ._samples import by_layer_pair, sample
from ._transport import OtherPoints, OtherWeights, Points, Weights, shares

SMOOTHING = 0.5
"""epsilon over the mean squared distance between both samples.

Less is sharper, slower to solve, and drowns a small shift of nine taps in what sampling makes.
"""

_FEWEST = 64


@on_host("call it on arrays, outside of the program; inside, ott-jax itself runs under jit")
def sinkhorn_divergence(
    x: KernelsLike,
    y: KernelsLike,
    x_weights: Any = None,
    y_weights: Any = None,
    *,
    where_x: WhereLike = None,
    where_y: WhereLike = None,
    epsilon: float | None = None,
) -> Any:
    """Entropic optimal transport less its own bias, in squared units of the points.

    0 for equal samples, symmetric, never negative; the squared Wasserstein-2 distance as epsilon
    goes to 0. Two samples of one distribution give a positive number that falls as 1/n + 1/m.
    Solved in float32; n x m numbers are held at once. NaN for a NaN or infinite weight that counts.

    **Arguments:**

    - `x`, `y`: kernels, as rows (n, d), weights (out, in, *spatial), or `Kernels` of equally many
      layers: one value a pair of layers.
    - `x_weights`, `y_weights`: of the rows; equal if not given.
    - `where_x`, `where_y`: mark the kernels that count; one mask a layer for `Kernels`.
    - `epsilon`: the smoothing, in squared units of the points; `SMOOTHING` times the mean squared
      distance between both samples if not given.

    Raises MissingExtraError without ott-jax.

    Source: Feydy et al., "Interpolating between optimal transport and MMD using Sinkhorn
    divergences", 2019.
    """

    def value(x: Any, y: Any, where_x: WhereLike, where_y: WhereLike) -> float:
        return _divergence(*sample(x, x_weights, where_x), *sample(y, y_weights, where_y), epsilon)

    return by_layer_pair(value, x, y, where_x, where_y)


def _divergence(
    x: Points,
    x_weights: Weights | None,
    y: OtherPoints,
    y_weights: OtherWeights | None,
    epsilon: float | None,
) -> float:
    import jax
    import jax.numpy as jnp

    solve = _solver()
    x_weights, y_weights = shares(x, x_weights), shares(y, y_weights)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan
    if epsilon is None:
        epsilon = SMOOTHING * _mean_square(x, y, x_weights, y_weights)
    if not epsilon > 0:
        return 0.0  # all points are one and the same
    (x, x_weights), (y, y_weights) = _padded(x, x_weights), _padded(y, y_weights)
    arrays = (jnp.asarray(a, jnp.float32) for a in (x, y, x_weights, y_weights, epsilon))
    # The solver mixes dtypes and ranks, which its caller may have forbidden.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return max(float(solve(*arrays)), 0.0)


@functools.cache
def _solver() -> Callable[..., Any]:
    """Return the divergence as a compiled function of points, weights and epsilon."""
    import jax

    try:
        with warnings.catch_warnings():
            # On import, a package that ott-jax needs says that it is no longer maintained.
            warnings.simplefilter("ignore", DeprecationWarning)
            from ott.geometry.pointcloud import PointCloud
            from ott.tools.sinkhorn_divergence import sinkhorn_divergence as solve
    except ImportError as error:
        raise MissingExtraError("ott-jax", "transport") from error
    return jax.jit(lambda x, y, a, b, e: solve(PointCloud, x, y, a=a, b=b, epsilon=e)[0])


def _padded(points: Points, weights: Weights) -> tuple[OtherPoints, OtherWeights]:
    """Append points of no weight up to a power of two, so that few sizes are compiled."""
    n_padding = max(_FEWEST, 1 << (len(points) - 1).bit_length()) - len(points)
    return np.pad(points, ((0, n_padding), (0, 0)), "edge"), np.pad(weights, (0, n_padding))


def _mean_square(x: Points, y: OtherPoints, x_weights: Weights, y_weights: OtherWeights) -> float:
    x_mean, y_mean = x_weights @ x, y_weights @ y
    spread = x_weights @ (x - x_mean[None]) ** 2 + y_weights @ (y - y_mean[None]) ** 2
    difference: Float[np.ndarray, " d"] = x_mean - y_mean
    return float(np.sum(spread + difference**2))
